"""Compares the tree below the current root directory with the list that was written when it was unpacked."""

from __future__ import annotations

import hashlib
import os
import stat

from pytest_pods.engine.storage.unpack.refusal import show

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}


def find_difference(listing: bytes) -> str | None:
    """The first thing that is not as it was, for people; None if all is."""
    for line in listing.splitlines():
        wanted, _, name = line.decode("ascii").rpartition(" ")
        path = bytes.fromhex(name)
        try:
            found = _describe(b"/" + path, wanted)
        except OSError as error:
            return f"{show(path)}: {os.strerror(error.errno or 0)}"
        if wanted != "unknown" and found != wanted:
            return f"{show(path)} is {found!r} where {wanted!r} was unpacked"
    return None


def _describe(path: bytes, wanted: str) -> str:
    status = os.lstat(path)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "unknown")
    text = f"{kind} {stat.S_IMODE(status.st_mode):o} {status.st_uid} {status.st_gid}"
    if kind == "file":
        # A size that is wrong already need not be read.
        digest = _hash(path) if f" {status.st_size} " in wanted else "-"
        return f"{text} {status.st_size} {digest}"
    if kind == "symlink":
        return f"{text} {os.readlink(path).hex()}"
    if kind in ("character", "block", "fifo"):
        return f"{text} {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return text


def _hash(path: bytes) -> str:
    content = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while chunk := os.read(descriptor, 1024 * 1024):
            content.update(chunk)
    finally:
        os.close(descriptor)
    return content.hexdigest()
