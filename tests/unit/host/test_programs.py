from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.errors import MissingProgramError, UnsupportedVersionError
from pytest_pods.engine.host.programs import Version, find_program, get_program, get_version, parse_version


def _program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_program_is_found_in_path_before_the_usual_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "sh", "exit 0")
    monkeypatch.setenv("PATH", f"relative:{tmp_path}")
    assert find_program("sh") == tmp_path / "sh"
    monkeypatch.setenv("PATH", "")
    assert find_program("sh") not in (None, tmp_path / "sh")


def test_file_that_cannot_be_executed_is_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pods-nothing").touch()
    (tmp_path / "pods-directory").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("pods-nothing") is find_program("pods-directory") is None


@pytest.mark.parametrize(("name", "package"), [("pods-nothing", "pods-nothing"), ("newuidmap", "uidmap")])
def test_missing_program_is_named_with_its_package(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_pods.engine.host.programs._EXTRA_DIRECTORIES", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingProgramError, match=f"{name} is not installed") as caught:
        get_program(name)
    assert f"apt install {package} (Debian" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1\nspec: 1.0.2-dev\n", "1.1.5"),
        ("conmon version 2.1.6\ncommit: unknown\n", "2.1.6"),
        ("runc version 1.2.0-rc.3\n", "1.2.0"),
        ("slirp4netns version 1.2.0\ncommit: unknown", "1.2.0"),
    ],
)
def test_version_is_the_first_number(text: str, expected: str) -> None:
    assert str(parse_version(text, program="x")) == expected


def test_versions_compare_as_numbers() -> None:
    assert Version((1, 1, 5)) < Version((1, 1, 15)) < Version((1, 2, 0))


def test_program_is_asked_again_when_it_was_replaced(tmp_path: Path) -> None:
    program = _program(tmp_path / "tool", "echo tool version 1.2.3")
    assert str(get_version(program)) == "1.2.3"
    _program(tmp_path / "new", "echo tool version 1.3.0").replace(program)
    assert str(get_version(program)) == "1.3.0"


def test_program_without_a_version_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedVersionError, match="tool does not tell its version"):
        get_version(_program(tmp_path / "tool", "echo hello"))
