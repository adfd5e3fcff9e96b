"""Writes a directory as a tar archive, by descriptor: no link is followed, whoever changes the directory meanwhile.

All that is needed is imported before the first look at what is packed.
"""

from __future__ import annotations

import os
import stat
import tarfile
from contextlib import suppress

from pytest_pods.engine.storage.unpack.refusal import Refusal, show
from pytest_pods.engine.storage.unpack.tree import is_kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Each is an open directory.
_MOST_DEPTH = 256


class _Padded:
    """A file that has as many bytes as it had when it was measured, also if it becomes shorter meanwhile."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, amount: int) -> bytes:
        return os.read(self._descriptor, amount) or bytes(amount)


class Packer:
    """One archive."""

    def __init__(self, stream: BinaryIO) -> None:
        self._archive = tarfile.open(  # noqa: SIM115 - closed by `pack`
            fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
        )
        self._links: dict[tuple[int, int], str] = {}
        self.entries = 0

    def pack(self, root: str) -> None:
        """Writes the directory with all that is in it but sockets. Raises Refusal, OSError."""
        top = os.open(root, _DIRECTORY)
        self._add(".", os.fstat(top), top)
        self._pack_directory(top, "", 0)
        self._archive.close()

    def _pack_directory(self, directory: int, prefix: str, depth: int) -> None:
        """Closes the descriptor."""
        try:
            if depth > _MOST_DEPTH:
                raise Refusal("unsafe", f"{show(os.fsencode(prefix))} lies more than {_MOST_DEPTH} directories deep")
            for name in sorted(os.listdir(directory)):
                # Somebody may be removing files.
                with suppress(FileNotFoundError):
                    self._pack_entry(directory, name, f"{prefix}{name}", depth)
        finally:
            os.close(directory)

    def _pack_entry(self, parent: int, name: str, path: str, depth: int) -> None:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            inner = os.open(name, _DIRECTORY, dir_fd=parent)
            self._add(path, os.fstat(inner), inner)
            self._pack_directory(inner, f"{path}/", depth + 1)
        elif stat.S_ISREG(status.st_mode):
            descriptor = os.open(name, _FILE, dir_fd=parent)
            try:
                self._add(path, os.fstat(descriptor), descriptor)
            finally:
                os.close(descriptor)
        elif not stat.S_ISSOCK(status.st_mode):
            target = os.readlink(name, dir_fd=parent) if stat.S_ISLNK(status.st_mode) else ""
            self._add(path, status, None, target)

    def _add(self, path: str, status: os.stat_result, descriptor: int | None, target: str = "") -> None:
        member = tarfile.TarInfo(path)
        member.mode = stat.S_IMODE(status.st_mode)
        member.uid, member.gid = status.st_uid, status.st_gid
        member.mtime = status.st_mtime
        member.linkname = target
        member.type = _find_type(status.st_mode)
        if member.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            member.devmajor, member.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        if descriptor is not None:
            member.pax_headers = _read_xattrs(descriptor)
        self.entries += 1
        if member.type != tarfile.REGTYPE:
            self._archive.addfile(member)
            return
        if status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                member.type, member.linkname = tarfile.LNKTYPE, first
                self._archive.addfile(member)
                return
        member.size = status.st_size
        assert descriptor is not None
        self._archive.addfile(member, _Padded(descriptor))  # type: ignore[arg-type]


def _find_type(mode: int) -> bytes:
    for check, kind in (
        (stat.S_ISDIR, tarfile.DIRTYPE),
        (stat.S_ISLNK, tarfile.SYMTYPE),
        (stat.S_ISFIFO, tarfile.FIFOTYPE),
        (stat.S_ISCHR, tarfile.CHRTYPE),
        (stat.S_ISBLK, tarfile.BLKTYPE),
    ):
        if check(mode):
            return kind
    return tarfile.REGTYPE


def _read_xattrs(descriptor: int) -> dict[str, str]:
    found = {}
    with suppress(OSError):
        for key in os.listxattr(descriptor):
            if is_kept(os.fsencode(key)):
                value = os.getxattr(descriptor, key)
                found[f"SCHILY.xattr.{key}"] = value.decode("utf-8", "surrogateescape")
    return found
