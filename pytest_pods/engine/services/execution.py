"""Executing commands in a running container: the fast way through the native helper, and runc's own."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import CommandError, DeadlineExceededError
from pytest_pods.engine.host.channel import SandboxProcess
from pytest_pods.engine.host.pipes import MemoryFile, Pipe

_CHUNK = 65536
_DRAIN_LIMIT = 1 << 24


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


def run_captured(start: Starter, argv: Sequence[str], *, stdin: bytes | None, timeout: float | None) -> ExecResult:
    """Runs a command to its end, feeding `stdin`.

    After `timeout` the command is killed and DeadlineExceededError raised.
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
        output = _collect(process, {out.reading: bytearray(), err.reading: bytearray()}, deadline, argv)
        status = process.wait(deadline.remaining)
        stdout, stderr = output[out.reading], output[err.reading]
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


def _collect(
    process: SandboxProcess, output: dict[int, bytearray], deadline: Deadline, argv: Sequence[str]
) -> dict[int, bytearray]:
    poll = select.poll()
    for descriptor in output:
        poll.register(descriptor, select.POLLIN)
    assert process.pidfd is not None
    poll.register(process.pidfd, select.POLLIN)
    open_ends = set(output)
    while True:
        left = deadline.remaining
        events = dict(poll.poll(None if left is None else left * 1000))
        for descriptor in open_ends & set(events):
            if not _read_available(descriptor, output[descriptor]):
                poll.unregister(descriptor)
                open_ends.discard(descriptor)
        if process.pidfd in events:
            # A child that it left in the background may hold the pipes open: what is there now is all that counts.
            for descriptor in open_ends:
                _read_available(descriptor, output[descriptor])
            return output
        if deadline.expired:
            process.kill()
            raise DeadlineExceededError(f"{' '.join(argv)!r} still ran after {deadline.elapsed:.1f} s and was killed")


def _read_available(descriptor: int, into: bytearray) -> bool:
    """Reads what is there; False at the end of the file."""
    read = 0
    while read < _DRAIN_LIMIT:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        into += chunk
        read += len(chunk)
    return True
