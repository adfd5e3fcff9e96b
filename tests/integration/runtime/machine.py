"""Runs containers with the machine's own runc and conmon, from bundles of the engine, without a sandbox."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.host.direct import DirectLauncher, DirectProcess
from pytest_pods.engine.host.programs import get_program
from pytest_pods.engine.ids import new_container_id
from pytest_pods.engine.oci.descriptor import Platform
from pytest_pods.engine.oci.image_config import ImageConfig
from pytest_pods.engine.oci.runtime_spec import ResourceLimit, RuntimeConfiguration
from pytest_pods.engine.runtime import cgroups, conmon, runc
from pytest_pods.engine.runtime.bundle import BundleRequest, build_runtime_configuration
from pytest_pods.engine.runtime.capabilities import parse_capability_mask
from pytest_pods.engine.runtime.logs import read_lines
from pytest_pods.engine.runtime.users import resolve_user
from pytest_pods.engine.specs.container import ContainerSpec, build_container_spec

_APPLETS = ("sh", "true", "cat", "id", "sleep", "echo", "ls", "grep", "env", "mount", "touch", "head", "mkdir")
_PATIENCE_S = 20.0
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nposty:x:70:71::/var/lib/posty:/bin/sh\n"
GROUP = b"root:x:0:\nposty:x:71:\nextra:x:90:posty\n"


def make_root(directory: Path) -> Path:
    """A root of busybox alone."""
    for name in ("bin", "etc", "proc", "dev", "sys", "tmp", "root", "var/lib/posty"):
        (directory / name).mkdir(parents=True)
    shutil.copy(get_program("busybox"), directory / "bin/busybox")
    for applet in _APPLETS:
        (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc/passwd").write_bytes(PASSWD)
    (directory / "etc/group").write_bytes(GROUP)
    (directory / "etc/not-executable").write_text("#!/bin/sh\n")
    return directory


def read_own_capabilities() -> frozenset[str]:
    """What this process may hand on: less than everything inside of somebody's container."""
    mask = status_fields(Path("/proc/self/status").read_text())["CapBnd"]
    return parse_capability_mask(int(mask, 16))


@dataclass
class Container:
    """A container between its creation and its removal."""

    machine: Machine
    id: str
    configuration: RuntimeConfiguration
    monitor: DirectProcess
    message: conmon.SyncMessage
    sync: int

    @property
    def directory(self) -> Path:
        return self.machine.directory / self.id

    @property
    def pid(self) -> int:
        assert self.message.container_pid is not None, self.message.failure
        return self.message.container_pid

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def start(self) -> None:
        pidfd = os.pidfd_open(self.pid)
        try:
            runc.start_through_fifo(
                self.machine.runtime,
                self.id,
                pidfd=pidfd,
                deadline=Deadline.after(_PATIENCE_S),
                subject="the container",
            )
        finally:
            os.close(pidfd)

    def finish(self) -> tuple[int, str]:
        """Starts it, waits for its end: its exit code and output."""
        self.start()
        return self.monitor.wait(_PATIENCE_S), "".join(line.output for line in read_lines(self.log))

    def kill(self) -> None:
        if self.message.container_pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.message.container_pid, signal.SIGKILL)


@dataclass
class Machine:
    """Where containers of a test have their files; `request` has what a bundle needs beside spec and image."""

    directory: Path
    root: Path
    session_id: str
    request: dict[str, Any] = field(default_factory=dict)

    @property
    def runtime(self) -> runc.Runtime:
        return runc.Runtime(get_program("runc"), self.directory / "runc")

    def configure(
        self, spec: ContainerSpec, container_id: str, image: ImageConfig | None = None
    ) -> RuntimeConfiguration:
        image = image or ImageConfig(Platform("linux", "amd64"), ())
        request = BundleRequest(
            spec=spec,
            image=image,
            rootfs=self.root,
            user=resolve_user(spec.user or image.user, passwd=PASSWD, group=GROUP),
            hostname="tester",
            available_capabilities=read_own_capabilities(),
            architecture=os.uname().machine,
            cgroups_path=f"{cgroups.session_path(self.session_id)}/{container_id}",
            own_limits=tuple(
                ResourceLimit(name, *resource.getrlimit(getattr(resource, name)))
                for name in ("RLIMIT_NOFILE", "RLIMIT_NPROC")
            ),
        )
        return build_runtime_configuration(replace(request, **self.request))

    @contextmanager
    def create(self, command: object, /, **options: Any) -> Iterator[Container]:
        """A created container of the busybox root, removed at the end."""
        spec = build_container_spec("busybox", command, **{"network": "host", **options})
        container_id = new_container_id()
        container = self._create(self.configure(spec, container_id), container_id, spec)
        try:
            yield container
        finally:
            container.kill()
            container.monitor.wait(_PATIENCE_S)
            os.close(container.sync)
            self._remove(container_id)

    def _create(self, configuration: RuntimeConfiguration, container_id: str, spec: ContainerSpec) -> Container:
        directory = self.directory / container_id
        (directory / "bundle").mkdir(parents=True)
        (directory / "exits").mkdir()
        (directory / "bundle/config.json").write_bytes(configuration.to_bytes())
        request = conmon.MonitorRequest(
            container_id=container_id,
            conmon=get_program("conmon"),
            runtime=self.runtime.program,
            runtime_root=self.runtime.root,
            runtime_log=directory / "runtime.log",
            bundle=directory / "bundle",
            pid_file=directory / "pidfile",
            log=directory / "log",
            exit_dir=directory / "exits",
            temporary_directory=self.directory,
            terminal=spec.tty,
            stdin=spec.interactive,
        )
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            monitor = DirectLauncher().spawn(
                conmon.build_create_argv(request),
                env=conmon.build_environment(request),
                cwd=request.bundle,
                descriptors={conmon.SYNC_DESCRIPTOR: writing},
            )
        finally:
            os.close(writing)
        message = conmon.parse_sync_message(os.read(reading, 65536), subject="the container")
        return Container(self, container_id, configuration, monitor, message, reading)

    def _remove(self, container_id: str) -> None:
        layout = cgroups.read_cgroup_layout()
        path = f"{cgroups.session_path(self.session_id)}/{container_id}"
        runc.remove_state(self.runtime, container_id)
        cgroups.remove_cgroups(cgroups.group_directories(layout, path))


def status_fields(output: str) -> Mapping[str, str]:
    """The fields of a /proc/PID/status in a container's output."""
    pairs = (line.partition(":") for line in output.splitlines())
    return {name: value.strip() for name, separator, value in pairs if separator}
