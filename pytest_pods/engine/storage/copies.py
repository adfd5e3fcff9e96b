"""Copies between a container and the host, both ends known by descriptors; and what a container's files are like.

The work is done by child programs in the sandbox, which follow no link at either end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.host.pipes import MemoryFile, enlarge_pipe
from pytest_pods.engine.records import Change, ChangeKind
from pytest_pods.engine.storage.child import ReaderGoneError
from pytest_pods.engine.storage.tree_streams import Readable, Runner, build_limits, stream_in, stream_out
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_pods.engine.host.process import Launcher

_KINDS: dict[str, ChangeKind] = {"A": "added", "C": "changed", "D": "deleted"}


@frozen
class Outgoing:
    """What is copied: what the descriptor is of, as `name`; of a directory without a name, what is in it. `left_out`
    are devices whose files are not."""

    descriptor: int
    name: str
    owners: bool = True
    left_out: frozenset[int] = frozenset()

    @property
    def arguments(self) -> list[str]:
        return ["send", self.name, "kept" if self.owners else "none", write_devices(self.left_out)]


@frozen
class Incoming:
    """The directory that it is copied to."""

    descriptor: int
    on_host: bool
    rootless: bool

    @property
    def arguments(self) -> list[str]:
        return ["place", "host" if self.on_host else "container", "rootless" if self.rootless else "rootful"]


def write_devices(numbers: frozenset[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


def transfer(
    outgoing: Outgoing, incoming: Incoming, *, launcher: Launcher, doing: str, most_bytes: int | None = None
) -> None:
    """Copies. Raises ConflictError where a directory and something else meet, UnsafeEntryError for a link on the way,
    SizeMismatchError for more than `most_bytes` (of the archive), DiskFullError, StorageError; what was copied until
    then stays, but no half file."""
    with Runner(launcher, doing) as runner:
        stream = runner.pipe()
        enlarge_pipe(stream.writing)
        sender = runner.start(outgoing.arguments, stream=stream.writing, given=outgoing.descriptor)
        stream.close_writing()
        receiver = runner.start(
            [*incoming.arguments, *build_limits(most_bytes), "-"], stream=stream.reading, given=incoming.descriptor
        )
        stream.close_reading()
        with suppress(ReaderGoneError):
            sender.get_report()
        receiver.get_report()


def send(outgoing: Outgoing, *, launcher: Launcher, write: Callable[[bytes], object], doing: str) -> None:
    """Gives `write` a tar archive piece by piece. Raises as `stream_out`."""
    stream_out(outgoing.arguments, given=outgoing.descriptor, launcher=launcher, write=write, doing=doing)


def receive(incoming: Incoming, *, launcher: Launcher, archive: Readable, doing: str) -> None:
    """Unpacks a tar archive, compressed or not. Raises as `stream_in`."""
    stream_in(incoming.arguments, given=incoming.descriptor, launcher=launcher, archive=archive, doing=doing)


def find_changes(
    *, upper: Path, merged: Path, made: Iterable[str], lower: Sequence[Path], launcher: Launcher, doing: str
) -> list[Change]:
    """What an overlay's upper directory changes, by path; `made` are places that were made for the container, not by
    it. Raises UnsafeEntryError, StorageError."""
    arguments = ["changes", str(upper), str(merged), *map(str, lower)]
    with MemoryFile("\n".join(made).encode("utf-8", "surrogateescape")) as places:
        lines = _list(arguments, given=places, launcher=launcher, doing=doing)
    return [Change(_KINDS[kind], _decode(name)) for kind, _, name in (line.partition(" ") for line in lines)]


def find_matches(
    root: int, pattern: str, *, left_out: frozenset[int], launcher: Launcher, doing: str
) -> list[str]:
    """Absolute paths below the descriptor's directory that match, sorted. Raises SizeMismatchError for too many."""
    arguments = ["glob", pattern.encode("utf-8", "surrogateescape").hex(), write_devices(left_out)]
    return [_decode(name) for name in _list(arguments, given=root, launcher=launcher, doing=doing)]


def _list(arguments: Sequence[str], *, given: int, launcher: Launcher, doing: str) -> list[str]:
    content = bytearray()
    stream_out(arguments, given=given, launcher=launcher, write=content.extend, doing=doing)
    return content.decode("ascii").splitlines()


def _decode(name: str) -> str:
    return bytes.fromhex(name).decode("utf-8", "surrogateescape")
