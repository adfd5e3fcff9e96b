"""Trees on their way into and out of the child program: tar archives, and lists. An archive is hostile input, and so is
what a container wrote."""

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
    from collections.abc import Sequence

    from pytest_pods.engine.host.process import Launcher

_PIECE = 256 * 1024
_ZSTD = b"\x28\xb5\x2f\xfd"


class Readable(Protocol):
    """An open file, or what reads like one."""

    def read(self, amount: int, /) -> bytes: ...


class Runner:
    """One child program, or two that are connected, which end with the block at the latest; `doing` is what messages
    begin with."""

    def __init__(self, launcher: Launcher, doing: str) -> None:
        self._launcher = launcher
        self._doing = doing
        self._stack = ExitStack()

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pipe(self) -> Pipe:
        """Closed at the end of the block."""
        return self._stack.enter_context(Pipe())

    def start(self, arguments: Sequence[str], *, stream: int, given: int | None = None) -> Child:
        """`given` is a descriptor of what the program is about."""
        child = start_child(
            self._launcher,
            arguments,
            doing=self._doing,
            report=self.pipe(),
            complaint=self.pipe(),
            stream=stream,
            given=given,
        )
        self._stack.callback(child.end)
        return child


def stream_out(
    arguments: Sequence[str],
    *,
    given: int | None = None,
    launcher: Launcher,
    write: Callable[[bytes], object],
    doing: str,
) -> None:
    """Gives `write` what the program writes, piece by piece. Raises UnsafeEntryError, StorageError, and what `write`
    raises."""
    with Runner(launcher, doing) as runner:
        stream = runner.pipe()
        child = runner.start(arguments, stream=stream.writing, given=given)
        stream.close_writing()
        while piece := os.read(stream.reading, _PIECE):
            write(piece)
        child.get_report()


def stream_in(
    arguments: Sequence[str], *, given: int | None = None, launcher: Launcher, archive: Readable, doing: str
) -> None:
    """Gives the program an archive, compressed or not; limits and the way to decompress it come behind `arguments`.

    Raises ContentError of every kind, ConflictError, DiskFullError, StorageError, and what reading raises; what was
    unpacked until then stays.
    """
    first = archive.read(_PIECE)
    if not first:
        raise InvalidDocumentError(f"{doing}: the archive is empty")
    with Runner(launcher, doing) as runner:
        stream = runner.pipe()
        enlarge_pipe(stream.writing)
        zstd = find_zstd_path() if first.startswith(_ZSTD) else "-"
        child = runner.start([*arguments, *build_limits(), zstd], stream=stream.reading, given=given)
        stream.close_reading()
        complete = _feed(first, archive, stream.writing)
        stream.close_writing()
        child.get_report()
        if not complete:
            raise SizeMismatchError(f"{doing}: the child process stopped reading and reported nothing")


def build_limits(most_bytes: int | None = None) -> list[str]:
    """How much may be unpacked, as the program takes it."""
    limits = LayerLimits()
    return [str(most_bytes or limits.most_bytes), str(limits.most_entries)]


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
