"""Making a container: its files, its root, its namespaces, its monitor. Ends with a container that waits to be started.

The order is chosen so that whoever looks in between, or after a kill, sees a container without a monitor, which can be
removed; and so that the way out is plugged while runc, which takes longest, creates.
"""

from __future__ import annotations

import os
import resource
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import (
    InvalidSpecError,
    OCIRuntimeError,
    PodsError,
    SystemCallError,
)
from pytest_pods.engine.host.pipes import Pipe, read_regular_file
from pytest_pods.engine.host.programs import get_program
from pytest_pods.engine.host.sandbox import NamespaceKind, Sandbox
from pytest_pods.engine.oci.runtime_spec import ResourceLimit, RuntimeConfiguration
from pytest_pods.engine.runtime import conmon
from pytest_pods.engine.runtime.bundle import (
    BundleRequest,
    build_runtime_configuration,
)
from pytest_pods.engine.runtime.capabilities import parse_capability_mask
from pytest_pods.engine.runtime.command_lookup import explain_failure
from pytest_pods.engine.runtime.users import MOST_FILE_BYTES, MappedIds, resolve_user
from pytest_pods.engine.services.etc_files import EtcRequest, build_etc_texts
from pytest_pods.engine.services.inner_programs import find_package_parent
from pytest_pods.engine.services.mounting import Mounting, build_mounts
from pytest_pods.engine.services.placement import find_placement, owns_network
from pytest_pods.engine.services.restarting import build_exit_command
from pytest_pods.engine.services.root_mounts import mount_overlay
from pytest_pods.engine.services.wiring import Wiring, write_interfaces
from pytest_pods.engine.specs.mounts import BindMount
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.storage.overlay import build_overlay_plan
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_pods.engine.host.channel import SandboxProcess
    from pytest_pods.engine.oci.image_config import ImageConfig
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.runtime.users import ResolvedUser
    from pytest_pods.engine.services.images import Image
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.services.volumes import VolumeService
    from pytest_pods.engine.state.layout import ContainerLayout

_CREATE_PATIENCE_S = 120.0
_LIMITED = (
    "CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RSS", "RTPRIO", "RTTIME",
    "SIGPENDING", "STACK",
)


@frozen
class HostFacts:
    """What creations need to know of the machine and the sandbox; the same for all of a session."""

    capabilities: frozenset[str]
    architecture: str
    ids: MappedIds
    limits: tuple[ResourceLimit, ...]
    hosts: str
    resolv_conf: str
    runtime: Path
    conmon: Path


def read_host_facts(sandbox: Sandbox) -> HostFacts:
    """Raises MissingProgramError."""
    return HostFacts(
        capabilities=_read_capabilities(sandbox),
        architecture=os.uname().machine,
        ids=MappedIds.parse(
            *(read_in_sandbox(sandbox, f"/proc/self/{name}").decode() for name in ("uid_map", "gid_map"))
        ),
        limits=tuple(
            ResourceLimit(f"RLIMIT_{name}", *resource.getrlimit(getattr(resource, f"RLIMIT_{name}")))
            for name in _LIMITED
            if hasattr(resource, f"RLIMIT_{name}")
        ),
        hosts=_read_host_text("/etc/hosts"),
        resolv_conf=_read_host_text("/etc/resolv.conf"),
        runtime=get_program("runc"),
        conmon=get_program("conmon"),
    )


def _read_capabilities(sandbox: Sandbox) -> frozenset[str]:
    # init's own set is the most that it can hand on.
    for line in read_in_sandbox(sandbox, "/proc/self/status").decode().splitlines():
        if line.startswith("CapEff:"):
            return parse_capability_mask(int(line.split()[1], 16))
    return frozenset()


def _read_host_text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def read_in_sandbox(sandbox: Sandbox, path: str, *, root: Path | None = None, most: int = MOST_FILE_BYTES) -> bytes:
    """The first `most` bytes of a file, in the session's mount namespace or below `root` there.

    Raises SystemCallError.
    """
    descriptor = sandbox.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, root=root)
    return read_regular_file(descriptor, most) or b""


class Creation:
    """One container on its way from a record to a monitor."""

    def __init__(
        self,
        session: Session,
        record: ContainerRecord,
        *,
        facts: HostFacts,
        wiring: Wiring | None = None,
        accounts: dict[str, tuple[bytes, bytes]] | None = None,
    ) -> None:
        """`wiring` is what the network namespace will be plugged into; a container that is made again has its own.

        `accounts` are the passwd and group files of images, by image ID, which a new container has from its image: they
        are looked up there, and noted. A container that is made again may have changed them.
        """
        self._session = session
        self._sandbox = session.start()
        self._record = record
        self._spec = record.spec
        self._layout: ContainerLayout = session.layout.container(record.id)
        self._facts = facts
        self._wiring = wiring or Wiring(record.spec.network)
        self._accounts = accounts
        self._user: ResolvedUser | None = None

    def make_files(self) -> None:
        """The record, the directories and the files of /etc; the container's directory is there already."""
        layout = self._layout
        for directory in (
            layout.bundle_dir,
            layout.exit_dir,
            layout.persist_dir,
            layout.namespaces_dir,
            layout.merged_dir,
            layout.files_dir,
        ):
            directory.mkdir(mode=0o711)
        layout.scratch_dir.mkdir(mode=0o711)
        layout.upper_dir.mkdir(mode=0o755)
        layout.work_dir.mkdir(mode=0o711)
        layout.record_file.write_bytes(self._record.to_bytes())
        if self._record.health is not None:
            layout.health_lock.touch()
        write_interfaces(layout.interfaces_file, self._wiring.interfaces)
        texts = build_etc_texts(self._build_etc_request())
        layout.hosts_file.write_text(texts.hosts)
        layout.hostname_file.write_text(texts.hostname)
        layout.resolv_file.write_text(texts.resolv_conf)

    def _build_etc_request(self) -> EtcRequest:
        spec, wiring = self._spec, self._wiring
        return EtcRequest(
            mode=spec.network,
            ip=self._record.ip,
            names=(self._record.hostname, self._record.name),
            host_hosts=self._facts.hosts,
            host_resolv_conf=self._facts.resolv_conf,
            gateway=wiring.gateway,
            servers=wiring.servers,
            dns=spec.dns,
            search=spec.dns_search,
            options=spec.dns_options,
            added=spec.add_hosts,
        )

    def check_mounts(self) -> None:
        """Raises InvalidSpecError for a bind mount whose source is not there."""
        for mount in self._spec.mounts:
            if isinstance(mount, BindMount) and not os.path.exists(mount.source):
                raise InvalidSpecError(
                    f"mount of {mount.source} at {mount.target}: the source does not exist",
                    hint="create it first; the engine makes no directories on the host",
                )

    def mount_root(self, image: Image) -> None:
        """Mounts the overlay of the image's layers and the container's upper directory."""
        plan = build_overlay_plan(
            lower=image.diff_dirs,
            upper=self._layout.upper_dir,
            work=self._layout.work_dir,
            user_xattrs=self._session.rootless,
        )
        mount_overlay(self._sandbox, plan, target=self._layout.merged_dir, links=self._layout.lower_links_dir)

    def prepare_mounts(self, image: ImageConfig, mounted: Sequence[Image], volumes: VolumeService) -> None:
        """Makes ready what is mounted besides the root; `mounted` are the images of its image mounts, in their order.

        Raises InvalidSpecError, StorageError, SystemCallError.
        """
        mounting = Mounting(
            self._sandbox,
            self._record,
            self._layout,
            volumes=volumes,
            user_xattrs=self._session.rootless,
            owner=lambda: (self.find_user(image).uid, self.find_user(image).gid),
        )
        mounting.prepare(mounted)

    def pin_namespaces(self) -> None:
        """Makes the container's own network namespace, with loopback up; a pod's is there already."""
        if owns_network(self._record):
            self._sandbox.pin(self._layout.namespaces_dir, NamespaceKind.NETWORK)

    def find_user(self, image: ImageConfig) -> ResolvedUser:
        """Who the container runs as. Raises InvalidSpecError for a user that the image does not know."""
        if self._user is None:
            passwd, group = self._read_accounts()
            user = resolve_user(self._spec.user or image.user, passwd=passwd, group=group, where=self._record.image)
            self._user = self._facts.ids.restrict(user, where=f"container {self._record.name}")
        return self._user

    def write_configuration(self, image: ImageConfig) -> RuntimeConfiguration:
        """Writes config.json. Raises InvalidSpecError for a user that the image does not know."""
        layout, spec = self._layout, self._spec
        place = find_placement(self._session, self._record)
        configuration = build_runtime_configuration(
            BundleRequest(
                spec=spec,
                image=image,
                rootfs=layout.merged_dir,
                user=self.find_user(image),
                hostname=self._record.hostname,
                available_capabilities=self._facts.capabilities,
                architecture=self._facts.architecture,
                namespaces=place.namespaces,
                etc=place.etc,
                shared_memory=place.shared_memory,
                cgroups_path=place.cgroup,
                cgroup_namespace=self._session.cgroups.unified,
                own_limits=self._facts.limits,
                rootless=self._session.rootless,
                single_id=self._session.record.single_id,
                pid_namespace=self._session.pid_namespaces,
                mounts=build_mounts(self._record, layout, self._session.volumes),
            )
        )
        layout.config_file.write_bytes(configuration.to_bytes())
        return configuration

    def _read_accounts(self) -> tuple[bytes, bytes]:
        known = None if self._accounts is None else self._accounts.get(self._record.image_id)
        if known is None:
            known = self._read_image_file("/etc/passwd"), self._read_image_file("/etc/group")
            if self._accounts is not None:
                self._accounts[self._record.image_id] = known
        return known

    def _read_image_file(self, path: str) -> bytes:
        try:
            return read_in_sandbox(self._sandbox, path, root=self._layout.merged_dir)
        except SystemCallError:
            # An image need not have users.
            return b""

    def start_monitor(self, configuration: RuntimeConfiguration) -> SandboxProcess:
        """Starts conmon, which has runc create the container; returns when that has happened.

        Raises CommandNotFoundError, CommandNotExecutableError, OCIRuntimeError.
        """
        layout = self._layout
        exit_command = build_exit_command(self._session, self._record)
        request = conmon.MonitorRequest(
            container_id=self._record.id,
            conmon=self._facts.conmon,
            runtime=self._facts.runtime,
            runtime_root=self._session.layout.runtime_root,
            runtime_log=layout.runtime_log_file,
            bundle=layout.bundle_dir,
            pid_file=layout.pid_file,
            log=layout.log_file,
            exit_dir=layout.exit_dir,
            persist_dir=layout.persist_dir,
            temporary_directory=self._session.layout.temporary_dir,
            terminal=self._spec.tty,
            stdin=self._spec.interactive,
            exit_command=exit_command,
            variables={"PYTHONPATH": find_package_parent()} if exit_command else {},
        )
        with ExitStack() as stack:
            sync = stack.enter_context(Pipe())
            errors = stack.enter_context(Pipe())
            monitor = self._sandbox.spawn(
                conmon.build_create_argv(request),
                env=conmon.build_environment(request),
                cwd=layout.bundle_dir,
                descriptors={1: errors.writing, 2: errors.writing, conmon.SYNC_DESCRIPTOR: sync.writing},
                host_network=self._spec.network is NetworkMode.HOST,
            )
            sync.close_writing()
            errors.close_writing()
            line = _read_line(sync, Deadline.after(_CREATE_PATIENCE_S))
            message = conmon.parse_sync_message(line, subject=f"container {self._record.name}")
            if message.container_pid is None:
                said = message.failure or errors.read_tail(timeout_s=1.0)
                raise self._explain(configuration, said)
        layout.monitor_pid_file.write_text(str(monitor.pid))
        return monitor

    def _explain(self, configuration: RuntimeConfiguration, said: str) -> OCIRuntimeError:
        from pytest_pods.engine.runtime.runc import read_log_message

        with suppress(OSError):
            said = read_log_message(self._layout.runtime_log_file.read_bytes()) or said
        return explain_failure(
            command=configuration.process.args[0],
            environment=dict(configuration.process.env),
            working_directory=configuration.process.cwd,
            lookup=self._find_mode,
            subject=f"container {self._record.name} ({self._record.image})",
            message=said,
        )

    def _find_mode(self, path: str) -> int | None:
        try:
            descriptor = self._sandbox.open(path, os.O_PATH | os.O_CLOEXEC, root=self._layout.merged_dir)
        except PodsError:
            return None
        try:
            return os.fstat(descriptor).st_mode
        finally:
            os.close(descriptor)


def _read_line(pipe: Pipe, deadline: Deadline) -> bytes:
    content = b""
    while b"\n" not in content and not deadline.expired:
        chunk = pipe.read_some(timeout_s=deadline.remaining or 0.0)
        if not chunk:
            break
        content += chunk
    return content.partition(b"\n")[0]
