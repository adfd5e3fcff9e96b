"""The orders of the fast exec (native/README.md, "enter"): what `runc exec` would do, said to the native helper."""

from __future__ import annotations

import resource
import struct
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.host.protocol import Kind, Message, Tag
from pytest_pods.engine.runtime.capabilities import build_capability_mask
from pytest_pods.engine.runtime.defaults import UMASK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_pods.engine.oci.runtime_spec import ProcessConfiguration, ResourceLimit, RuntimeConfiguration

ORDERS_DESCRIPTOR = 3
"""Where `nsenter_helper enter` reads its orders, a sealed memfd."""

_NAMESPACE_BITS = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "network": 0x40000000,
}
_LIMIT = struct.Struct("<IQQ")
_CAPABILITIES = struct.Struct("<5Q")


def build_enter_orders(
    configuration: RuntimeConfiguration,
    process: ProcessConfiguration,
    *,
    container_pid: int,
    cgroups: Sequence[Path],
    seccomp: bytes | None,
) -> bytes:
    """The message that makes the helper execute `process` in the container.

    `cgroups` are the directories of the container's groups (`cgroups.parse_membership`), `seccomp` is its compiled
    filter and None if it has none. A container in the host's network has no network namespace to join: its helper has
    to be spawned in that network.
    """
    message = Message(Kind.ENTER).u32(Tag.PID, container_pid).u32(Tag.JOIN, join_bits(configuration))
    for argument in process.args:
        message.text(Tag.ARGUMENT, argument)
    for name, value in process.env:
        message.text(Tag.ENVIRONMENT, f"{name}={value}")
    message.text(Tag.DIRECTORY, process.cwd)
    for cgroup in cgroups:
        message.text(Tag.CGROUP, str(cgroup))
    _add_identity(message, process)
    for limit in process.limits:
        message.add(Tag.RLIMIT, _pack_limit(limit))
    if process.oom_score is not None:
        message.text(Tag.OOM_SCORE, str(process.oom_score))
    if seccomp is not None:
        message.add(Tag.SECCOMP, seccomp)
    if process.terminal:
        message.u32(Tag.TERMINAL, 1)
    return message.pack(1)


def join_bits(configuration: RuntimeConfiguration) -> int:
    """The CLONE_NEW* bits of the namespaces that the container has to itself or shares with its pod."""
    return sum(_NAMESPACE_BITS[kind] for kind in {namespace.kind for namespace in configuration.linux.namespaces})


def _add_identity(message: Message, process: ProcessConfiguration) -> None:
    user, sets = process.user, process.capabilities
    message.u32(Tag.UID, user.uid).u32(Tag.GID, user.gid)
    for group in user.groups:
        message.u32(Tag.GROUP, group)
    ordered = (sets.bounding, sets.effective, sets.inheritable, sets.permitted, sets.ambient)
    message.add(Tag.CAPABILITIES, _CAPABILITIES.pack(*(build_capability_mask(names) for names in ordered)))
    message.u32(Tag.NO_NEW_PRIVILEGES, int(process.no_new_privileges))
    message.u32(Tag.UMASK, UMASK if user.umask is None else user.umask)


def _pack_limit(limit: ResourceLimit) -> bytes:
    number = getattr(resource, limit.kind, None)
    if not isinstance(number, int):
        raise InvalidSpecError(f"unknown resource limit {limit.kind!r}")
    return _LIMIT.pack(number, limit.soft % 2**64, limit.hard % 2**64)
