"""One connection to a sandbox: numbered requests, many in flight, answered by a reader thread.

Owns the socket and the thread; knows nothing of what the messages mean beyond OK, ERROR and EXITED.
"""

from __future__ import annotations

import array
import errno
import itertools
import os
import socket
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import (
    DeadlineExceededError,
    ProtocolError,
    SandboxLostError,
    SystemCallError,
)
from pytest_pods.engine.host.pipes import wait_readable
from pytest_pods.engine.host.protocol import MOST_BYTES, MOST_DESCRIPTORS, Answer, Kind, Message, Tag, parse_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE_S = 120.0
"""Longest time for one request. The sandbox answers in microseconds; this only bounds a machine that hangs."""

_open_channels: weakref.WeakSet[Channel] = weakref.WeakSet()


class SandboxProcess:
    """A process that the sandbox started; `pid` counts in the session's PID namespace."""

    def __init__(self, channel: Channel, argv0: str) -> None:
        self._channel = channel
        self._ended = threading.Event()
        self._status: int | None = None
        self._argv0 = argv0
        self.pid = 0
        self.pidfd: int | None = None

    def poll(self) -> int | None:
        """The exit status, -n after signal n, None while the process runs. Raises SandboxLostError."""
        if self._status is None and self._ended.is_set():
            raise self._channel.lost_error()
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """The exit status as `poll`; raises DeadlineExceededError after `timeout` seconds, SandboxLostError."""
        if not self._ended.wait(timeout):
            raise DeadlineExceededError(f"{self._argv0} (pid {self.pid}) still runs after {timeout:.1f} s")
        status = self.poll()
        assert status is not None
        return status

    def kill(self, signal: int = 9) -> None:
        """Sends a signal; nothing happens if the process has ended."""
        if self._ended.is_set():
            return
        try:
            self._channel.request(Message(Kind.SIGNAL).u32(Tag.PID, self.pid).u32(Tag.SIGNAL, signal))
        except SystemCallError as error:
            if error.errno != errno.ESRCH:
                raise

    def close_pidfd(self) -> None:
        """Gives the pidfd back, where one was asked for."""
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

    def _end(self, status: int | None) -> None:
        self._status = status
        self._ended.set()


class _Pending:
    __slots__ = ("answer", "descriptors", "done")

    def __init__(self) -> None:
        # Held until there is an answer, or never will be: an Event does the same in four times the time.
        self.done = threading.Lock()
        self.done.acquire()
        self.answer: Answer | None = None
        self.descriptors: list[int] = []


class Channel:
    """The caller's end of a control socket. Thread-safe; dead in a forked child of the process that opened it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, _Pending] = {}
        self._processes: dict[int, SandboxProcess] = {}
        self._lost: str | None = None
        self._owner = os.getpid()
        self._reader: threading.Thread | None = None
        # One for all messages: to allocate so much for each takes longer than to read it.
        self._room = memoryview(bytearray(MOST_BYTES))
        _open_channels.add(self)

    def read_ready(self, timeout_s: float) -> Answer:
        """The sandbox's first message, before `start_reading`; SystemCallError if the sandbox could not start."""
        if not wait_readable(self._connection.fileno(), timeout_s):
            raise SandboxLostError(f"the sandbox did not come up within {timeout_s:.0f} s")
        packet, descriptors = self._receive()
        _close_all(descriptors)
        if not packet:
            raise SandboxLostError("the sandbox ended while it started")
        answer = parse_answer(packet)
        if answer.kind == Kind.ERROR:
            raise _translate(answer, "starting the sandbox")
        if answer.kind != Kind.READY:
            raise ProtocolError(f"the sandbox's first message has the kind {answer.kind}, not READY")
        return answer

    def start_reading(self) -> None:
        """Starts the reader thread; from here on requests are answered."""
        self._reader = threading.Thread(target=self._read_all, name="pytest-pods sandbox", daemon=True)
        self._reader.start()

    @property
    def lost(self) -> str | None:
        """Why the connection has ended, None while it is there."""
        return self._lost

    def lost_error(self) -> SandboxLostError:
        return SandboxLostError(
            f"the sandbox of the session is gone: {self._lost or 'unknown reason'}",
            hint="everything that ran in it has ended; a new session works",
        )

    def request(
        self, message: Message, *, descriptors: Sequence[int] = (), subject: str = ""
    ) -> tuple[Answer, list[int]]:
        """Sends a request and waits for its answer: the OK, and the descriptors with it, which are the caller's.

        Raises SystemCallError for an ERROR, SandboxLostError.
        """
        return self._exchange(message, descriptors, None, subject)

    def spawn(self, message: Message, *, descriptors: Sequence[int], argv0: str) -> SandboxProcess:
        """Sends a SPAWN; the process's end is recorded as it comes. Raises SystemCallError, SandboxLostError."""
        process = SandboxProcess(self, argv0)
        answer, received = self._exchange(message, descriptors, process, argv0)
        process.pid = answer.number(Tag.PID)
        if received:
            process.pidfd = received.pop()
            _close_all(received)
        return process

    def close(self, reason: str = "it was closed") -> None:
        """Ends the connection; whoever still waits gets SandboxLostError."""
        self._fail(reason)
        _open_channels.discard(self)
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        reader = self._reader
        if reader is not None and reader is not threading.current_thread() and self._owner == os.getpid():
            reader.join(timeout=5)
        self._connection.close()

    def await_end(self, timeout_s: float) -> bool:
        """Waits until the sandbox has closed its end; False after `timeout_s`."""
        reader = self._reader
        if reader is None:
            return True
        reader.join(timeout=timeout_s)
        return not reader.is_alive()

    def _exchange(
        self, message: Message, descriptors: Sequence[int], process: SandboxProcess | None, subject: str
    ) -> tuple[Answer, list[int]]:
        if self._owner != os.getpid():
            raise SandboxLostError("the session belongs to the process that this one was forked from")
        message_id = next(self._ids)
        packet = message.pack(message_id)
        if len(packet) > MOST_BYTES or len(descriptors) > MOST_DESCRIPTORS:
            raise SystemCallError(
                f"{message.kind.name} of {subject or 'the sandbox'}: {len(packet)} bytes and {len(descriptors)}"
                " descriptors are more than one message takes",
                call="sendmsg",
                errno=errno.EMSGSIZE,
                subject=subject,
            )
        pending = _Pending()
        with self._lock:
            if self._lost is not None:
                raise self.lost_error()
            self._pending[message_id] = pending
            if process is not None:
                self._processes[message_id] = process
        try:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            self._connection.sendmsg([packet], rights)
        except OSError as error:
            self._forget(message_id)
            if error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF):
                self._fail(f"sending failed: {error.strerror}")
                raise self.lost_error() from error
            raise SystemCallError(
                f"sending {message.kind.name} to the sandbox: {error.strerror}", call="sendmsg", errno=error.errno or 0
            ) from error
        if not pending.done.acquire(timeout=_PATIENCE_S):
            self._forget(message_id)
            raise SandboxLostError(f"the sandbox has not answered {message.kind.name} for {_PATIENCE_S:.0f} s")
        if pending.answer is None:
            self._forget(message_id)
            raise self.lost_error()
        if pending.answer.kind == Kind.ERROR:
            self._forget(message_id)
            _close_all(pending.descriptors)
            raise _translate(pending.answer, f"{message.kind.name.lower()} {subject}".rstrip())
        return pending.answer, pending.descriptors

    def _forget(self, message_id: int) -> None:
        with self._lock:
            self._pending.pop(message_id, None)
            self._processes.pop(message_id, None)

    def _receive(self) -> tuple[bytes, list[int]]:
        space = socket.CMSG_SPACE(MOST_DESCRIPTORS * 4)
        length, ancillary, _, _ = self._connection.recvmsg_into([self._room], space, socket.MSG_CMSG_CLOEXEC)
        descriptors = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        return bytes(self._room[:length]), list(descriptors)

    def _read_all(self) -> None:
        reason = "it ended"
        while True:
            try:
                packet, descriptors = self._receive()
            except OSError as error:
                reason = f"its socket failed: {error.strerror}"
                break
            if not packet:
                break
            try:
                self._dispatch(parse_answer(packet), descriptors)
            except ProtocolError as error:
                reason = error.brief
                break
        self._fail(reason)

    def _dispatch(self, answer: Answer, descriptors: list[int]) -> None:
        if answer.kind == Kind.EXITED:
            with self._lock:
                process = self._processes.pop(answer.id, None)
            if process is not None:
                process._end(os.waitstatus_to_exitcode(answer.number(Tag.STATUS)))
            _close_all(descriptors)
            return
        with self._lock:
            pending = self._pending.pop(answer.id, None)
        if pending is None:
            _close_all(descriptors)
            return
        pending.answer = answer
        pending.descriptors = descriptors
        pending.done.release()

    def _fail(self, reason: str) -> None:
        with self._lock:
            if self._lost is None:
                self._lost = reason
            pending, self._pending = self._pending, {}
            processes, self._processes = self._processes, {}
        for one in pending.values():
            one.done.release()
        for process in processes.values():
            process._end(None)


def _translate(answer: Answer, doing: str) -> SystemCallError:
    number = answer.number(Tag.ERRNO)
    call, subject, more = (answer.find_text(tag) for tag in (Tag.CALL, Tag.SUBJECT, Tag.MESSAGE))
    reason = os.strerror(number) if number else "failed"
    brief = (
        f"{doing}: {call + ': ' if call else ''}{subject + ': ' if subject and subject not in doing else ''}{reason}"
    )
    return SystemCallError(brief, call=call, errno=number, subject=subject, details=more or None)


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _abandon_in_child() -> None:
    # A forked child must not keep the sandbox's connection open, nor read answers that are meant for its parent.
    for channel in list(_open_channels):
        channel._lost = "this process is a fork of the one that opened the session"
        channel._connection.close()
    _open_channels.clear()


os.register_at_fork(after_in_child=_abandon_in_child)
