"""Writes a tree as a tar archive, by descriptor: no link is followed, whoever changes the tree meanwhile.

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
    """One archive. Without `owners` all of it is root's; of directories that are on one of the devices `left_out`, what
    is in them is not packed."""

    def __init__(
        self, stream: BinaryIO, *, owners: bool = True, left_out: frozenset[int] = frozenset()
    ) -> None:
        self._owners = owners
        self._left_out = left_out
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

    def pack_named(self, descriptor: int, name: str) -> None:
        """Writes what a descriptor is of (O_PATH is enough) under a name, with all that is in it; of a directory with
        an empty name only what is in it. Raises Refusal for a socket, OSError."""
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            top = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
            if name:
                self._add(name, status, top)
            self._pack_inside(top, status, f"{name}/" if name else "", 0)
        elif stat.S_ISREG(status.st_mode):
            # What was opened by O_PATH cannot be read; its other name here can be opened again.
            readable = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._add_file(name, readable)
        elif stat.S_ISSOCK(status.st_mode):
            raise Refusal("document", "it is a socket, which has nothing to be copied")
        else:
            self._add(name, status, None, os.readlink("", dir_fd=descriptor) if stat.S_ISLNK(status.st_mode) else "")
        self._archive.close()

    def _pack_inside(self, directory: int, status: os.stat_result, prefix: str, depth: int) -> None:
        """Closes the descriptor."""
        if status.st_dev in self._left_out:
            os.close(directory)
        else:
            self._pack_directory(directory, prefix, depth)

    def _pack_directory(self, directory: int, prefix: str, depth: int) -> None:
        """Closes the descriptor."""
        try:
            if depth > _MOST_DEPTH:
                raise Refusal("unsafe", f"{show(os.fsencode(prefix))} lies more than {_MOST_DEPTH} directories deep")
            for name in sorted(os.listdir(directory)):
                # Somebody may be removing files.
                with suppress(FileNotFoundError):
                    self._pack_child(directory, name, f"{prefix}{name}", depth)
        finally:
            os.close(directory)

    def _pack_child(self, parent: int, name: str, path: str, depth: int) -> None:
        try:
            self._pack_entry(parent, name, path, depth)
        except (FileNotFoundError, BrokenPipeError):
            raise
        except OSError as error:
            if error.filename is not None:
                error.filename = None
                error.strerror = f"{os.strerror(error.errno or 0)}: {show(os.fsencode(path))}"
            raise

    def _pack_entry(self, parent: int, name: str, path: str, depth: int) -> None:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            inner = os.open(name, _DIRECTORY, dir_fd=parent)
            self._add(path, os.fstat(inner), inner)
            self._pack_inside(inner, status, f"{path}/", depth + 1)
        elif stat.S_ISREG(status.st_mode):
            self._add_file(path, os.open(name, _FILE, dir_fd=parent))
        elif not stat.S_ISSOCK(status.st_mode):
            target = os.readlink(name, dir_fd=parent) if stat.S_ISLNK(status.st_mode) else ""
            self._add(path, status, None, target)

    def _add_file(self, path: str, descriptor: int) -> None:
        """Closes the descriptor."""
        try:
            self._add(path, os.fstat(descriptor), descriptor)
        finally:
            os.close(descriptor)

    def _add(self, path: str, status: os.stat_result, descriptor: int | None, target: str = "") -> None:
        member = tarfile.TarInfo(path)
        member.mode = stat.S_IMODE(status.st_mode)
        if self._owners:
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
