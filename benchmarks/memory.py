"""What a running container costs in memory besides its own processes and its monitor."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pytest_pods import Engine

CONTAINERS = 20


def memory_of_a_container(pods: Engine, image: str) -> float:
    """MB for each of some containers: growth of this process and of the sandbox; a shared page counts by its share."""
    pods.run(image, ["sleep", "600"], network="none").remove()
    before = _engine_bytes()
    containers = [pods.run(image, ["sleep", "600"], network="none") for _ in range(CONTAINERS)]
    after = _engine_bytes()
    for container in containers:
        container.remove()
    return (after - before) / CONTAINERS / 1e6


def _engine_bytes() -> int:
    """Of this process and of the helper's; conmon and what runs in containers is not the engine's."""
    return sum(_proportional_bytes(pid) for pid in {os.getpid(), *_helpers()})


def _helpers() -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            program = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0", 1)[0]
            if program.endswith(b"nsenter_helper") or b"pytest-pods" in program:
                found.append(int(name))
    return found


def _proportional_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
