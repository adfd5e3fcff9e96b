"""The processes of a container that has no PID namespace of its own, found and ended one by one.

Where it has one the end of its first process is the end of all, and nothing of this is needed. They are looked for in
this process's own /proc, so that their numbers are those by which this process can signal them.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import DeadlineExceededError

if TYPE_CHECKING:
    from pytest_pods.engine.deadline import Deadline
    from pytest_pods.engine.records import ContainerRecord

_PAUSE_S = 0.002


def find_members(container_id: str, *, proc: Path = Path("/proc")) -> list[int]:
    """Pids of the processes whose root is the container's, also of those that its first process did not start.

    The upper directory of the root's overlay has the container's ID in its path, which nobody inside can change.
    """
    found = []
    for entry in os.scandir(proc):
        if entry.name.isdigit():
            with suppress(OSError):
                if has_root(Path(entry.path, "mountinfo").read_bytes(), container_id):
                    found.append(int(entry.name))
    return found


def has_root(mountinfo: bytes, container_id: str) -> bool:
    """Whether a process with these mounts has the container's root as its own."""
    needle = container_id.encode()
    # In the sandbox the overlay is mounted as well, but not as the root.
    return any(needle in line and line.split(b" ", 5)[4] == b"/" for line in mountinfo.splitlines())


def end_members(record: ContainerRecord, *, deadline: Deadline) -> None:
    """Kills until none is left, since they may start others meanwhile. Raises DeadlineExceededError."""
    while members := find_members(record.id):
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if deadline.expired:
            raise DeadlineExceededError(f"processes of container {record.name} do not end: {members}")
        time.sleep(_PAUSE_S)
