"""Linux capabilities: their numbers, which a container gets, and how the sets of a process follow from that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.oci.runtime_spec import Capabilities

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# In the order of their numbers, linux/capability.h.
_NAMES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]
NUMBERS = {f"CAP_{name}": number for number, name in enumerate(_NAMES)}

DEFAULT_CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
"""What Podman gives a container that asks for nothing."""


def parse_capability_mask(mask: int) -> frozenset[str]:
    """The names of a set as /proc/PID/status shows it (CapBnd); numbers without a name here are left out."""
    return frozenset(name for name, number in NUMBERS.items() if mask >> number & 1)


def build_capability_mask(names: Iterable[str]) -> int:
    """The bits of some names; names that this file does not know have none."""
    return sum(1 << NUMBERS[name] for name in set(names) if name in NUMBERS)


def merge_capabilities(
    *,
    add: Sequence[str],
    drop: Sequence[str],
    available: frozenset[str],
    default: frozenset[str] = DEFAULT_CAPABILITIES,
) -> frozenset[str]:
    """The bounding set of a container: the default, with `add` and without `drop`; either may be `ALL`.

    `available` is what may be handed on. Raises InvalidSpecError for unknown, contradicting or unavailable names.
    """
    for name in (*add, *drop):
        if name != "ALL" and name not in NUMBERS:
            raise InvalidSpecError(
                f"unknown capability {name!r}", hint="names are as in capabilities(7): CAP_NET_ADMIN"
            )
    both = sorted((set(add) & set(drop)) - {"ALL"})
    if both:
        raise InvalidSpecError(f"capability {both[0]!r} is both added and dropped")
    missing = sorted(set(add) - {"ALL"} - available)
    if missing:
        raise InvalidSpecError(
            f"capability {missing[0]!r} cannot be added: this process does not have it itself",
            hint="run where its bounding set has it",
        )
    if "ALL" in add:
        return available - set(drop)
    kept = frozenset() if "ALL" in drop else default - set(drop)
    return (kept | set(add)) & available


def build_capability_sets(bounding: frozenset[str], *, uid: int, asked: Iterable[str] = ()) -> Capabilities:
    """The sets of a process: root holds all of `bounding`, anybody else what was asked for by name.

    That is ambient too: the kernel takes everything else from a user's process at its first execve.
    """
    everything = tuple(sorted(bounding))
    if uid == 0:
        return Capabilities(bounding=everything, effective=everything, permitted=everything)
    held = tuple(sorted(bounding if "ALL" in set(asked) else bounding & set(asked)))
    return Capabilities(everything, held, held, held, held)
