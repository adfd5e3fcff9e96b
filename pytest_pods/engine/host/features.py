"""What this machine allows, as far as reading a few files tells: user namespaces, the map of ids, a sandbox's level.

Cheap enough for the start of every session. What has to be tried out is in `host/probing.py`, which only doctor runs.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pytest_pods.engine.errors import UnsupportedHostError
from pytest_pods.engine.host.programs import Version
from pytest_pods.engine.host.sandbox import IdRange, UserNamespace
from pytest_pods.engine.host.subordinate_ids import (
    SubordinateIds,
    SubordinateRange,
    find_map_program,
    find_subordinate_ids,
)
from pytest_pods.frozen import frozen

_PROC_SYS = Path("/proc/sys")
_ALL_IDS = 0xFFFF_FFFF


@frozen
class Obstacle:
    """Why the machine does not allow something, and what would change that."""

    reason: str
    cure: str


@frozen
class UserNamespaceSwitches:
    """The sysctls that can forbid user namespaces; None where the kernel does not have one."""

    unprivileged_clone: int | None
    most: int | None
    apparmor_restriction: int | None

    @property
    def obstacle(self) -> Obstacle | None:
        """What forbids user namespaces to an ordinary user."""
        if self.unprivileged_clone == 0:
            return Obstacle(
                "kernel.unprivileged_userns_clone is 0: ordinary users may not make user namespaces",
                "sysctl kernel.unprivileged_userns_clone=1 (as root; in /etc/sysctl.d to keep it)",
            )
        if self.most == 0:
            return Obstacle(
                "user.max_user_namespaces is 0: nobody may make user namespaces",
                "sysctl user.max_user_namespaces=15000 (as root; in /etc/sysctl.d to keep it)",
            )
        if self.apparmor_restriction:
            return Obstacle(
                "kernel.apparmor_restrict_unprivileged_userns is 1: programs without an AppArmor profile get user"
                " namespaces without capabilities",
                "sysctl kernel.apparmor_restrict_unprivileged_userns=0 (as root; in /etc/sysctl.d to keep it)",
            )
        return None


def read_user_namespace_switches(directory: Path = _PROC_SYS) -> UserNamespaceSwitches:
    """The sysctls as they are now."""
    return UserNamespaceSwitches(
        _find_number(directory / "kernel/unprivileged_userns_clone"),
        _find_number(directory / "user/max_user_namespaces"),
        _find_number(directory / "kernel/apparmor_restrict_unprivileged_userns"),
    )


def _find_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def find_user_namespace(uid: int | None = None) -> UserNamespace:
    """The maps for a session of an ordinary user: root is the user, the other ids are the subordinate ones.

    Without subordinate ids, or without the programs that map them, it is a map of the own id alone. Raises
    UnsupportedHostError where user namespaces are forbidden.
    """
    # AppArmor's switch is no certain end: a profile may exempt this Python.
    switches = read_user_namespace_switches()
    if switches.unprivileged_clone == 0 or switches.most == 0:
        assert switches.obstacle is not None
        raise UnsupportedHostError(
            f"rootless sessions need user namespaces: {switches.obstacle.reason}", hint=switches.obstacle.cure
        )
    uid = os.geteuid() if uid is None else uid
    ids = find_subordinate_ids(uid)
    newuidmap, newgidmap = find_map_program("newuidmap"), find_map_program("newgidmap")
    usable = ids.usable and newuidmap.usable and newgidmap.usable
    return build_user_namespace(
        uid, os.getegid(), ids=ids if usable else None, newuidmap=newuidmap.path, newgidmap=newgidmap.path
    )


def build_user_namespace(
    uid: int, gid: int, *, ids: SubordinateIds | None, newuidmap: Path | None, newgidmap: Path | None
) -> UserNamespace:
    """The maps for a user with the given subordinate ids; without them, of the own id alone."""
    if ids is None:
        return UserNamespace((IdRange(0, uid, 1),), (IdRange(0, gid, 1),), None, None)
    return UserNamespace(_build_map(uid, ids.uids), _build_map(gid, ids.gids), newuidmap, newgidmap)


def _build_map(own: int, ranges: tuple[SubordinateRange, ...]) -> tuple[IdRange, ...]:
    lines, inside = [IdRange(0, own, 1)], 1
    for entry in ranges:
        lines.append(IdRange(inside, entry.start, entry.count))
        inside += entry.count
    return tuple(lines)


def find_id_obstacle(uid: int | None = None) -> Obstacle | None:
    """Why a rootless session has one id only; None where it has all that images need."""
    import pwd

    uid = os.geteuid() if uid is None else uid
    for name in ("newuidmap", "newgidmap"):
        program = find_map_program(name)
        if program.path is None:
            cure = "apt install uidmap (Debian, Ubuntu) or dnf install shadow-utils (Fedora)"
            return Obstacle(f"{name} is not installed", cure)
        if not program.privileged:
            reason = f"{program.path} is neither set-uid nor has file capabilities"
            return Obstacle(reason, f"chmod u+s {program.path} (as root)")
    if not find_subordinate_ids(uid).usable:
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            name = str(uid)
        return Obstacle(
            f"/etc/subuid and /etc/subgid have no ranges for {name}",
            f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name} (as root)",
        )
    return None


@frozen
class LevelChoice:
    """1: a sandbox with a PID namespace of its own, 2: without one; `obstacle` says why not 1."""

    level: int
    obstacle: Obstacle | None = None


def choose_level(mountinfo: str | None = None, uid_map: str | None = None) -> LevelChoice:
    """The level to start with, judged from the mounts over /proc; both texts are this process's by default."""
    mountinfo = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape") if mountinfo is None else mountinfo
    uid_map = Path("/proc/self/uid_map").read_text() if uid_map is None else uid_map
    if is_initial_user_namespace(uid_map) and os.geteuid() == 0:
        return LevelChoice(1)
    masks = find_proc_masks(mountinfo)
    if not masks:
        return LevelChoice(1)
    # The kernel shows a user namespace no more of /proc than the one that it came from sees.
    return LevelChoice(
        2,
        Obstacle(
            f"parts of /proc are masked ({', '.join(masks[:3])}{', …' if len(masks) > 3 else ''}), as container engines"
            " do it: a PID namespace cannot get a /proc of its own",
            "run the container around it with an unmasked /proc (docker: --security-opt systempaths=unconfined;"
            " podman: --security-opt unmask=ALL)",
        ),
    )


def is_initial_user_namespace(uid_map: str) -> bool:
    """True for the map of a process that is in no user namespace but the machine's first."""
    return [line.split() for line in uid_map.splitlines()] == [["0", "0", str(_ALL_IDS)]]


# The kernel knows these as empty for ever, and does not take a mount on them for a mask.
_ALWAYS_EMPTY = frozenset({"/proc/sys/fs/binfmt_misc"})


def find_proc_masks(mountinfo: str) -> tuple[str, ...]:
    """Mounts that hide parts of /proc."""
    found = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) > 4 and fields[4].startswith("/proc/") and fields[4] not in _ALWAYS_EMPTY:
            found.append(fields[4])
    return tuple(found)


def parse_kernel_version(release: str) -> Version:
    """`6.1.0-18-amd64` → 6.1.0."""
    match = re.match(r"\d+(?:\.\d+)*", release)
    return Version(tuple(int(number) for number in match[0].split(".")) if match else ())


def read_kernel_version() -> Version:
    return parse_kernel_version(os.uname().release)
