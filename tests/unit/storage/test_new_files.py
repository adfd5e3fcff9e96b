"""Files that have their name once they are whole, with files without a name and on file systems that know none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_pods.engine.storage.unpack import new_files


@pytest.fixture(params=["unnamed", "hidden"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    if request.param == "hidden":
        # The kernel refuses this, as file systems refuse the other.
        monkeypatch.setattr(new_files, "_UNNAMED", os.O_TMPFILE | os.O_RDONLY | os.O_CLOEXEC)
    descriptor = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def write(place: int, content: bytes) -> new_files.NewFile:
    new = new_files.NewFile(place)
    os.write(new.descriptor, content)
    return new


def test_file_takes_its_name_and_that_of_another(place: int, tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        new = write(place, content)
        before = [path.read_bytes() for path in tmp_path.glob("[!.]*")]
        new.publish(b"name")
        new.close()
        assert (tmp_path / "name").read_bytes() == content
        assert content not in before
    assert os.listdir(tmp_path) == ["name"]


def test_link_is_replaced_and_not_followed(place: int, tmp_path: Path) -> None:
    (tmp_path / "canary").write_text("alive")
    (tmp_path / "name").symlink_to("canary")
    new = write(place, b"new")
    new.publish(b"name")
    new.close()
    assert ((tmp_path / "canary").read_text(), (tmp_path / "name").read_text()) == ("alive", "new")
    assert not (tmp_path / "name").is_symlink()


def test_directory_stays_and_nothing_is_left(place: int, tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    new = write(place, b"new")
    with pytest.raises(IsADirectoryError):
        new.publish(b"name")
    new.close()
    write(place, b"half").close()
    assert os.listdir(tmp_path) == ["name"]
