"""The processes of a container, as the session's sandbox sees them.

Its /proc shows those of every user of the container to an ordinary user too, with the container's own user ids. A
process is the container's if the container's root is its own: so it does not matter who has started it, nor whether
there are PID namespaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SystemCallError, WrongStateError
from pytest_pods.engine.runtime.processes import (
    ContainerProcess,
    ProcessTexts,
    count_pid_namespaces,
    parse_process,
    parse_proportional_memory,
)
from pytest_pods.engine.services.creation import read_in_sandbox
from pytest_pods.engine.services.members import has_root

if TYPE_CHECKING:
    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.records import ContainerRecord, ContainerState

_GONE = (SystemCallError, OSError, ValueError, KeyError, IndexError)


def list_processes(sandbox: Sandbox, record: ContainerRecord, state: ContainerState) -> list[ContainerProcess]:
    """By number; one that ends meanwhile is passed over. Raises WrongStateError if the container does not run."""
    if not state.running:
        raise WrongStateError(f"container {record.name} does not run (it is {state.status})")
    processes = dict(read_processes(sandbox, record.id, container_pid=state.container_pid))
    numbers = {pid: one.pid for pid, one in processes.items()}
    found = [replace(one, parent=numbers.get(one.parent, 0)) for one in processes.values()]
    return sorted(found, key=lambda one: one.pid)


def read_processes(
    sandbox: Sandbox, container_id: str, *, container_pid: int | None
) -> Iterator[tuple[int, ContainerProcess]]:
    """Number in the sandbox's PID namespace, in which `parent` counts too, and process."""
    ticks = os.sysconf("SC_CLK_TCK")
    depth = 1
    # Each file may be gone, or unreadable, because the process has ended.
    with suppress(*_GONE):
        depth = count_pid_namespaces(_read_text(sandbox, f"/proc/{container_pid}/status"))
    for pid in _list_pids(sandbox):
        with suppress(*_GONE):
            if not has_root(read_in_sandbox(sandbox, f"/proc/{pid}/mountinfo"), container_id):
                continue
            texts = _read_texts(sandbox, pid)
            # What waits for an executed command has the container's root, but is outside of its PID namespace.
            if count_pid_namespaces(texts.status) >= depth:
                yield pid, parse_process(texts, ticks_per_s=ticks)


def read_proportional_memory(sandbox: Sandbox, pid: int) -> int | None:
    """The memory of a process by its number in the sandbox's PID namespace, None where it cannot be told."""
    try:
        return parse_proportional_memory(_read_text(sandbox, f"/proc/{pid}/smaps_rollup"))
    except (SystemCallError, OSError):
        return None


def _list_pids(sandbox: Sandbox) -> list[int]:
    directory = sandbox.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return [int(name) for name in os.listdir(directory) if name.isdecimal()]
    finally:
        os.close(directory)


def _read_texts(sandbox: Sandbox, pid: int) -> ProcessTexts:
    return ProcessTexts(
        status=_read_text(sandbox, f"/proc/{pid}/status"),
        stat=_read_text(sandbox, f"/proc/{pid}/stat"),
        command_line=read_in_sandbox(sandbox, f"/proc/{pid}/cmdline"),
    )


def _read_text(sandbox: Sandbox, path: str) -> str:
    return read_in_sandbox(sandbox, path).decode("utf-8", "replace")
