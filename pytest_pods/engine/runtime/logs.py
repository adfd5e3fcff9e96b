"""A container's log as conmon writes it ("k8s-file"): reading from a position, the last lines, following.

A record is `TIME STREAM F|P TEXT`. conmon cuts what it reads from the container into pieces: a record marked P goes on
in the next one of the same stream, and records of the other stream may stand in between.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.host.inotify import Change, Watcher
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from types import TracebackType

Stream = Literal["stdout", "stderr"]

_FIRST_BLOCK = 64 * 1024
_READ_BLOCK = 1024 * 1024
_MOST_LINE_BYTES = 16 * 1024 * 1024
_EXCERPT_BYTES = 8 * 1024 * 1024
_STREAMS: dict[bytes, Stream] = {b"stdout": "stdout", b"stderr": "stderr"}


@frozen
class LogPosition:
    """A place in a log, between two records."""

    offset: int = 0


@frozen
class LogLine:
    """A line without its end; `complete` is False for what the container wrote last, without a line end so far."""

    timestamp: str
    stream: Stream
    text: str
    complete: bool = True

    @property
    def time(self) -> datetime:
        """When the line's first piece was written, to the microsecond."""
        return parse_timestamp(self.timestamp)

    @property
    def output(self) -> str:
        """The line as the container wrote it."""
        return f"{self.text}\n" if self.complete else self.text


def parse_timestamp(text: str) -> datetime:
    """Reads a record's time; its nanoseconds are cut."""
    from datetime import datetime

    moment, separator, rest = text.partition(".")
    if separator:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        moment = f"{moment}.{rest[:digits][:6]:0<6}{rest[digits:]}"
    return datetime.fromisoformat(moment)


@dataclass(slots=True)
class _Pieces:
    timestamp: str
    texts: list[bytes]
    size: int = 0


class LogParser:
    """Joins records to lines. What is not a record is skipped: a full disk can leave half of one."""

    def __init__(self) -> None:
        self._open: dict[Stream, _Pieces] = {}

    def feed(self, records: Iterable[bytes]) -> Iterator[LogLine]:
        """The lines that end with these records, each given without its line end."""
        for record in records:
            parts = record.split(b" ", 3)
            if len(parts) != 4 or parts[2] not in (b"F", b"P") or not _looks_like_time(parts[0]):
                continue
            stream = _STREAMS.get(parts[1])
            if stream is not None:
                yield from self._take(stream, parts[0].decode("ascii"), parts[3], ends=parts[2] == b"F")

    def _take(self, stream: Stream, timestamp: str, text: bytes, *, ends: bool) -> Iterator[LogLine]:
        pieces = self._open.setdefault(stream, _Pieces(timestamp, []))
        pieces.texts.append(text)
        pieces.size += len(text)
        if ends or pieces.size > _MOST_LINE_BYTES:
            del self._open[stream]
            yield _line(stream, pieces, complete=ends)

    def rest(self) -> tuple[LogLine, ...]:
        """What has been written of lines that have not ended; they are still waited for."""
        return tuple(_line(stream, pieces, complete=False) for stream, pieces in self._open.items())


def _line(stream: Stream, pieces: _Pieces, *, complete: bool) -> LogLine:
    return LogLine(pieces.timestamp, stream, b"".join(pieces.texts).decode("utf-8", "replace"), complete)


def _looks_like_time(text: bytes) -> bool:
    return 20 <= len(text) <= 40 and text.isascii() and text[:4].isdigit() and text[10:11] == b"T"


class LogReader:
    """Reads what has been added since the last look. Cheap enough to be asked in a loop; a missing file is empty."""

    def __init__(self, path: Path, *, since: LogPosition | None = None) -> None:
        self._path = path
        self._offset = since.offset if since is not None else 0
        self._parser = LogParser()

    @property
    def path(self) -> Path:
        return self._path

    @property
    def position(self) -> LogPosition:
        """The place up to which records have been read."""
        return LogPosition(self._offset)

    def read(self) -> list[LogLine]:
        """The lines that have been completed since the last call."""
        return list(self.iterate())

    def iterate(self) -> Iterator[LogLine]:
        """As `read`, for logs that are better not held in memory."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if os.fstat(descriptor).st_size < self._offset:
                # Another log was put in its place.
                self._offset, self._parser = 0, LogParser()
            while block := _read_records(descriptor, self._offset):
                self._offset += len(block)
                yield from self._parser.feed(block.split(b"\n"))
        finally:
            os.close(descriptor)

    def rest(self) -> tuple[LogLine, ...]:
        """Lines that have begun; after the container's end nothing will be added to them."""
        return self._parser.rest()


def _read_records(descriptor: int, offset: int) -> bytes:
    """Whole records from `offset` on, empty if there is none yet."""
    size = _READ_BLOCK
    while True:
        block = os.pread(descriptor, size, offset)
        end = block.rfind(b"\n") + 1
        if end or len(block) < size:
            return block[:end]
        size *= 2


def read_lines(path: Path, *, since: LogPosition | None = None) -> list[LogLine]:
    """All lines from `since` on, also one that has not ended."""
    reader = LogReader(path, since=since)
    return [*reader.read(), *reader.rest()]


def read_tail(path: Path, count: int, *, since: LogPosition | None = None) -> list[LogLine]:
    """The last `count` lines (from `since` on), read from the end of the file."""
    if count <= 0:
        return []
    first = since.offset if since is not None else 0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        end = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    size = _FIRST_BLOCK
    while True:
        start = max(first, end - size)
        lines = read_lines(path, since=LogPosition(start))
        # Lines more than asked for: the first of each stream may lack its beginning.
        if start == first or len(lines) >= count + 2:
            return lines[-count:]
        size *= 4


@frozen
class Excerpt:
    """The last lines of a log. `omitted` lines stand before them, None if those are too much to be counted."""

    lines: tuple[LogLine, ...]
    omitted: int | None = 0


def read_excerpt(path: Path, count: int, *, since: LogPosition | None = None) -> Excerpt:
    """The last `count` lines from `since` on; of what containers write without end, only the end is read."""
    first = since.offset if since is not None else 0
    try:
        end = os.stat(path).st_size
    except FileNotFoundError:
        return Excerpt(())
    if end < first:
        # Another log was put in its place.
        first = 0
    start = max(first, end - _EXCERPT_BYTES)
    lines = read_lines(path, since=LogPosition(start))
    if start == first:
        return Excerpt(tuple(lines[-count:]), max(0, len(lines) - count))
    # The first of each stream may lack its beginning.
    return Excerpt(tuple(lines[2:][-count:]), None)


class HeldLog:
    """A log that can be read also when its container has been removed, until it is closed."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def excerpt(self, count: int, *, since: LogPosition | None = None) -> Excerpt:
        """As `read_excerpt`."""
        return read_excerpt(Path(f"/proc/self/fd/{self._descriptor}"), count, since=since)

    def lines(self) -> Iterator[LogLine]:
        """All of it, also a line that has not ended; never held in memory as a whole."""
        reader = LogReader(Path(f"/proc/self/fd/{self._descriptor}"))
        yield from reader.iterate()
        yield from reader.rest()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> HeldLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def find_end(path: Path) -> LogPosition:
    """The place behind the last whole record: "from here on"."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return LogPosition()
    try:
        end = os.fstat(descriptor).st_size
        while end > 0:
            start = max(0, end - _FIRST_BLOCK)
            newline = os.pread(descriptor, end - start, start).rfind(b"\n")
            if newline >= 0:
                return LogPosition(start + newline + 1)
            end = start
        return LogPosition()
    finally:
        os.close(descriptor)


def follow_lines(
    path: Path, *, ended: int, since: LogPosition | None = None, deadline: Deadline | None = None
) -> Iterator[LogLine]:
    """Lines as they come, until the descriptor `ended` is readable (a pidfd of the monitor) and all has been read, or
    until the deadline. The log has to exist."""
    limit = deadline or Deadline.never()
    reader = LogReader(path, since=since)
    with Watcher() as watcher:
        watcher.watch(path, Change.MODIFIED)
        while True:
            yield from reader.iterate()
            if limit.expired:
                return
            if not watcher.wait(limit.remaining, also=ended):
                yield from reader.iterate()
                if not limit.expired:
                    yield from reader.rest()
                return
