"""A launcher without a sandbox: children of this process. For work that has to be root's and needs no namespace."""

from __future__ import annotations

import fcntl
import os
import select
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import DeadlineExceededError, SystemCallError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_HIGH = 200


class DirectProcess:
    """A child of this process. Nobody else may wait for it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._status: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    def poll(self) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        if self._status is None and timeout is not None:
            self._await_end(timeout)
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._status

    def _await_end(self, timeout: float) -> None:
        descriptor = os.pidfd_open(self._pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(timeout * 1000):
                raise DeadlineExceededError(f"process {self._pid} still runs after {timeout:.1f} s")
        finally:
            os.close(descriptor)

    def kill(self, signal: int = 9) -> None:
        # Not yet waited for, so that the number still means this process.
        if self.poll() is None:
            os.kill(self._pid, signal)


class DirectLauncher:
    """Starts children of this process, in its own namespaces."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        descriptors: Mapping[int, int] | None = None,
    ) -> DirectProcess:
        """As `Launcher.spawn`."""
        program = argv[0]
        if cwd is not None:
            # posix_spawn changes no directory, and forking a process that has threads is not safe.
            argv = ["/usr/bin/env", "-C", str(cwd), *argv]
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
        with ExitStack() as stack:
            for number in {0, 1, 2} - set(descriptors or ()):
                actions.append((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0))
            for number, descriptor in (descriptors or {}).items():
                # Out of the way first: one's target may be another's source.
                away = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
                stack.callback(os.close, away)
                actions.append((os.POSIX_SPAWN_DUP2, away, number))
            try:
                pid = os.posix_spawn(
                    argv[0],
                    list(argv),
                    env,
                    file_actions=actions,
                    setsid=True,
                    setsigmask=(),
                    setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ),
                )
            except OSError as error:
                raise SystemCallError(
                    f"cannot execute {program}: {os.strerror(error.errno or 0)}",
                    call="execve",
                    errno=error.errno or 0,
                    subject=program,
                ) from error
        return DirectProcess(pid)
