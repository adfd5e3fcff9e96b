"""What is in a volume, to a tar archive and from one. An archive is hostile input, and so is what a container wrote."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from pytest_pods.engine.errors import InvalidDocumentError, SizeMismatchError
from pytest_pods.engine.host.pipes import Pipe, enlarge_pipe
from pytest_pods.engine.storage.child import Child, start_child
from pytest_pods.engine.storage.ingest import find_zstd_path
from pytest_pods.engine.storage.limits import LayerLimits

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.engine.host.process import Launcher

_PIECE = 256 * 1024
_ZSTD = b"\x28\xb5\x2f\xfd"


class Readable(Protocol):
    """An open file, or what reads like one."""

    def read(self, amount: int, /) -> bytes: ...


def pack(directory: Path, *, launcher: Launcher, write: Callable[[bytes], object], doing: str) -> None:
    """Gives `write` the archive piece by piece. Raises UnsafeEntryError, StorageError, and what `write` raises."""
    with ExitStack() as stack:
        stream, report, complaint = (stack.enter_context(Pipe()) for _ in range(3))
        child = start_child(
            launcher, ["pack", str(directory)], doing=doing, report=report, complaint=complaint, stream=stream.writing
        )
        stack.callback(_end, child)
        stream.close_writing()
        while piece := os.read(stream.reading, _PIECE):
            write(piece)
        child.get_report()


def unpack_into(directory: Path, *, launcher: Launcher, archive: Readable, rootless: bool, doing: str) -> None:
    """Puts what is in an archive, compressed or not, into a directory, beside and over what is there.

    Raises ContentError of every kind, DiskFullError, StorageError, and what reading raises; what was unpacked until
    then stays.
    """
    limits = LayerLimits()
    first = archive.read(_PIECE)
    if not first:
        raise InvalidDocumentError(f"{doing}: the archive is empty")
    arguments = [
        "import",
        str(directory),
        "rootless" if rootless else "rootful",
        str(limits.most_bytes),
        str(limits.most_entries),
        find_zstd_path() if first.startswith(_ZSTD) else "-",
    ]
    with ExitStack() as stack:
        stream, report, complaint = (stack.enter_context(Pipe()) for _ in range(3))
        enlarge_pipe(stream.writing)
        child = start_child(launcher, arguments, doing=doing, report=report, complaint=complaint, stream=stream.reading)
        stack.callback(_end, child)
        stream.close_reading()
        complete = _feed(first, archive, stream.writing)
        stream.close_writing()
        child.get_report()
        if not complete:
            raise SizeMismatchError(f"{doing}: the child process stopped reading and reported nothing")


def _feed(first: bytes, archive: Readable, pipe: int) -> bool:
    piece = first
    while piece:
        view = memoryview(piece)
        try:
            while view:
                view = view[os.write(pipe, view) :]
        except BrokenPipeError:
            return False
        piece = archive.read(_PIECE)
    return True


def _end(child: Child) -> None:
    if child.process.poll() is None:
        child.process.kill()
        child.process.wait()
