"""Where everything lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.errors import InvalidSettingError
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.state.layout import StoreLayout, build_store_layout

DIGEST = Digest("sha256", "ab" * 32)


@pytest.mark.parametrize(
    ("environ", "uid", "root", "run_root"),
    [
        ({}, 0, "/var/lib/pytest-pods", "/run/pytest-pods"),
        ({"XDG_DATA_HOME": "/d", "XDG_RUNTIME_DIR": "/r"}, 0, "/var/lib/pytest-pods", "/run/pytest-pods"),
        ({"XDG_DATA_HOME": "/d", "XDG_RUNTIME_DIR": "/r"}, 7, "/d/pytest-pods", "/r/pytest-pods"),
        ({"HOME": "/home/x"}, 7, "/home/x/.local/share/pytest-pods", "/tmp/pytest-pods-7"),
        ({"HOME": "/h", "XDG_DATA_HOME": "rel"}, 7, "/h/.local/share/pytest-pods", "/tmp/pytest-pods-7"),
        ({"PYTEST_PODS_ROOT": "/p"}, 7, "/p", "/p/run"),
        ({"PYTEST_PODS_ROOT": "/p"}, 0, "/p", "/p/run"),
    ],
)
def test_usual_places(environ: dict[str, str], uid: int, root: str, run_root: str) -> None:
    assert build_store_layout(environ=environ, uid=uid) == StoreLayout(Path(root), Path(run_root))


def test_an_explicit_root_wins(tmp_path: Path) -> None:
    layout = build_store_layout(tmp_path, environ={"PYTEST_PODS_ROOT": "/elsewhere"}, uid=7)
    assert (layout.root, layout.run_root) == (tmp_path, tmp_path / "run")


def test_a_relative_root_in_the_environment_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="PYTEST_PODS_ROOT='rel'"):
        build_store_layout(environ={"PYTEST_PODS_ROOT": "rel"}, uid=0)


def test_scratch_lies_in_the_store_and_small_files_in_the_run_root() -> None:
    container = StoreLayout(Path("/s"), Path("/r")).session("abc").container("def")
    assert container.upper_dir == Path("/s/scratch/abc/def/upper")
    assert container.merged_dir == Path("/r/sessions/abc/containers/def/merged")


def test_names_of_content_have_no_character_that_mount_options_treat() -> None:
    layout = StoreLayout.below(Path("/s"))
    for path in (layout.layer(DIGEST).diff_dir, layout.blob(DIGEST), layout.layer_lock(DIGEST)):
        assert not set(str(path)) & set(":,\\")
