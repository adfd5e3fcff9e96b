"""An image that declares volumes, with contents worth keeping and links worth distrusting."""

from __future__ import annotations

import functools
from pathlib import Path

from pytest_pods.engine.api import Engine
from tests.support.images import BuiltImage, busybox_builder, directory, file, symlink

DATABASE = "localhost/database:1"
"""Declares /data, with contents of user 1000, /empty, which is not there, and /linked/x, where /linked leads out."""


@functools.cache
def database_image() -> BuiltImage:
    layer = {
        "data/": directory(mode=0o750, uid=1000, gid=1000),
        "data/base": file("base\n", mode=0o640, uid=1000, gid=1000, xattrs={"user.colour": "blue"}),
        "data/deep/": directory(mode=0o2770, gid=1000),
        "data/deep/file": file("deep\n", uid=7, gid=8),
        "data/absolute": symlink("/etc/passwd"),
        "linked": symlink("/../../../../etc"),
        "own/": directory(mode=0o711, uid=1000, gid=1000),
    }
    volumes: dict[str, dict[str, str]] = {"/data": {}, "/empty": {}, "/linked/x": {}, "/proc/sys": {}}
    return busybox_builder().layer(layer).config(Volumes=volumes).build()


def load_database(root: Path) -> str:
    """Brings the image into the store, if it is not there; returns its name."""
    with Engine.open(root=root) as engine:
        if all(DATABASE not in image.references for image in engine.images()):
            archive = root.parent / "database.tar"
            engine.load(database_image().write_docker_archive(archive, names=[DATABASE]))
            archive.unlink()
    return DATABASE
