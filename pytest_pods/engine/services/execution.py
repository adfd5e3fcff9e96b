"""Executing commands in a running container: the fast way through the native helper, and runc's own."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import CommandError, DeadlineExceededError
from pytest_pods.engine.host.channel import SandboxProcess
from pytest_pods.engine.host.pipes import MemoryFile, Pipe
from pytest_pods.frozen import frozen

_CHUNK = 65536
_DRAIN_LIMIT = 1 << 24


@frozen
class ExecResult:
    """What a command did: its exit code (128+n after signal n), output as text (UTF-8, undecodable bytes replaced)."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    duration_s: float

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    def check(self, container: str) -> ExecResult:
        """Returns itself, or raises CommandError if the exit code is not 0."""
        if self.ok:
            return self
        tail = "\n".join((self.stderr or self.stdout).splitlines()[-20:])
        raise CommandError(
            f"{' '.join(self.argv)!r} in container {container} ended with exit code {self.exit_code}",
            argv=self.argv,
            status=self.exit_code,
            stderr=self.stderr,
            details=tail or None,
        )


@frozen
class ExecRequest:
    """A command to execute in a container; None means as the container's own process has it."""

    argv: tuple[str, ...]
    user: str | None = None
    workdir: str | None = None
    env: Mapping[str, str] | None = None
    privileged: bool = False
    tty: bool = False


Starter = Callable[[Mapping[int, int]], SandboxProcess]
"""Starts the command with the given descriptors as 0, 1 and 2; the process has a pidfd."""


def run_captured(
    start: Starter,
    argv: Sequence[str],
    *,
    stdin: bytes | None,
    timeout: float | None,
    kill: Callable[[SandboxProcess], None],
    most: int | None = None,
) -> ExecResult:
    """Runs a command to its end, feeding `stdin`; of each output the first `most` bytes are kept.

    After `timeout` the command is killed, by `kill`, and DeadlineExceededError raised.
    """
    began = time.monotonic()
    deadline = Deadline.after(timeout)
    with ExitStack() as stack:
        given = {} if stdin is None else {0: stack.enter_context(MemoryFile(stdin))}
        out, err = stack.enter_context(Pipe()), stack.enter_context(Pipe())
        process = start({**given, 1: out.writing, 2: err.writing})
        stack.callback(process.close_pidfd)
        for pipe in (out, err):
            pipe.close_writing()
            os.set_blocking(pipe.reading, False)
        collection = _Collection(process, (out.reading, err.reading), most=most)
        if not collection.fill(deadline):
            kill(process)
            raise DeadlineExceededError(f"{' '.join(argv)!r} still ran after {deadline.elapsed:.1f} s and was killed")
        status = process.wait(deadline.remaining)
        stdout, stderr = (collection.output[pipe.reading] for pipe in (out, err))
    return ExecResult(
        tuple(argv),
        128 - status if status < 0 else status,
        stdout.decode("utf-8", "replace"),
        stderr.decode("utf-8", "replace"),
        time.monotonic() - began,
    )


def run_attached(start: Starter, *, stdin: int | None, stdout: int, stderr: int) -> int:
    """Runs a command on descriptors of the caller, and returns its exit code."""
    process = start({**({} if stdin is None else {0: stdin}), 1: stdout, 2: stderr})
    try:
        status = process.wait()
    finally:
        process.close_pidfd()
    return 128 - status if status < 0 else status


class _Collection:
    """What a process writes into pipes, read as it comes."""

    def __init__(self, process: SandboxProcess, descriptors: Sequence[int], *, most: int | None) -> None:
        self.output = {descriptor: bytearray() for descriptor in descriptors}
        self._process = process
        self._most = most

    def fill(self, deadline: Deadline) -> bool:
        """Until the process ends; False if it still runs at the deadline."""
        poll = select.poll()
        for descriptor in self.output:
            poll.register(descriptor, select.POLLIN)
        pidfd = self._process.pidfd
        assert pidfd is not None
        poll.register(pidfd, select.POLLIN)
        open_ends = set(self.output)
        while True:
            left = deadline.remaining
            events = dict(poll.poll(None if left is None else left * 1000))
            for descriptor in open_ends & set(events):
                if not self._read_available(descriptor):
                    poll.unregister(descriptor)
                    open_ends.discard(descriptor)
            if pidfd in events:
                # A child that it left in the background may hold the pipes open: what is there now is all that counts.
                for descriptor in open_ends:
                    self._read_available(descriptor)
                return True
            if deadline.expired:
                return False

    def _read_available(self, descriptor: int) -> bool:
        """Reads what is there; False at the end of the file."""
        read = 0
        while read < _DRAIN_LIMIT:
            try:
                chunk = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self._keep(self.output[descriptor], chunk)
            read += len(chunk)
        return True

    def _keep(self, kept: bytearray, chunk: bytes) -> None:
        # What is beyond is read all the same: its writer must not wait for us.
        kept += chunk if self._most is None else chunk[: max(0, self._most - len(kept))]
