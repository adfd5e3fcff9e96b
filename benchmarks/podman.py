"""podman as the thing to compare with: its own store and run directory, nothing of the machine's podman is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# runc as we use it, its newer network back end, no journal and no systemd: the fastest that it can be here. The limits
# are ones that an ordinary process may set.
_CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""


@dataclass(frozen=True, slots=True)
class Podman:
    """A private podman."""

    program: str
    directory: Path

    def elsewhere(self, directory: Path) -> Podman:
        """The same podman with an empty store."""
        directory.mkdir()
        shutil.copy(self.directory / "containers.conf", directory)
        return Podman(self.program, directory)

    def run(self, *arguments: str) -> str:
        """`podman ARGUMENTS…`; raises RuntimeError with what it said."""
        done = subprocess.run(
            [self.program, *self.options, *arguments],
            env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"podman {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    @property
    def options(self) -> list[str]:
        places = ["--root", str(self.directory / "root"), "--runroot", str(self.directory / "run")]
        return [*places, "--tmpdir", str(self.directory / "run" / "tmp"), "--storage-driver", "overlay"]

    @property
    def environment(self) -> dict[str, str]:
        return {"CONTAINERS_CONF": str(self.directory / "containers.conf")}


@contextmanager
def private_podman(directory: Path) -> Iterator[Podman]:
    """A podman with its files below `directory`; everything of it is gone at the end."""
    program = shutil.which("podman")
    if program is None:
        raise FileNotFoundError("podman is missing: make bench installs it")
    directory.mkdir(exist_ok=True)
    (directory / "containers.conf").write_text(_CONFIGURATION)
    podman = Podman(program, directory)
    try:
        yield podman
    finally:
        podman.run("pod", "rm", "--all", "--force", "--time", "0")
        podman.run("rm", "--all", "--force", "--time", "0")
        podman.run("rmi", "--all", "--force")
