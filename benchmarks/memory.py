"""What a running container costs in memory besides its own processes and its monitor."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from pytest_pods import Engine

CONTAINERS = 20


def memory_of_a_container(root: Path, image: str) -> float:
    """MB for each of some containers, in a process of its own: what others have left free there would hide it."""
    argv = [sys.executable, "-m", "benchmarks.memory", str(root), image]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


def _measure(pods: Engine, image: str) -> float:
    """Growth of this process and of the sandbox's. Shared pages count in full: by its share, a process would shrink
    whenever another one loads the same library."""
    pods.run(image, ["sleep", "600"], network="none").remove()
    before = _engine_bytes()
    for _ in range(CONTAINERS):
        pods.run(image, ["sleep", "600"], network="none")
    return (_engine_bytes() - before) / CONTAINERS / 1e6


def _engine_bytes() -> int:
    """Of this process and of the helper's; conmon and what runs in containers is not the engine's."""
    return sum(_resident_bytes(pid) for pid in {os.getpid(), *_helpers()})


def _helpers() -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            program = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0", 1)[0]
            if program.endswith(b"nsenter_helper") or b"pytest-pods" in program:
                found.append(int(name))
    return found


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    with Engine.open(root=Path(sys.argv[1])) as pods:
        print(_measure(pods, sys.argv[2]))


if __name__ == "__main__":
    main()
