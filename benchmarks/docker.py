"""Docker as the thing to compare with: a daemon and namespaces of its own, nothing of the machine's is touched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_START_S = 60


@dataclass(frozen=True, slots=True)
class Docker:
    """A running daemon. Ports that its containers publish are those of its network namespace."""

    directory: Path
    daemon_pid: int

    @property
    def socket(self) -> Path:
        return self.directory / "docker.sock"

    @property
    def environment(self) -> dict[str, str]:
        """What clients find the daemon by."""
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def inside(self, command: list[str]) -> list[str]:
        """The command, to be run where published ports are."""
        return ["nsenter", f"--net=/proc/{self.daemon_pid}/ns/net", "--", *command]

    def run(self, *arguments: str) -> str:
        """`docker ARGUMENTS…`; raises RuntimeError with what it said."""
        done = subprocess.run(
            ["/usr/bin/docker", *arguments],
            env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout


@contextmanager
def private_docker(directory: Path) -> Iterator[Docker]:
    """A daemon with its files below `directory`; everything of it is gone at the end."""
    if shutil.which("dockerd") is None:
        raise FileNotFoundError("dockerd is missing: make bench installs it")
    directory.mkdir(exist_ok=True)
    groups = f"pods-bench-{os.getpid()}"
    with (directory / "log").open("wb") as log:
        # The daemon is the first process of its PID namespace: what it leaves behind ends with it.
        daemon = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "sh", "-ec",
             f"ip link set lo up; exec dockerd -H unix://{directory}/docker.sock --data-root {directory}/data"
             f" --exec-root {directory}/run --pidfile {directory}/pid --cgroup-parent /{groups}"
             " --storage-driver overlay2"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield _await_daemon(Docker(directory, _find_child(daemon)), daemon)
    finally:
        _end(daemon)
        _remove_groups(groups)


def _find_child(daemon: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
    end = time.monotonic() + _START_S
    while daemon.poll() is None and time.monotonic() < end:
        if text := children.read_text().split():
            return int(text[0])
        time.sleep(0.01)
    raise RuntimeError("dockerd did not start: unshare ended")


def _await_daemon(docker: Docker, daemon: subprocess.Popen[bytes]) -> Docker:
    end = time.monotonic() + _START_S
    while daemon.poll() is None and time.monotonic() < end:
        with suppress(RuntimeError):
            docker.run("version")
            return docker
        time.sleep(0.1)
    log = (docker.directory / "log").read_text(errors="replace")
    raise RuntimeError(f"dockerd did not start: {log[-2000:]}")


def _end(daemon: subprocess.Popen[bytes]) -> None:
    # By its own end it takes down what it has mounted and started; the namespace ends what is left.
    with suppress(OSError, RuntimeError):
        os.kill(_find_child(daemon), signal.SIGTERM)
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _remove_groups(name: str) -> None:
    """Control groups outlive their processes."""
    root = Path("/sys/fs/cgroup")
    for parent in (root / name, *root.glob(f"*/{name}")):
        for directory, _, _ in [*os.walk(parent)][::-1]:
            with suppress(OSError):
                os.rmdir(directory)
