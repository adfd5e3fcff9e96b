"""A real container under a real conmon and runc, without the engine: for tests of what speaks with a monitor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_pods.engine.host.pipes import wait_readable
from pytest_pods.engine.runtime.conmon import (
    SYNC_DESCRIPTOR,
    MonitorRequest,
    build_create_argv,
    build_environment,
    parse_sync_message,
)

_BUSYBOX = Path("/bin/busybox")
_PATIENCE_S = 20.0
_APPLETS = ("sh", "cat", "echo", "stty", "sleep", "head", "yes", "true", "wc", "trap", "kill", "seq", "dd")


@dataclass(frozen=True, slots=True)
class Monitored:
    """A created container; `start` lets it run."""

    container_id: str
    bundle: Path
    runtime_root: Path
    exit_file: Path
    log: Path
    monitor: subprocess.Popen[bytes]

    def start(self) -> None:
        subprocess.run(["runc", "--root", self.runtime_root, "start", self.container_id], check=True)

    def wait(self) -> int:
        """The exit code that the monitor wrote down."""
        self.monitor.wait(_PATIENCE_S)
        return int(self.exit_file.read_text())


@contextmanager
def monitored(
    directory: Path, command: Sequence[str], *, tty: bool = False, stdin: bool = False
) -> Iterator[Monitored]:
    """Creates a container of busybox with its files below `directory`; removes it at the end."""
    container_id = f"attach-{os.urandom(4).hex()}"
    bundle = directory / "bundle"
    exit_dir, runtime_root, temporary = (directory / name for name in ("exit", "runtime", "t"))
    for path in (bundle, exit_dir, runtime_root, temporary):
        path.mkdir(parents=True)
    _make_root(bundle / "rootfs")
    (bundle / "config.json").write_text(json.dumps(_configuration(command, tty=tty, cgroup=container_id)))
    request = MonitorRequest(
        container_id=container_id,
        conmon=_program("conmon"),
        runtime=_program("runc"),
        runtime_root=runtime_root,
        runtime_log=directory / "runtime.log",
        bundle=bundle,
        pid_file=directory / "pid",
        log=directory / "log",
        exit_dir=exit_dir,
        temporary_directory=temporary,
        terminal=tty,
        stdin=stdin,
    )
    reading, writing = os.pipe()
    monitor = _spawn_monitor(request, writing)
    os.close(writing)
    try:
        assert wait_readable(reading, _PATIENCE_S)
        message = parse_sync_message(os.read(reading, 8192), subject=container_id)
        assert message.container_pid is not None, message.failure
        yield Monitored(container_id, bundle, runtime_root, exit_dir / container_id, directory / "log", monitor)
    finally:
        os.close(reading)
        subprocess.run(["runc", "--root", runtime_root, "delete", "--force", container_id], check=False)
        monitor.wait(_PATIENCE_S)
        shutil.rmtree(directory, ignore_errors=True)


def _spawn_monitor(request: MonitorRequest, sync: int) -> subprocess.Popen[bytes]:
    # The descriptor has to have the number that the environment names; a shell moves it there.
    script = f"exec {SYNC_DESCRIPTOR}>&{sync}; exec \"$@\""
    if sync != SYNC_DESCRIPTOR:
        script = f"exec {SYNC_DESCRIPTOR}>&{sync} {sync}>&-; exec \"$@\""
    return subprocess.Popen(
        ["/bin/bash", "-c", script, "sh", *build_create_argv(request)],
        env=build_environment(request),
        cwd=request.bundle,
        pass_fds=[sync],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
    )


def _program(name: str) -> Path:
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed"
    return Path(found)


def _make_root(root: Path) -> None:
    for name in ("bin", "proc", "dev", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(_BUSYBOX, root / "bin/busybox")
    for applet in _APPLETS:
        (root / "bin" / applet).symlink_to("busybox")


def _configuration(command: Sequence[str], *, tty: bool, cgroup: str) -> dict[str, object]:
    capabilities = ["CAP_KILL", "CAP_SETUID", "CAP_SETGID"]
    kinds = ("bounding", "effective", "permitted")
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": tty,
            "user": {"uid": 0, "gid": 0},
            "args": list(command),
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(kinds, capabilities),
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["newinstance", "ptmxmode=0666"],
            },
        ],
        "linux": {
            "cgroupsPath": f"/{cgroup}",
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")],
        },
    }
