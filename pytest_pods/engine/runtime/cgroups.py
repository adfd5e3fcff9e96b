"""Where a container's control groups are on this machine, and what is done to a whole group: kill, freeze, remove.

Three layouts exist: v1 (a tree for each controller), v2 (one tree) and hybrid (v1, with a v2 tree beside it). Killing
and freezing use the v2 tree: it does both atomically, and a process that the v1 freezer holds cannot even be killed.
"""

from __future__ import annotations

import enum
import errno
import os
import select
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import DeadlineExceededError, SystemCallError, UnsupportedHostError
from pytest_pods.engine.runtime.defaults import CPU_PERIOD_US
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_pods.engine.specs.limits import Limits

PARENT = "pytest-pods"
_LONGEST_PAUSE_S = 0.02
_REMOVAL_PATIENCE_S = 1.0


class CgroupVersion(enum.Enum):
    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"
    NONE = "none"


@frozen
class Hierarchy:
    """One mounted tree. `controllers` is empty for v2; `root` is the group that the mount shows as its top."""

    directory: Path
    controllers: tuple[str, ...] = ()
    root: str = "/"

    @property
    def unified(self) -> bool:
        return not self.controllers


@frozen
class CgroupLayout:
    """The trees of this machine."""

    hierarchies: tuple[Hierarchy, ...]

    @property
    def version(self) -> CgroupVersion:
        kinds = {hierarchy.unified for hierarchy in self.hierarchies}
        if kinds == {True, False}:
            return CgroupVersion.HYBRID
        if not kinds:
            return CgroupVersion.NONE
        return CgroupVersion.V2 if True in kinds else CgroupVersion.V1

    @property
    def unified(self) -> Path | None:
        """Where the v2 tree is mounted."""
        return next((hierarchy.directory for hierarchy in self.hierarchies if hierarchy.unified), None)


@lru_cache(maxsize=1)
def read_cgroup_layout() -> CgroupLayout:
    """The layout as this process sees it; a machine does not change it while it runs."""
    return parse_cgroup_layout(Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape"))


def parse_cgroup_layout(mountinfo: str) -> CgroupLayout:
    """Reads the mounts below /sys/fs/cgroup out of a mountinfo; of several of one tree the first counts."""
    found: dict[tuple[str, ...], Hierarchy] = {}
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(" - ")
        places, kinds = left.split(" "), right.split(" ")
        if not separator or len(places) < 6 or len(kinds) < 3 or kinds[0] not in ("cgroup", "cgroup2"):
            continue
        if not places[4].startswith("/sys/fs/cgroup"):
            continue
        controllers = _controllers(kinds[2]) if kinds[0] == "cgroup" else ()
        if kinds[0] == "cgroup2" or controllers:
            found.setdefault(controllers, Hierarchy(Path(_unescape(places[4])), controllers, _unescape(places[3])))
    return CgroupLayout(tuple(found.values()))


def _controllers(options: str) -> tuple[str, ...]:
    ordinary = {"rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode"}
    names = (option for option in options.split(",") if option not in ordinary)
    return tuple(sorted(name for name in names if not name.startswith("release_agent=")))


def _unescape(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def session_path(session_id: str) -> str:
    """The group of a session; its containers' are below."""
    # Flat, so that nothing at all is left when the session has gone.
    return f"/{PARENT}-{session_id}"


def group_directories(layout: CgroupLayout, path: str) -> tuple[Path, ...]:
    """The directories of a group in every tree, whether they exist or not."""
    return tuple(hierarchy.directory / path.lstrip("/") for hierarchy in layout.hierarchies)


def parse_membership(layout: CgroupLayout, text: str) -> tuple[Path, ...]:
    """The directories of the groups that a process is in, from its /proc/PID/cgroup."""
    directories = []
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        names, separator, path = rest.partition(":")
        if not separator:
            continue
        controllers = tuple(sorted(filter(None, names.split(","))))
        for hierarchy in layout.hierarchies:
            if hierarchy.controllers == controllers:
                directories.append(_below(hierarchy, path))
    return tuple(directories)


def _below(hierarchy: Hierarchy, path: str) -> Path:
    if hierarchy.root != "/" and (path == hierarchy.root or path.startswith(f"{hierarchy.root}/")):
        path = path[len(hierarchy.root) :]
    return hierarchy.directory / path.lstrip("/")


def find_delegated_parent(layout: CgroupLayout, membership: str) -> str | None:
    """The own group, as a path below the v2 tree, if this user may make groups in it and move processes there."""
    if layout.version is not CgroupVersion.V2 or layout.unified is None:
        return None
    for directory in parse_membership(layout, membership):
        usable = os.access(directory, os.W_OK | os.X_OK) and os.access(directory / "cgroup.procs", os.W_OK)
        if usable:
            return f"/{directory.relative_to(layout.unified)}".removesuffix("/.") or "/"
    return None


def _unified_directory(layout: CgroupLayout, path: str, doing: str) -> Path:
    directory = layout.unified and layout.unified / path.lstrip("/")
    if not directory or not directory.exists():
        raise UnsupportedHostError(
            f"{doing} group {path}: it has no directory in a cgroup v2 tree",
            hint="mount cgroup2, as systemd does, or run as root where it is mounted",
        )
    return directory


def find_controllers(layout: CgroupLayout, path: str) -> frozenset[str]:
    """The controllers that a group below `path`, which need not exist, could have."""
    found = {name for hierarchy in layout.hierarchies for name in hierarchy.controllers}
    return frozenset(found | _find_unified_controllers(layout, path))


def _find_unified_controllers(layout: CgroupLayout, path: str) -> set[str]:
    if layout.unified is None:
        return set()
    directory = layout.unified / path.lstrip("/")
    while not directory.exists():
        directory = directory.parent
    try:
        return set((directory / "cgroup.controllers").read_text("ascii").split())
    except OSError:
        return set()


def make_limited_group(layout: CgroupLayout, path: str, limits: Limits) -> None:
    """Makes the group in the trees that hold to the limits, and sets them. Raises SystemCallError.

    The runtime makes the groups of containers below it, and what of it is missing in other trees.
    """
    for hierarchy in layout.hierarchies:
        settings = build_limit_settings(limits, controllers=hierarchy.controllers)
        directory = hierarchy.directory / path.lstrip("/")
        if hierarchy.unified:
            usable = _find_unified_controllers(layout, path)
            settings = [one for one in settings if one[0].partition(".")[0] in usable]
        if not settings:
            continue
        _make_group(hierarchy, directory, sorted({name.partition(".")[0] for name, _ in settings}))
        for name, text in settings:
            _write(directory / name, text)


def _make_group(hierarchy: Hierarchy, directory: Path, controllers: Sequence[str]) -> None:
    above = [*reversed(directory.relative_to(hierarchy.directory).parents)]
    for place in (hierarchy.directory / one for one in above):
        place.mkdir(exist_ok=True)
        if hierarchy.unified:
            for controller in controllers:
                # The topmost may be somebody else's, and hand it on already.
                with suppress(SystemCallError):
                    _write(place / "cgroup.subtree_control", f"+{controller}")
    directory.mkdir(exist_ok=True)


def build_limit_settings(limits: Limits, *, controllers: Sequence[str]) -> list[tuple[str, str]]:
    """File and text of each limit: of v2 without `controllers`, else those of v1 that the tree has. Pure."""
    found: list[tuple[str, str]] = []
    if not controllers:
        if limits.memory is not None:
            found.append(("memory.max", str(limits.memory)))
        if limits.memory_swap is not None:
            swap = "max" if limits.memory_swap < 0 else str(limits.memory_swap - (limits.memory or 0))
            found.append(("memory.swap.max", swap))
        if limits.cpus is not None:
            found.append(("cpu.max", f"{round(limits.cpus * CPU_PERIOD_US)} {CPU_PERIOD_US}"))
        if limits.pids is not None:
            found.append(("pids.max", str(limits.pids)))
        return found
    if "memory" in controllers:
        if limits.memory is not None:
            found.append(("memory.limit_in_bytes", str(limits.memory)))
        if limits.memory_swap is not None:
            found.append(("memory.memsw.limit_in_bytes", str(limits.memory_swap)))
    if "cpu" in controllers and limits.cpus is not None:
        found.append(("cpu.cfs_period_us", str(CPU_PERIOD_US)))
        found.append(("cpu.cfs_quota_us", str(round(limits.cpus * CPU_PERIOD_US))))
    if "pids" in controllers and limits.pids is not None:
        found.append(("pids.max", str(limits.pids)))
    return found


def kill_group(layout: CgroupLayout, path: str) -> None:
    """Kills every process of the group, and of those below it, at once; nothing happens if the group is gone.

    Raises UnsupportedHostError where there is no v2 tree.
    """
    try:
        _write(_unified_directory(layout, path, "killing") / "cgroup.kill", "1")
    except SystemCallError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def set_frozen(layout: CgroupLayout, path: str, *, frozen: bool, deadline: Deadline) -> None:
    """Stops every process of the group where it is, or lets them go on; returns when that has happened.

    Raises UnsupportedHostError where there is no v2 tree, DeadlineExceededError.
    """
    directory = _unified_directory(layout, path, "freezing" if frozen else "thawing")
    with open(directory / "cgroup.events", encoding="ascii") as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        _write(directory / "cgroup.freeze", "1" if frozen else "0")
        while f"frozen {int(frozen)}" not in events.read().splitlines():
            remaining = deadline.remaining
            if not poll.poll(None if remaining is None else remaining * 1000) and deadline.expired:
                raise DeadlineExceededError(f"the processes of group {path} do not stop; one may be deep in the kernel")
            events.seek(0)


def is_frozen(layout: CgroupLayout, path: str) -> bool:
    """Whether the group is frozen; False too where there is no v2 tree or no such group."""
    if layout.unified is None:
        return False
    try:
        return (layout.unified / path.lstrip("/") / "cgroup.freeze").read_text("ascii").strip() == "1"
    except OSError:
        return False


def remove_cgroups(directories: Iterable[Path], *, deadline: Deadline | None = None) -> None:
    """Removes groups with all below them, whose processes have been killed. What is gone is fine.

    The kernel lets go of a group some moments after its last process: EBUSY is tried again until the deadline (1 s),
    then SystemCallError is raised.
    """
    deadline = deadline or Deadline.after(_REMOVAL_PATIENCE_S)
    for directory in directories:
        # Most have nothing below them and no process any more.
        if not _removes_at_once(directory):
            for group in _deepest_first(directory):
                _remove_group(group, deadline)


def _removes_at_once(directory: Path) -> bool:
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _deepest_first(directory: Path) -> Sequence[Path]:
    return [Path(place) for place, _, _ in os.walk(directory, topdown=False)]


def _remove_group(directory: Path, deadline: Deadline) -> None:
    pause = 0.001
    while True:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or deadline.expired:
                raise SystemCallError(
                    f"removing the group {directory}: {error.strerror}",
                    call="rmdir",
                    errno=error.errno or 0,
                    subject=str(directory),
                ) from error
        else:
            return
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def _write(path: Path, text: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise SystemCallError(
            f"writing {text} to {path}: {error.strerror}", call="write", errno=error.errno or 0, subject=str(path)
        ) from error
