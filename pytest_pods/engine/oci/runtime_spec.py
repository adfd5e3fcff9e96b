"""The runtime configuration (config.json) as far as the engine writes it: frozen values, and their JSON form.

Shapes follow the OCI runtime specification, "Configuration". What a container is to be is decided elsewhere; this file
only knows how it is written down, and how to read back what was written (`runtime_configuration_reading`).
"""

from __future__ import annotations

import json
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

OCI_VERSION = "1.0.2"


@frozen
class Capabilities:
    """The five sets, each sorted names such as `CAP_KILL`."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()

    def to_document(self) -> dict[str, list[str]]:
        sets = ("bounding", "effective", "inheritable", "permitted", "ambient")
        return {name: list(getattr(self, name)) for name in sets}


@frozen
class ResourceLimit:
    """A limit of setrlimit(2): `kind` such as `RLIMIT_NOFILE`; -1 is no limit."""

    kind: str
    soft: int
    hard: int

    def to_document(self) -> dict[str, Any]:
        return {"type": self.kind, "soft": self.soft % 2**64, "hard": self.hard % 2**64}


@frozen
class ProcessUser:
    """Numeric ids inside the container."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    umask: int | None = None

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"uid": self.uid, "gid": self.gid}
        if self.groups:
            document["additionalGids"] = list(self.groups)
        if self.umask is not None:
            document["umask"] = self.umask
        return document


@frozen
class ProcessConfiguration:
    """The `process` object: also what `runc exec --process` reads. `env` keeps its order."""

    args: tuple[str, ...]
    cwd: str = "/"
    env: tuple[tuple[str, str], ...] = ()
    user: ProcessUser = ProcessUser()
    terminal: bool = False
    capabilities: Capabilities = Capabilities()
    limits: tuple[ResourceLimit, ...] = ()
    no_new_privileges: bool = False
    oom_score: int | None = None

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "terminal": self.terminal,
            "user": self.user.to_document(),
            "args": list(self.args),
            "env": [f"{name}={value}" for name, value in self.env],
            "cwd": self.cwd,
            "capabilities": self.capabilities.to_document(),
            "noNewPrivileges": self.no_new_privileges,
        }
        if self.limits:
            document["rlimits"] = [limit.to_document() for limit in self.limits]
        if self.oom_score is not None:
            document["oomScoreAdj"] = self.oom_score
        return document


@frozen
class Mount:
    """One mount; `options` are those of fstab plus what runc adds (`rbind`, `rprivate`, …)."""

    destination: str
    kind: str
    source: str
    options: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        return {
            "destination": self.destination,
            "type": self.kind,
            "source": self.source,
            "options": list(self.options),
        }


@frozen
class Namespace:
    """A namespace of the container: a new one, or the one that `path` names."""

    kind: str
    path: str | None = None

    def to_document(self) -> dict[str, str]:
        return {"type": self.kind} if self.path is None else {"type": self.kind, "path": self.path}


@frozen
class DeviceRule:
    """An entry of the device cgroup; None as number means all."""

    allow: bool
    access: str
    kind: str | None = None
    major: int | None = None
    minor: int | None = None

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"allow": self.allow, "access": self.access}
        for key, value in (("type", self.kind), ("major", self.major), ("minor", self.minor)):
            if value is not None:
                document[key] = value
        return document


@frozen
class Resources:
    """What the container's control group allows beside devices; sizes in bytes, times in microseconds."""

    memory: int | None = None
    memory_swap: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    pids: int | None = None

    def to_document(self) -> dict[str, Any]:
        groups = {
            "memory": {"limit": self.memory, "swap": self.memory_swap},
            "cpu": {"quota": self.cpu_quota, "period": self.cpu_period},
            "pids": {"limit": self.pids},
        }
        given = {
            group: {name: value for name, value in limits.items() if value is not None}
            for group, limits in groups.items()
        }
        return {group: limits for group, limits in given.items() if limits}


@frozen
class SeccompArgument:
    """A comparison of one argument of a system call."""

    index: int
    value: int
    operator: str

    def to_document(self) -> dict[str, Any]:
        return {"index": self.index, "value": self.value, "op": self.operator}


@frozen
class SeccompRule:
    """What happens on some system calls, where all of `arguments` hold."""

    names: tuple[str, ...]
    action: str
    errno: int | None = None
    arguments: tuple[SeccompArgument, ...] = ()

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"names": list(self.names), "action": self.action}
        if self.errno is not None:
            document["errnoRet"] = self.errno
        if self.arguments:
            document["args"] = [argument.to_document() for argument in self.arguments]
        return document


@frozen
class SeccompConfiguration:
    """The filter of system calls; `architectures` such as `SCMP_ARCH_X86_64`."""

    default_action: str
    default_errno: int | None
    architectures: tuple[str, ...]
    rules: tuple[SeccompRule, ...]

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "defaultAction": self.default_action,
            "architectures": list(self.architectures),
            "syscalls": [rule.to_document() for rule in self.rules],
        }
        if self.default_errno is not None:
            document["defaultErrnoRet"] = self.default_errno
        return document


@frozen
class LinuxConfiguration:
    """What only Linux has. `cgroups_path` is absolute; a relative one means another place in every v1 hierarchy."""

    namespaces: tuple[Namespace, ...] = ()
    cgroups_path: str | None = None
    masked_paths: tuple[str, ...] = ()
    read_only_paths: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    device_rules: tuple[DeviceRule, ...] = ()
    resources: Resources = Resources()
    seccomp: SeccompConfiguration | None = None
    rootfs_propagation: str = ""

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"namespaces": [namespace.to_document() for namespace in self.namespaces]}
        if self.cgroups_path is not None:
            document["cgroupsPath"] = self.cgroups_path
        resources = self.resources.to_document()
        if self.device_rules:
            resources["devices"] = [rule.to_document() for rule in self.device_rules]
        if resources:
            document["resources"] = resources
        if self.sysctls:
            document["sysctl"] = dict(self.sysctls)
        if self.masked_paths:
            document["maskedPaths"] = list(self.masked_paths)
        if self.read_only_paths:
            document["readonlyPaths"] = list(self.read_only_paths)
        if self.rootfs_propagation:
            document["rootfsPropagation"] = self.rootfs_propagation
        if self.seccomp is not None:
            document["seccomp"] = self.seccomp.to_document()
        return document


@frozen
class RuntimeConfiguration:
    """The whole of config.json."""

    process: ProcessConfiguration
    root: str
    root_read_only: bool = False
    hostname: str | None = None
    mounts: tuple[Mount, ...] = ()
    linux: LinuxConfiguration = LinuxConfiguration()
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "ociVersion": OCI_VERSION,
            "process": self.process.to_document(),
            "root": {"path": self.root, "readonly": self.root_read_only},
            "mounts": [mount.to_document() for mount in self.mounts],
            "linux": self.linux.to_document(),
        }
        if self.hostname is not None:
            document["hostname"] = self.hostname
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document

    def to_bytes(self) -> bytes:
        """The content of config.json."""
        return json.dumps(self.to_document(), separators=(",", ":"), ensure_ascii=False).encode(
            "utf-8", "surrogateescape"
        )
