"""Pipes and memory files that are given to a process, closed on every way out."""

from __future__ import annotations

import os
import select
import stat
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_PIECE_BYTES = 1 << 20


class Pipe:
    """A pipe; leaving the `with` block closes what is still open of it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def __enter__(self) -> Pipe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close_writing()
        self.close_reading()

    def close_writing(self) -> None:
        """Once the writer has its copy: only then does the reader see the end."""
        self.writing = _close(self.writing)

    def close_reading(self) -> None:
        self.reading = _close(self.reading)

    def read_some(self, *, timeout_s: float, most: int = 8192) -> bytes:
        """What comes first, empty at the end of the pipe or after `timeout_s`."""
        return os.read(self.reading, most) if wait_readable(self.reading, timeout_s) else b""

    def read_tail(self, *, timeout_s: float, most: int = 8192) -> str:
        """All there is until the end, or until `timeout_s` has passed: its last `most` bytes, as text."""
        end = time.monotonic() + timeout_s
        content = b""
        while chunk := self.read_some(timeout_s=max(0.0, end - time.monotonic())):
            content = (content + chunk)[-most:]
        return content.decode("utf-8", "replace")


def _close(descriptor: int) -> int:
    if descriptor >= 0:
        os.close(descriptor)
    return -1


class MemoryFile:
    """An anonymous file with content, at its beginning; leaving the `with` block closes it."""

    def __init__(self, content: bytes) -> None:
        self.descriptor = os.memfd_create("pytest-pods")
        view = memoryview(content)
        while view:
            view = view[os.write(self.descriptor, view) :]
        os.lseek(self.descriptor, 0, os.SEEK_SET)

    def __enter__(self) -> int:
        return self.descriptor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self.descriptor)


def read_regular_file(descriptor: int, most: int) -> bytes | None:
    """A file's content up to its end or `most` bytes, None if it is no regular file; closes the descriptor.

    Takes no more memory than there is content.
    """
    # Not by a file object: it refuses a directory's descriptor, and then leaves it open.
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = bytearray()
        # In pieces: a read of n bytes reserves them, however small the file is.
        while piece := os.read(descriptor, min(_PIECE_BYTES, most - len(content))):
            content += piece
        return bytes(content)
    finally:
        os.close(descriptor)


def wait_readable(descriptor: int, timeout_s: float | None) -> bool:
    """Waits until a descriptor (a pidfd, a pipe) is readable or at its end; False after `timeout_s`."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


def enlarge_pipe(descriptor: int, size: int = 1024 * 1024) -> None:
    """Lets the writer run ahead of the reader; where the user's limit does not allow it the pipe stays as it is."""
    import fcntl

    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size)
    except OSError:
        return


def count_unread(descriptor: int) -> int:
    """How many bytes wait in a pipe for its reader; either end tells."""
    import fcntl
    import struct
    import termios

    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0])
