"""The control groups of a session: where its containers' groups go on this machine, and whether there are any."""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import SystemCallError, UnsupportedHostError
from pytest_pods.engine.host.systemd import Scope, find_scope
from pytest_pods.engine.runtime import cgroups
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.specs.limits import Limits

_REMOVE_PATIENCE_S = 5.0
CONTROLLERS = {"memory": "memory", "memory_swap": "memory", "cpus": "cpu", "pids_limit": "pids"}
"""Which controller holds to a limit."""
_FREEZE_PATIENCE_S = 10.0


@frozen
class SessionCgroups:
    """`path` is the session's group below each tree's top; None where an ordinary user has no delegated group: the
    containers then stay in the group that the session was started from."""

    layout: cgroups.CgroupLayout
    path: str | None
    scope: Scope | None = None
    """What has to be asked of the user's systemd before `path` can be made."""

    @property
    def directories(self) -> tuple[Path, ...]:
        """The session's group in every tree, whether it is there or not."""
        return () if self.path is None else cgroups.group_directories(self.layout, self.path)

    @property
    def unified(self) -> bool:
        """Whether there is nothing but cgroup v2."""
        return self.layout.version is cgroups.CgroupVersion.V2

    def container(self, container_id: str, *, pod_id: str | None = None) -> str | None:
        """A container's group, as its runtime configuration names it."""
        parent = self.path if pod_id is None else self.pod(pod_id)
        return None if parent is None else f"{parent}/{container_id}"

    def pod(self, pod_id: str) -> str | None:
        """The group above those of a pod's members."""
        return None if self.path is None else f"{self.path}/pod-{pod_id}"

    def check_limits(self, limits: Limits, *, subject: str) -> None:
        """Raises UnsupportedHostError where there is no group, or no controller, that could hold anybody to them."""
        if not limits:
            return
        missing = limits.names
        if self.path is not None:
            held = cgroups.find_controllers(self.layout, self.path)
            missing = tuple(name for name in limits.names if CONTROLLERS[name] not in held)
        if missing:
            raise UnsupportedHostError(
                f"{subject}: {', '.join(missing)} cannot be limited here: there is no control group that this user may"
                " make for it",
                hint="limits without root need a delegated cgroup v2; pytest-pods doctor tells more",
            )

    def require_group(self, *, subject: str) -> None:
        """Raises UnsupportedHostError where the session's containers have no groups that could count."""
        if self.path is None:
            raise UnsupportedHostError(
                f"{subject}: max_memory cannot be looked after here: there is no control group that this user may make",
                hint="it needs root, or a delegated cgroup v2; pytest-pods doctor tells more",
            )

    def make_pod(self, pod_id: str, limits: Limits) -> None:
        """Makes a pod's group and sets its limits. Raises SystemCallError."""
        path = self.pod(pod_id)
        if path is not None and limits:
            cgroups.make_limited_group(self.layout, path, limits)

    def remove(self, path: str | None) -> None:
        """Removes a group, whose processes have ended, from every tree."""
        if path is not None:
            deadline = Deadline.after(_REMOVE_PATIENCE_S)
            cgroups.remove_cgroups(cgroups.group_directories(self.layout, path), deadline=deadline)

    def set_frozen(self, path: str | None, *, frozen: bool) -> None:
        """Stops or continues all processes of a group. Raises UnsupportedHostError where there is none."""
        if path is None:
            raise UnsupportedHostError(
                "the container's processes are in no group of their own, so they cannot be paused",
                hint="pausing without root needs a delegated cgroup v2; pytest-pods doctor tells more",
            )
        cgroups.set_frozen(self.layout, path, frozen=frozen, deadline=Deadline.after(_FREEZE_PATIENCE_S))

    def find_exec_groups(self, *, member: str, outside: str) -> tuple[Path, ...]:
        """The groups that an executed command has to join: those of the container's process (`member`, the text of its
        /proc/PID/cgroup) that are not the sandbox's own (`outside`)."""
        own = set(cgroups.parse_membership(self.layout, outside))
        return tuple(path for path in cgroups.parse_membership(self.layout, member) if path not in own)


def plan_session_cgroups(session_id: str, *, rootless: bool, scoped: bool = True) -> SessionCgroups:
    """Where the groups of a new session go. Makes nothing.

    An ordinary user's go, with `scoped`, into a scope of the user's systemd. A group that is the user's already is the
    second choice: there are processes in it, so that it cannot hand on memory limits, and groups below it may become
    threaded ones, which cannot be killed as a whole.
    """
    layout = cgroups.read_cgroup_layout()
    if layout.version is cgroups.CgroupVersion.NONE:
        return SessionCgroups(layout, None)
    if not rootless:
        return SessionCgroups(layout, cgroups.session_path(session_id))
    wants_scope = scoped and layout.version is cgroups.CgroupVersion.V2
    scope = find_scope(f"{cgroups.PARENT}-{session_id}") if wants_scope else None
    own = Path("/proc/self/cgroup").read_text()
    parent = scope.group if scope is not None else cgroups.find_delegated_parent(layout, own)
    if parent is None:
        return SessionCgroups(layout, None)
    # Below the scope, since the janitor is in it and kills what is in the session's group.
    return SessionCgroups(layout, f"{parent.rstrip('/')}{cgroups.session_path(session_id)}", scope)


def settle_scope(planned: SessionCgroups) -> bool:
    """Moves the sandbox's first processes into a group below their scope, so that the scope has none itself and can
    hand its controllers on. False if systemd has not made it where it was expected, or has not given it to this user.
    """
    if planned.scope is None or planned.layout.unified is None:
        return True
    directory = planned.layout.unified / planned.scope.group.lstrip("/")
    try:
        (directory / "sandbox").mkdir()
        while pids := (directory / "cgroup.procs").read_text().split():
            for pid in pids:
                (directory / "sandbox" / "cgroup.procs").write_text(pid)
    except OSError:
        return False
    return True


def read_session_cgroups(path: str | None) -> SessionCgroups:
    """The groups of a session that is there."""
    return SessionCgroups(cgroups.read_cgroup_layout(), path)


def remove_left_over_groups(directories: list[Path]) -> None:
    """Kills what is in the groups of a dead session, thaws it first where a v1 freezer holds it, and removes them."""
    for directory in directories:
        for place, _, names in os.walk(directory, topdown=False):
            if "freezer.state" in names:
                _write(Path(place, "freezer.state"), "THAWED")
            if "cgroup.freeze" in names:
                _write(Path(place, "cgroup.freeze"), "0")
        if not _kill_whole(directory):
            _kill_members(directory)
    cgroups.remove_cgroups(directories, deadline=Deadline.after(_REMOVE_PATIENCE_S))


def _kill_whole(directory: Path) -> bool:
    """False on v1, before Linux 5.14, and for a threaded group."""
    if not (directory / "cgroup.kill").exists():
        return False
    try:
        _write(directory / "cgroup.kill", "1")
    except SystemCallError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return False
    return True


def _kill_members(directory: Path) -> None:
    for place, _, names in os.walk(directory):
        # Of a threaded group the kernel lists the threads alone; a signal to one is for its process.
        members = "cgroup.threads" if "cgroup.threads" in names else "cgroup.procs"
        if members not in names:
            continue
        for number in Path(place, members).read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SystemCallError(
            f"writing {text} to {path}: {error.strerror}", call="write", errno=error.errno or 0, subject=str(path)
        ) from error
