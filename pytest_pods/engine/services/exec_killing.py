"""Ending a command in a container together with what it has started, which nobody would wait for any more.

Whoever executes it for us is its parent, and it is the leader of a process session, which its children belong to.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SystemCallError
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.engine.host.channel import SandboxProcess
    from pytest_pods.engine.host.sandbox import Sandbox

_MOST_ROUNDS = 10


@frozen
class _Seen:
    """A process that has not ended; numbers count in the session's PID namespace."""

    pid: int
    parent: int
    session: int


def kill_execution(sandbox: Sandbox, process: SandboxProcess) -> None:
    """Kills what executes a command, the command, and all of its process session; what left that, as a daemon does,
    stays."""
    seen = _list_processes(sandbox)
    sessions = {one.pid for one in seen if one.parent == process.pid}
    for _ in range(_MOST_ROUNDS):
        # Again, since a shell may have started its next command between the look and its end.
        victims = [one.pid for one in seen if one.session in sessions]
        if not victims:
            break
        for pid in victims:
            with suppress(SystemCallError):
                sandbox.signal(pid, 9)
        seen = _list_processes(sandbox)
    process.kill()


def _list_processes(sandbox: Sandbox) -> list[_Seen]:
    # By one descriptor of the sandbox's own /proc: a request for each process would take its time.
    proc = sandbox.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return [*_read_processes(proc)]
    finally:
        os.close(proc)


def _read_processes(proc: int) -> Iterator[_Seen]:
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            descriptor = os.open(f"{name}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        except OSError:
            # It has ended meanwhile.
            continue
        try:
            content = os.read(descriptor, 4096)
        except OSError:
            continue
        finally:
            os.close(descriptor)
        # The name in parentheses may have anything in it, spaces and parentheses too.
        fields = content.rpartition(b")")[2].split()
        if len(fields) >= 4 and fields[0] not in (b"Z", b"X"):
            yield _Seen(int(name), parent=int(fields[1]), session=int(fields[3]))
