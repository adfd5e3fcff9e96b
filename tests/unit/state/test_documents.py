"""Files that appear whole, and documents that are read with care."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pytest_pods.engine.errors import DiskFullError, StorageError, UnsupportedVersionError
from pytest_pods.engine.state.atomic import find_bytes, storage_errors, write_atomically
from pytest_pods.engine.state.layout import StoreLayout
from pytest_pods.engine.state.records import find_document, write_document
from pytest_pods.engine.state.store import ensure_store


def test_a_file_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two", mode=0o644)
    assert find_bytes(path) == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "directory", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["directory"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_has_its_own_error_with_a_cure(number: int) -> None:
    with pytest.raises(DiskFullError, match=r"^writing x: ") as caught, storage_errors("writing x"):
        raise OSError(number, "No space left on device")
    assert "--pods-root" in (caught.value.hint or "")


def test_documents_come_back(tmp_path: Path) -> None:
    write_document(tmp_path / "d", {"text": "ü", "number": 3, "list": ["a"], "inner": {"flag": True}, "none": None})
    document = find_document(tmp_path / "d")
    assert document is not None
    assert document.get("text", str) == "ü"
    assert document.get("number", int) == 3
    assert document.texts("list") == ("a",)
    assert document.inner("inner").get("flag", bool) is True
    assert document.find("none", str) is None
    assert document.texts("missing") == ()


@pytest.mark.parametrize("content", [b"", bytes(4096)], ids=["empty", "zeros"])
def test_what_a_power_cut_leaves_counts_as_no_document(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d").write_bytes(content)
    assert find_document(tmp_path / "d") is None


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_document_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d").write_bytes(content)
    with pytest.raises(StorageError, match=str(tmp_path / "d")):
        find_document(tmp_path / "d")


@pytest.mark.parametrize(("key", "kind"), [("missing", str), ("flag", int), ("text", int)])
def test_a_wrong_value_is_named(tmp_path: Path, key: str, kind: type) -> None:
    write_document(tmp_path / "d", {"flag": True, "text": "x"})
    document = find_document(tmp_path / "d")
    assert document is not None
    with pytest.raises(StorageError, match=key):
        document.get(key, kind)


def test_a_store_is_made_private_and_may_be_made_again(tmp_path: Path) -> None:
    layout = StoreLayout.below(tmp_path / "store")
    ensure_store(layout)
    ensure_store(layout)
    assert layout.root.stat().st_mode & 0o077 == 0
    assert layout.run_root.stat().st_mode & 0o077 == 0
    assert layout.layers_dir.is_dir()
    assert b"imageLayoutVersion" in layout.layout_file.read_bytes()


def test_a_store_of_another_release_is_refused(tmp_path: Path) -> None:
    layout = StoreLayout.below(tmp_path)
    ensure_store(layout)
    layout.version_file.write_text("99\n")
    with pytest.raises(UnsupportedVersionError, match="'99'"):
        ensure_store(layout)


def test_a_store_that_is_a_link_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(StorageError, match="another user or is not a directory"):
        ensure_store(StoreLayout(tmp_path / "link", tmp_path / "run"))
