"""Where a copy goes, as Docker has it."""

from __future__ import annotations

import pytest

from pytest_pods.engine.errors import ConflictError, NotFoundError
from pytest_pods.engine.services.copy_targets import Target, build_origin, build_target
from pytest_pods.engine.services.reaching import parse_devices


@pytest.mark.parametrize(
    ("source", "is_directory", "destination", "there", "target"),
    [
        ("/a/f", False, "/d", "directory", Target("/d", "f")),
        ("/a/f", False, "/d/", "directory", Target("/d/", "f")),
        ("/a/f", False, "/d/g", "file", Target("/d", "g")),
        ("/a/f", False, "/d/g", "nothing", Target("/d", "g")),
        ("f", False, "g", "nothing", Target(".", "g")),
        ("/a/d", True, "/e", "directory", Target("/e", "d")),
        ("/a/d/", True, "/e", "directory", Target("/e", "d")),
        ("/a/d/.", True, "/e", "directory", Target("/e", "")),
        ("/", True, "/e", "directory", Target("/e", "")),
        (".", True, "/e", "directory", Target("/e", "")),
        ("a/..", True, "/e", "directory", Target("/e", "")),
        ("/a/d", True, "/e/new", "nothing", Target("/e", "new")),
        ("/a/d", True, "/e/new/", "nothing", Target("/e", "new")),
        ("/a/d/.", True, "/e/new", "nothing", Target("/e", "new")),
    ],
)
def test_target_follows_docker(source: str, is_directory: bool, destination: str, there: str, target: Target) -> None:
    origin = build_origin(source, directory=is_directory)
    exists, directory = there != "nothing", there == "directory"
    assert build_target(origin, destination, exists=exists, directory=directory, doing="copying") == target


@pytest.mark.parametrize(
    ("is_directory", "destination", "exists", "error"),
    [
        (True, "/d/f", True, ConflictError),
        (False, "/d/f/", True, ConflictError),
        (False, "/d/absent/", False, NotFoundError),
        (True, "/d/absent/.", False, NotFoundError),
        (True, "/d/absent/..", False, NotFoundError),
    ],
)
def test_target_that_cannot_be_is_refused(
    is_directory: bool, destination: str, exists: bool, error: type[Exception]
) -> None:
    origin = build_origin("/a/s", directory=is_directory)
    with pytest.raises(error, match=f"copying.*: .*{destination}"):
        build_target(origin, destination, exists=exists, directory=False, doing="copying")


def test_devices_are_those_of_mounts_without_files() -> None:
    text = """\
600 500 0:45 / / rw,nodev - overlay overlay rw,lowerdir=/a - b
601 600 0:46 / /proc rw - proc proc rw
602 600 0:47 / /dev rw - tmpfs tmpfs rw
603 602 8:3 / /sys ro master:3 - sysfs sysfs ro
a line that tells nothing
"""
    assert parse_devices(text) == {46, 8 << 8 | 3}
