"""The processes of a container, as this machine's /proc tells of them."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_pods.cli.formats import format_size
from pytest_pods.engine.services.members import find_members

_LONGEST_COMMAND = 80


@dataclass(frozen=True, slots=True)
class Process:
    """`pid` counts in the container's PID namespace, `parent` is 0 for one that has none there."""

    user: int
    pid: int
    parent: int
    cpu_seconds: float
    memory: str
    command: str


def read_processes(container_id: str) -> list[Process]:
    """By number; one that ends meanwhile is passed over."""
    found: dict[int, Process] = {}
    parents: dict[int, int] = {}
    for host_pid in find_members(container_id):
        with suppress(OSError, ValueError, KeyError, IndexError):
            found[host_pid], parents[host_pid] = _read(Path("/proc", str(host_pid)))
    processes = [
        Process(one.user, one.pid, found[parents[pid]].pid if parents[pid] in found else 0,
                one.cpu_seconds, one.memory, one.command)
        for pid, one in found.items()
    ]  # fmt: skip
    return sorted(processes, key=lambda one: one.pid)


def _read(directory: Path) -> tuple[Process, int]:
    status = dict(
        line.split(":", 1) for line in (directory / "status").read_text("utf-8", "replace").splitlines() if ":" in line
    )
    times = (directory / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    ticks = int(times[11]) + int(times[12])
    words = (directory / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    command = " ".join(words).strip() or f"[{status['Name'].strip()}]"
    process = Process(
        user=int(status["Uid"].split()[1]),
        pid=int(status["NSpid"].split()[-1]),
        parent=0,
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        memory=format_size(int(status.get("VmRSS", "0 kB").split()[0]) * 1024),
        command=command[:_LONGEST_COMMAND],
    )
    return process, int(status["PPid"])
