"""What the upper directory of an overlay changes of the layers below it (kernel: filesystems/overlayfs, section 4).

All is read by descriptor and name, without following a link: the upper directory is a container's to fill.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from pytest_pods.engine.storage.unpack.refusal import Refusal, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Change = tuple[str, bytes]

ADDED, CHANGED, DELETED = "A", "C", "D"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Each is an open directory.
_MOST_DEPTH = 256
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


def find_changes(upper: str, merged: str, made: Sequence[bytes], lower: Sequence[str]) -> list[Change]:
    """A letter and a path for each, sorted by path; `lower` are directories, the lowest first.

    `made` are places in `merged` that were made so that something could be mounted there, say: nobody's change. The
    process has `merged` as its root afterwards.
    """
    top = os.open(upper, _DIRECTORY)
    layers = [os.open(directory, _PATH) for directory in reversed(lower)]
    os.chdir(merged)
    os.chroot(".")
    places = _resolve(made)
    found = [change for change in _compare(top, b"", layers, 0) if not _was_made(change, places)]
    return sorted(found, key=lambda change: change[1])


def _resolve(made: Iterable[bytes]) -> frozenset[bytes]:
    """The places without links on the way to them, and all directories that they are in."""
    found: set[bytes] = set()
    for place in filter(None, made):
        path = os.path.realpath(place)
        while path != b"/" and path not in found:
            found.add(path)
            path = os.path.dirname(path)
    return frozenset(found)


def _was_made(change: Change, places: frozenset[bytes]) -> bool:
    # What the layers have may well have been changed, also on the way to such a place.
    return change[0] == ADDED and change[1] in places


def _compare(directory: int, path: bytes, layers: Sequence[int], depth: int) -> Iterator[Change]:
    """Closes the directory; `layers` are those whose part of it is seen, the topmost first."""
    try:
        if depth > _MOST_DEPTH:
            raise Refusal("unsafe", f"{show(path)} lies more than {_MOST_DEPTH} directories deep")
        names = [os.fsencode(name) for name in os.listdir(directory)]
        for name in names:
            # Somebody may be removing files.
            with suppress(FileNotFoundError):
                yield from _compare_entry(directory, name, b"/".join((path, name)), layers, depth)
    finally:
        os.close(directory)


def _compare_entry(parent: int, name: bytes, path: bytes, layers: Sequence[int], depth: int) -> Iterator[Change]:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    below = _Below(path, layers)
    if _is_whiteout(status):
        if below.status is not None:
            yield DELETED, path
        return
    if below.status is None:
        yield ADDED, path
    elif _differs(status, below.status):
        yield CHANGED, path
    if not stat.S_ISDIR(status.st_mode):
        return
    inner = os.open(name, _DIRECTORY, dir_fd=parent)
    seen = below.layers
    if _is_opaque(inner):
        there = {os.fsencode(child) for child in os.listdir(inner)}
        for child in sorted(_list_merged(path, seen) - there):
            yield DELETED, b"/".join((path, child))
        # What has been put in its place still is a change of what was there.
    yield from _compare(inner, path, seen, depth + 1)


class _Below:
    """What the layers show at a path: its `status`, None for nothing, and for a directory the `layers` that are merged
    there."""

    def __init__(self, path: bytes, layers: Sequence[int]) -> None:
        self.status: os.stat_result | None = None
        self.layers: list[int] = []
        for layer in layers:
            status = _find_status(layer, path)
            if status is None:
                continue
            if _is_whiteout(status) or (self.status is not None and not stat.S_ISDIR(status.st_mode)):
                return
            if self.status is None:
                self.status = status
            if not stat.S_ISDIR(status.st_mode):
                return
            self.layers.append(layer)
            if _is_opaque_below(layer, path):
                return


def _find_status(layer: int, path: bytes) -> os.stat_result | None:
    # Nobody changes a layer, and all directories on the way were seen to be some.
    try:
        return os.stat(path.lstrip(b"/"), dir_fd=layer, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _list_merged(path: bytes, layers: Sequence[int]) -> set[bytes]:
    names: set[bytes] = set()
    for layer in layers:
        directory = os.open(path.lstrip(b"/"), _DIRECTORY, dir_fd=layer)
        try:
            names.update(os.fsencode(name) for name in os.listdir(directory))
        finally:
            os.close(directory)
    return {name for name in names if _Below(b"/".join((path, name)), layers).status is not None}


def _is_opaque_below(layer: int, path: bytes) -> bool:
    directory = os.open(path.lstrip(b"/"), _DIRECTORY, dir_fd=layer)
    try:
        return _is_opaque(directory)
    finally:
        os.close(directory)


def _is_opaque(directory: int) -> bool:
    for name in _OPAQUE:
        with suppress(OSError):
            if os.getxattr(directory, name) == b"y":
                return True
    return False


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _differs(one: os.stat_result, other: os.stat_result) -> bool:
    if (one.st_mode, one.st_uid, one.st_gid) != (other.st_mode, other.st_uid, other.st_gid):
        return True
    if stat.S_ISDIR(one.st_mode):
        # Its size and times tell of what is in it, which is listed itself.
        return False
    # A file comes up when it is opened for writing, with or without a change.
    return (one.st_size, one.st_mtime_ns, one.st_rdev) != (other.st_size, other.st_mtime_ns, other.st_rdev)
