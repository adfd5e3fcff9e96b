"""What the facts about a machine mean: one finding a subject, with its cure, and what that adds up to. Pure."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from pytest_pods.engine.host.programs import Version
from pytest_pods.engine.host.subordinate_ids import WANTED_COUNT
from pytest_pods.engine.runtime.cgroups import CgroupVersion
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.engine.host.probing import Probe
    from pytest_pods.engine.services.machine import MachineFacts, PlaceFacts, ProgramFacts

OLDEST_KERNEL = Version((5, 11))
"""Overlay mounts by ordinary users, and pidfds for everything that is awaited, are there from then on."""
SCARCE_BYTES = 1 << 30


class Health(enum.Enum):
    """`GOOD`; `LIMITED`: it works, with less; `MISSING`: containers cannot run without it."""

    GOOD = "good"
    LIMITED = "limited"
    MISSING = "missing"


@frozen
class Finding:
    """What was found on one subject; `means` says what follows from it, `cure` what to install or change."""

    subject: str
    health: Health
    found: str
    means: str = ""
    cure: str = ""


@frozen
class Diagnosis:
    """All findings. `level` is the sandbox's: 1 with a PID namespace of its own, 2 without, 0 if none can start."""

    level: int
    rootless: bool
    findings: tuple[Finding, ...]

    @property
    def able(self) -> bool:
        """Whether containers can run here."""
        return all(finding.health is not Health.MISSING for finding in self.findings)


def build_diagnosis(facts: MachineFacts) -> Diagnosis:
    """What the facts mean."""
    first, second = facts.sandboxes
    level = 1 if first.works else 2 if second.works else 0
    findings = (
        _judge_user(facts),
        _judge_kernel(facts),
        _judge_helper(facts),
        *_judge_programs(facts),
        *_judge_user_namespaces(facts),
        _judge_sandbox(facts, level),
        *_judge_overlay(facts),
        _judge_cgroups(facts),
        _judge_tun(facts),
        _judge_seccomp(facts),
        _judge_place("store", facts.root),
        _judge_place("run directory", facts.run_root),
    )
    return Diagnosis(level, facts.rootless, findings)


def _judge_user(facts: MachineFacts) -> Finding:
    return Finding("user", Health.GOOD, f"rootless, user id {facts.uid}" if facts.rootless else "root")


def _judge_kernel(facts: MachineFacts) -> Finding:
    found = f"{facts.kernel} on {facts.architecture}"
    if facts.kernel < OLDEST_KERNEL:
        means, cure = "rootless containers need a newer one", f"use Linux {OLDEST_KERNEL} or newer"
        return Finding("kernel", Health.LIMITED, found, means, cure)
    return Finding("kernel", Health.GOOD, found)


def _judge_helper(facts: MachineFacts) -> Finding:
    if facts.helper:
        return Finding(
            "native helper",
            Health.MISSING,
            facts.helper,
            "no session can start",
            "install pytest-pods with pip, which builds it (in a checkout: make native)",
        )
    return Finding("native helper", Health.GOOD, "built")


_NEEDED = {
    "runc": (Health.MISSING, "no container can run"),
    "conmon": (Health.MISSING, "no container can run"),
    "slirp4netns": (Health.LIMITED, "containers have no way out: only network='none' and 'host' work"),
    "netavark": (Health.LIMITED, "there are no networks with names: networks=[…] does not work"),
    "aardvark-dns": (Health.LIMITED, "networks have no names: only those with dns=False work"),
    "nft": (Health.LIMITED, "networks have no names: only those with dns=False work"),
}


def _judge_programs(facts: MachineFacts) -> Iterator[Finding]:
    for program in facts.programs:
        if program.name in _NEEDED:
            yield _judge_program(program)


def _judge_program(program: ProgramFacts) -> Finding:
    if program.path is None:
        health, means = _NEEDED[program.name]
        return Finding(program.name, health, "not installed", means, program.hint)
    version = f"{program.version} at " if program.version else ""
    return Finding(program.name, Health.GOOD, f"{version}{program.path}", program.hint)


def _judge_user_namespaces(facts: MachineFacts) -> Iterator[Finding]:
    if not facts.rootless:
        return
    obstacle = facts.switches.obstacle
    started = any(probe.works for probe in facts.sandboxes)
    if obstacle is not None and not started:
        means = "no rootless session can start"
        yield Finding("user namespaces", Health.MISSING, obstacle.reason, means, obstacle.cure)
    else:
        yield Finding("user namespaces", Health.GOOD, "allowed")
    if facts.id_obstacle is not None:
        yield Finding(
            "subordinate ids",
            Health.LIMITED,
            facts.id_obstacle.reason,
            "there is one id only: images with files of several users cannot be unpacked faithfully",
            facts.id_obstacle.cure,
        )
    elif facts.ids.count < WANTED_COUNT:
        yield Finding(
            "subordinate ids",
            Health.LIMITED,
            f"{facts.ids.count} ids",
            "images whose files have higher ids cannot be unpacked",
            f"give the user {WANTED_COUNT} in /etc/subuid and /etc/subgid",
        )
    else:
        yield Finding("subordinate ids", Health.GOOD, f"{facts.ids.count} ids")


def _judge_sandbox(facts: MachineFacts, level: int) -> Finding:
    first, second = facts.sandboxes
    if level == 1:
        return Finding("sandbox", Health.GOOD, "level 1: a PID namespace of its own; the kernel cleans up")
    obstacle = facts.level.obstacle
    reason = first.reason or (obstacle.reason if obstacle else "")
    cure = obstacle.cure if obstacle else ""
    if level == 2:
        return Finding(
            "sandbox",
            Health.LIMITED,
            f"level 2: without a PID namespace ({reason})",
            "containers see this machine's processes; the janitor ends what is left of a session, not the kernel",
            cure,
        )
    return Finding("sandbox", Health.MISSING, second.reason or reason, "no session can start", cure)


def _judge_overlay(facts: MachineFacts) -> Iterator[Finding]:
    probes = facts.kernel_probes
    if probes.overlay.works:
        yield Finding("overlayfs", Health.GOOD, "mounts" + (" for this user" if facts.rootless else ""))
    else:
        cure = "load the module: modprobe overlay (as root)"
        cure += "; kernels before 5.11 refuse ordinary users" if facts.rootless else ""
        means = "containers have no root file system"
        yield Finding("overlayfs", Health.MISSING, probes.overlay.reason, means, cure)
        return
    yield _judge_feature("volatile mounts", probes.volatile, "file systems of containers are synced needlessly")
    yield _judge_feature("lowerdir+", probes.lowerdir_plus, "images with very many layers are mounted the older way")
    if facts.rootless:
        yield _judge_feature("userxattr", probes.userxattr, "opaque directories of images cannot be kept")
    else:
        yield _judge_feature("id-mapped mounts", probes.id_mapped, "layers cannot be shared with user namespaces")


def _judge_feature(subject: str, probe: Probe, means: str) -> Finding:
    if probe.works:
        return Finding(subject, Health.GOOD, "supported")
    return Finding(subject, Health.LIMITED, probe.reason or "not supported", means, "a newer kernel has it")


def _judge_cgroups(facts: MachineFacts) -> Finding:
    version = facts.cgroup_version
    found = {
        CgroupVersion.V2: "v2",
        CgroupVersion.HYBRID: "v1, with a v2 tree beside it (hybrid)",
        CgroupVersion.V1: "v1",
        CgroupVersion.NONE: "none mounted",
    }[version]
    unlimited = "containers cannot be paused or limited, what they use is estimated; sessions still end wholly"
    if version is CgroupVersion.NONE:
        return Finding("control groups", Health.LIMITED, found, unlimited, "mount cgroup2 on /sys/fs/cgroup")
    if not facts.rootless:
        if version is CgroupVersion.V1:
            cure = "boot with cgroup v2: systemd.unified_cgroup_hierarchy=1"
            return Finding("control groups", Health.LIMITED, found, "containers cannot be paused", cure)
        return Finding("control groups", Health.GOOD, found)
    if version is CgroupVersion.V2 and facts.scopes:
        return Finding("control groups", Health.GOOD, f"{found}, each session in a scope of this user's systemd")
    if facts.group_parent is not None:
        return Finding("control groups", Health.GOOD, f"{found}, delegated at {facts.group_parent}")
    if version is CgroupVersion.V2:
        cure = "run inside: systemd-run --user --scope -p Delegate=yes"
    else:
        cure = "boot with systemd.unified_cgroup_hierarchy=1"
    return Finding("control groups", Health.LIMITED, f"{found}, none delegated to this user", unlimited, cure)


def _judge_tun(facts: MachineFacts) -> Finding:
    probe = facts.kernel_probes.tun
    if probe.works:
        return Finding("/dev/net/tun", Health.GOOD, "can be opened")
    return Finding(
        "/dev/net/tun",
        Health.LIMITED,
        probe.reason,
        "containers have no way out: only network='none' and 'host' work",
        "modprobe tun; chmod 666 /dev/net/tun (as root); in a container, pass it on with --device /dev/net/tun",
    )


def _judge_seccomp(facts: MachineFacts) -> Finding:
    if not facts.seccomp:
        return Finding("seccomp", Health.LIMITED, "not in this kernel", "containers run without a system call filter")
    if not facts.libseccomp:
        return Finding(
            "seccomp",
            Health.LIMITED,
            "in the kernel; the library libseccomp is missing",
            "commands are executed in containers the slow way, by runc",
            "apt install libseccomp2 (Debian, Ubuntu) or dnf install libseccomp (Fedora)",
        )
    return Finding("seccomp", Health.GOOD, "in the kernel, libseccomp found")


def _judge_place(subject: str, place: PlaceFacts) -> Finding:
    if place.fault:
        return Finding(
            subject, Health.MISSING, f"{place.path}: {place.fault}", "nothing can be stored", "set PYTEST_PODS_ROOT"
        )
    room = f"{place.path}, {place.free_bytes / 1e9:.1f} GB free"
    if place.free_bytes < SCARCE_BYTES:
        return Finding(subject, Health.LIMITED, room, "pulls may fail", "free space, or set PYTEST_PODS_ROOT")
    return Finding(subject, Health.GOOD, room)
