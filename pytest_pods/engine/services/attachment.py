"""Attachment: joins descriptors of the caller to the standard streams of a container, through its monitor's socket.

Knows conmon's attach socket and control fifo; knows nothing of terminals or signals, which are the caller's.
"""

from __future__ import annotations

import enum
import errno
import os
import select
import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import InvalidInputError, MonitorLostError
from pytest_pods.engine.host.pipes import count_unread
from pytest_pods.engine.runtime.conmon import MOST_STDIN_BYTES, build_resize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

_MOST_PACKET = 1 + 8192
_MOST_WRITE = select.PIPE_BUF
"""What a pipe that polls as writable takes without blocking."""

_MOST_READ = 16_384
_STDERR = 3
_END_OF_TRANSMISSION = b"\x04"
DETACH_KEYS = b"\x10\x11"
"""ctrl-p, ctrl-q: as Docker's clients have it."""


_RESIZE_PATIENCE_S = 0.25
_RESIZE_PAUSE_S = 0.001


class AttachEnd(enum.Enum):
    """Why a relay ended: the container closed its output, the detach keys came, or nobody reads our output any more."""

    CONTAINER = "container"
    DETACHED = "detached"
    OUTPUT_CLOSED = "output closed"


def parse_detach_keys(text: str) -> bytes:
    """Reads `ctrl-p,ctrl-q` or `ctrl-a,d`; empty for none. Raises InvalidInputError."""
    keys = bytearray()
    for key in filter(None, text.split(",")):
        name = key.removeprefix("ctrl-")
        if key == name and len(key.encode()) == 1:
            keys += key.encode()
        elif key != name and len(name) == 1 and "@" <= name.upper() <= "_":
            keys.append(ord(name.upper()) & 0x1F)
        else:
            raise InvalidInputError(f"invalid detach key {key!r}", hint="write for example ctrl-p,ctrl-q or ctrl-a,d")
    return bytes(keys)


class DetachFilter:
    """Finds the detach keys in what is typed. What may be their beginning is held back until the next key tells."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = 0

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """What to pass on, and whether the keys are complete; what was typed behind them is dropped."""
        passed = bytearray()
        for byte in typed:
            if self._keys and byte == self._keys[self._held]:
                self._held += 1
                if self._held == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._held]
            self._held = 0
            if self._keys and byte == self._keys[0]:
                self._held = 1
                if len(self._keys) == 1:
                    return bytes(passed), True
            else:
                passed.append(byte)
        return bytes(passed), False


class Attachment:
    """A connection to a container's standard streams. Connected before the start, it misses nothing.

    It has to be relayed until its end or closed: a container whose output is not taken away comes to a halt. Not
    thread-safe, except `resize`.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        bundle: Path,
        stdin: int | None,
        stdout: int,
        stderr: int,
        tty: bool = False,
    ) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._bundle = bundle
        self._stdin = stdin
        self._outputs = {2: stdout, _STDERR: stderr}
        self._tty = tty
        self._to_container = b""
        self._to_caller = b""
        self._output = stdout
        self._end_of_input = False

    @classmethod
    def open(cls, bundle: Path, *, stdin: int | None, stdout: int, stderr: int, tty: bool = False) -> Attachment:
        """Connects to the monitor of a bundle. The descriptors stay the caller's; `tty` as the container has it.

        Raises MonitorLostError if nobody listens.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # The path may be longer than a socket's name can be; one through a descriptor is not.
            directory = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                connection.connect(f"/proc/self/fd/{directory}/attach")
            finally:
                os.close(directory)
        except OSError as error:
            connection.close()
            raise MonitorLostError(
                f"attaching to {bundle}: {error.strerror}", hint="the container has ended, or is not created yet"
            ) from error
        return cls(connection, bundle=bundle, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)

    def __enter__(self) -> Attachment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leaves; the container goes on."""
        self._socket.close()

    def resize(self, *, rows: int, columns: int) -> None:
        """Tells the container's terminal its size; nothing happens if the container has ended.

        Returns when the monitor has taken it, so that a container that is started next begins with that size.
        """
        with suppress(OSError), ExitStack() as stack:
            fifos = []
            # conmon passes it on to itself through a second fifo.
            for name in ("ctl", "winsz"):
                fifos.append(os.open(self._bundle / name, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
                stack.callback(os.close, fifos[-1])
            os.write(fifos[0], build_resize(rows, columns))
            deadline = Deadline.after(_RESIZE_PATIENCE_S)
            while any(count_unread(fifo) for fifo in fifos) and not deadline.expired:
                time.sleep(_RESIZE_PAUSE_S)

    def relay(
        self, *, detach_keys: bytes = b"", watch: Mapping[int, Callable[[], None]] | None = None
    ) -> AttachEnd:
        """Passes data both ways until the container ends, or the detach keys come.

        `watch`: descriptors with what to call when they are readable, for signals and the like. The end of the input is
        passed on as well; output goes on after it.
        """
        detach = DetachFilter(detach_keys)
        watch = watch or {}
        while True:
            ready = self._wait(watch)
            for descriptor, call in watch.items():
                if ready.get(descriptor):
                    call()
            if self._to_container and ready.get(self._socket.fileno(), 0) & ~select.POLLIN:
                self._send()
            if self._stdin is not None and ready.get(self._stdin) and self._read_input(detach):
                return AttachEnd.DETACHED
            if self._to_caller:
                if ready.get(self._output) and not self._write():
                    return AttachEnd.OUTPUT_CLOSED
            elif ready.get(self._socket.fileno(), 0) & ~select.POLLOUT and not self._receive():
                return AttachEnd.CONTAINER

    def _wait(self, watch: Mapping[int, Callable[[], None]]) -> dict[int, int]:
        interest = dict.fromkeys(watch, select.POLLIN)
        # Output that the caller does not take holds up the container, and only the container.
        wanted = 0 if self._to_caller else select.POLLIN
        wanted |= select.POLLOUT if self._to_container else 0
        if wanted:
            interest[self._socket.fileno()] = wanted
        if self._to_caller:
            interest[self._output] = select.POLLOUT
        if self._stdin is not None and not self._to_container:
            # It may be the terminal that the output goes to.
            interest[self._stdin] = interest.get(self._stdin, 0) | select.POLLIN
        poll = select.poll()
        for descriptor, events in interest.items():
            poll.register(descriptor, events)
        return dict(poll.poll())

    def _read_input(self, detach: DetachFilter) -> bool:
        assert self._stdin is not None
        if self._to_container:
            return False
        try:
            typed = os.read(self._stdin, _MOST_READ)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            # A terminal that was hung up.
            typed = b""
        if not typed:
            self._stdin = None
            self.end_input()
            return False
        self._to_container, detached = detach.feed(typed)
        if self._to_container:
            self._send()
        return detached

    def _send(self) -> None:
        chunk = self._to_container[:MOST_STDIN_BYTES]
        try:
            sent = self._socket.send(chunk)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise
            # The container takes no more input; what it still says comes first.
            self._stdin, self._to_container = None, b""
            return
        self._to_container = self._to_container[sent:]
        self._close_input()

    def end_input(self) -> None:
        """Passes on that there is no more input."""
        self._end_of_input = True
        if self._tty:
            # A terminal has no end of file but the key for it.
            self._to_container = _END_OF_TRANSMISSION
            self._send()
        else:
            self._close_input()

    def _close_input(self) -> None:
        if self._end_of_input and not self._tty and not self._to_container:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def _receive(self) -> bool:
        try:
            packet = self._socket.recv(_MOST_PACKET)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        if not packet:
            return False
        self._output = self._outputs.get(packet[0], self._outputs[2])
        self._to_caller = packet[1:]
        return True

    def _write(self) -> bool:
        try:
            written = os.write(self._output, self._to_caller[:_MOST_WRITE])
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            return False
        self._to_caller = self._to_caller[written:]
        return True
