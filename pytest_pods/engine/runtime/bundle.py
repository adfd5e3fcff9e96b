"""From what an image says, what a test asks and what the host has settled to the runtime configuration. Pure."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.oci.runtime_spec import (
    DeviceRule,
    LinuxConfiguration,
    Mount,
    Namespace,
    ProcessConfiguration,
    ProcessUser,
    ResourceLimit,
    Resources,
    RuntimeConfiguration,
    SeccompConfiguration,
)
from pytest_pods.engine.runtime import defaults
from pytest_pods.engine.runtime.capabilities import build_capability_sets, merge_capabilities
from pytest_pods.engine.runtime.mounts import build_mount
from pytest_pods.engine.runtime.seccomp import build_seccomp_document
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_pods.engine.oci.image_config import ImageConfig
    from pytest_pods.engine.runtime.users import ResolvedUser
    from pytest_pods.engine.specs.container import ContainerSpec
    from pytest_pods.engine.specs.limits import Limits, Ulimit


@frozen
class NamespacePaths:
    """Pinned namespaces to join. Without a path they are new; without one for the network it is the host's."""

    network: Path | None = None
    ipc: Path | None = None
    uts: Path | None = None
    pid: Path | None = None


@frozen
class EtcFiles:
    """Files of the host that are bound into /etc; None leaves the image's."""

    hosts: Path | None = None
    hostname: Path | None = None
    resolv_conf: Path | None = None


@frozen
class BundleRequest:
    """Everything that decides over a container's config.json.

    `available_capabilities` is what the sandbox may hand on, `own_limits` are the hard limits that it may not exceed,
    `architecture` is the machine's (`os.uname().machine`). `cgroup_namespace` belongs to cgroup v2. `single_id` says
    that the user namespace has one id only; without `pid_namespace` the container sees the machine's processes.
    `mounts` are those that are asked for, with their sources settled; None where the spec's need no settling.
    `shared_memory` is a directory that becomes /dev/shm, None for one of its own.
    """

    spec: ContainerSpec
    image: ImageConfig
    rootfs: Path
    user: ResolvedUser
    hostname: str
    available_capabilities: frozenset[str]
    architecture: str
    namespaces: NamespacePaths = NamespacePaths()
    etc: EtcFiles = EtcFiles()
    shared_memory: Path | None = None
    cgroups_path: str | None = None
    cgroup_namespace: bool = False
    own_limits: tuple[ResourceLimit, ...] = ()
    rootless: bool = False
    single_id: bool = False
    pid_namespace: bool = True
    oom_score: int | None = None
    mounts: tuple[Mount, ...] | None = None

    @property
    def own_network(self) -> bool:
        return self.namespaces.network is not None


def build_runtime_configuration(request: BundleRequest) -> RuntimeConfiguration:
    """The container's config.json. Raises InvalidSpecError where image and spec leave no command, or capabilities
    cannot be given."""
    bounding = _bounding_set(request)
    return RuntimeConfiguration(
        process=_build_process(request, bounding),
        root=str(request.rootfs),
        root_read_only=request.spec.read_only,
        # In a pinned namespace the name is set when that is pinned: runc would rename the whole pod.
        hostname=request.hostname if request.namespaces.uts is None else None,
        mounts=_build_mounts(request),
        linux=LinuxConfiguration(
            namespaces=_build_namespaces(request),
            cgroups_path=request.cgroups_path,
            masked_paths=() if request.spec.privileged else defaults.MASKED_PATHS,
            read_only_paths=() if request.spec.privileged else defaults.READ_ONLY_PATHS,
            sysctls=_build_sysctls(request),
            device_rules=_build_device_rules(request),
            resources=_build_resources(request.spec.limits),
            seccomp=_build_seccomp(request, bounding),
        ),
    )


def build_command(spec: ContainerSpec, image: ImageConfig) -> tuple[str, ...]:
    """Entrypoint and command: who replaces the entrypoint also replaces the image's command, which was meant for it."""
    if spec.entrypoint is not None:
        command = (*spec.entrypoint, *(spec.command or ()))
    else:
        command = (*image.entrypoint, *(image.command if spec.command is None else spec.command))
    if not command or not command[0]:
        raise InvalidSpecError(
            f"no command for a container of {spec.image}: neither its image nor the caller names one",
            hint="give a command, as in command=['sleep', '60']",
        )
    return command


def build_environment(
    *, image: ImageConfig, spec: ContainerSpec, hostname: str, home: str
) -> tuple[tuple[str, str], ...]:
    """The variables in the order defaults, image, spec; of two with one name the later counts."""
    merged = {"PATH": defaults.DEFAULT_PATH, "container": defaults.CONTAINER_VARIABLE}
    if spec.tty:
        merged["TERM"] = "xterm"
    merged["HOSTNAME"] = hostname
    merged["HOME"] = home
    merged.update((name, value) for name, value in image.env if name)
    merged.update(spec.env)
    return tuple(merged.items())


def _build_process(request: BundleRequest, bounding: frozenset[str]) -> ProcessConfiguration:
    spec, user = request.spec, request.user
    return ProcessConfiguration(
        args=build_command(spec, request.image),
        cwd=_working_directory(spec.workdir or request.image.workdir),
        env=build_environment(image=request.image, spec=spec, hostname=request.hostname, home=user.home),
        user=build_process_user(user, single_id=request.single_id),
        terminal=spec.tty,
        capabilities=build_capability_sets(bounding, uid=user.uid, asked=spec.cap_add),
        limits=_build_limits(request.own_limits, spec.ulimits),
        no_new_privileges=spec.no_new_privileges,
        oom_score=request.oom_score,
    )


def build_process_user(user: ResolvedUser, *, single_id: bool) -> ProcessUser:
    """The ids of a process. Its own group is a supplementary one too, so that a set-group-id program cannot shed it."""
    groups = () if single_id else tuple(dict.fromkeys((user.gid, *user.groups)))
    return ProcessUser(user.uid, user.gid, groups, defaults.UMASK)


def _working_directory(text: str) -> str:
    return posixpath.normpath(posixpath.join("/", text)).replace("//", "/")


def _bounding_set(request: BundleRequest) -> frozenset[str]:
    spec = request.spec
    if spec.privileged:
        return request.available_capabilities - set(spec.cap_drop)
    return merge_capabilities(add=spec.cap_add, drop=spec.cap_drop, available=request.available_capabilities)


def _build_limits(own: Iterable[ResourceLimit], asked: Iterable[Ulimit]) -> tuple[ResourceLimit, ...]:
    """Fixed limits, so that a test does not depend on the shell it was started from, but none above the own ones."""
    hard = {limit.kind: limit.hard for limit in own}
    wanted = {
        kind: (most, most)
        for kind, most in (("RLIMIT_NOFILE", defaults.MOST_OPEN_FILES), ("RLIMIT_NPROC", defaults.MOST_PROCESSES))
        if kind in hard
    }
    wanted.update((limit.kind, (limit.soft, limit.hard)) for limit in asked)
    return tuple(
        ResourceLimit(kind, *(_clamp(value, hard.get(kind, -1)) for value in values))
        for kind, values in wanted.items()
    )


def _clamp(value: int, most: int) -> int:
    """-1 is no limit."""
    if most < 0:
        return value
    return most if value < 0 else min(value, most)


def _build_resources(limits: Limits) -> Resources:
    return Resources(
        memory=limits.memory,
        memory_swap=limits.memory_swap,
        cpu_quota=None if limits.cpus is None else round(limits.cpus * defaults.CPU_PERIOD_US),
        cpu_period=None if limits.cpus is None else defaults.CPU_PERIOD_US,
        pids=limits.pids,
    )


def _build_namespaces(request: BundleRequest) -> tuple[Namespace, ...]:
    paths = request.namespaces
    namespaces = [
        *([Namespace("pid", None if paths.pid is None else str(paths.pid))] if request.pid_namespace else []),
        Namespace("mount"),
        Namespace("ipc", None if paths.ipc is None else str(paths.ipc)),
        Namespace("uts", None if paths.uts is None else str(paths.uts)),
    ]
    if paths.network is not None:
        namespaces.append(Namespace("network", str(paths.network)))
    if request.cgroup_namespace:
        namespaces.append(Namespace("cgroup"))
    return tuple(namespaces)


def _build_sysctls(request: BundleRequest) -> dict[str, str]:
    if not request.own_network:
        return {}
    return {
        "net.ipv4.ip_unprivileged_port_start": "0",
        # A user namespace only takes groups that it maps.
        "net.ipv4.ping_group_range": "0 0" if request.rootless else "0 2147483647",
    }


def _build_device_rules(request: BundleRequest) -> tuple[DeviceRule, ...]:
    if request.rootless:
        return ()
    return (DeviceRule(allow=request.spec.privileged, access="rwm"),)


def _build_seccomp(request: BundleRequest, bounding: frozenset[str]) -> SeccompConfiguration | None:
    if request.spec.privileged or not request.spec.seccomp:
        return None
    return build_seccomp_document(bounding, request.architecture)


def _build_mounts(request: BundleRequest) -> tuple[Mount, ...]:
    """Shallow ones first, so that none is hidden by one above it; what is asked for replaces a default at its place."""
    asked = [build_mount(mount) for mount in request.spec.mounts] if request.mounts is None else [*request.mounts]
    taken = {mount.destination for mount in asked}
    standard = [mount for mount in _standard_mounts(request) if mount.destination not in taken]
    return tuple(sorted((*standard, *asked), key=lambda mount: mount.destination.rstrip("/").count("/")))


def _standard_mounts(request: BundleRequest) -> list[Mount]:
    privileged = request.spec.privileged
    mounts = [
        defaults.PROC if request.pid_namespace else defaults.BORROWED_PROC,
        defaults.DEV,
        defaults.build_terminals_mount(with_tty_group=not request.single_id),
        _build_shared_memory(request),
        defaults.MESSAGE_QUEUES,
    ]
    if request.own_network or not request.rootless:
        mounts.append(defaults.build_sys_mount(writable=privileged))
        # With v1 it is a mount for every tree, a fifth of the whole create, and shows the host's groups.
        if request.cgroup_namespace or privileged:
            mounts.append(defaults.build_cgroup_mount(writable=privileged))
    else:
        mounts.append(defaults.build_borrowed_sys_mount(writable=privileged))
    etc = request.etc
    for name, source in (("hosts", etc.hosts), ("hostname", etc.hostname), ("resolv.conf", etc.resolv_conf)):
        if source is not None:
            options = ("bind", "rprivate", "nosuid", "noexec", "nodev", "rw")
            mounts.append(Mount(f"/etc/{name}", "bind", str(source), options))
    return mounts


def _build_shared_memory(request: BundleRequest) -> Mount:
    if request.shared_memory is None:
        return defaults.build_shared_memory_mount(request.spec.shm_size)
    return Mount("/dev/shm", "bind", str(request.shared_memory), ("bind", "rprivate", "nosuid", "noexec", "nodev"))
