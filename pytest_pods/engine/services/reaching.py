"""Where a container's files are to be found from outside: its root as it sees it, or what its mounts would show there.

Everything is opened below that root by the sandbox, which follows no link out of it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import NotFoundError, SystemCallError
from pytest_pods.engine.services.creation import read_in_sandbox
from pytest_pods.engine.services.mounting import find_source
from pytest_pods.engine.specs.mounts import BindMount, TmpfsMount, normalize_target
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.lifecycle import Lifecycle
    from pytest_pods.engine.services.sessions import Session

_NOT_FILES = frozenset(
    "bpf cgroup cgroup2 configfs debugfs devpts mqueue proc securityfs sysfs tracefs".split()
)
_LINKS_FOLLOWED = 40


@frozen
class Place:
    """A path and the root that it counts from. `prefix` is where in the container that root is."""

    root: Path
    path: str
    prefix: str = ""


def locate(session: Session, lifecycle: Lifecycle, record: ContainerRecord, path: str) -> Place:
    """Where a path of a container is, whatever its state. Raises ContainerNotFoundError."""
    state = lifecycle.state(record)
    if state.container_pid is not None:
        return Place(Path(f"/proc/{state.container_pid}/root"), path)
    # Without a process nothing is mounted; a path that leads to a mount through links is found in the image then.
    layout = lifecycle.layout(record)
    wanted = normalize_target(f"/{path}")
    found = Place(layout.merged_dir, path)
    for number, mount in enumerate(record.mounts):
        target = normalize_target(mount.target)
        inside = wanted == target or wanted.startswith(f"{target}/")
        if isinstance(mount, TmpfsMount) or not inside or len(target) <= len(found.prefix):
            continue
        source = find_source(number, mount, layout, session.volumes)
        if isinstance(mount, BindMount):
            source = Path(os.path.realpath(source))
        slash = "/" if path.endswith("/") else ""
        if wanted == target:
            # It may be a file.
            found = Place(source.parent, f"/{source.name}{slash}", target)
        else:
            found = Place(source, wanted.removeprefix(target) + slash, target)
    return found


def open_place(sandbox: Sandbox, place: Place, flags: int, *, doing: str) -> int:
    """A descriptor without permission to read (O_PATH). Raises NotFoundError."""
    try:
        return sandbox.open(place.path, flags | os.O_PATH | os.O_CLOEXEC, root=place.root)
    except SystemCallError as error:
        raise NotFoundError(f"{doing}: {os.strerror(error.errno)}") from error


def find_kind(sandbox: Sandbox, place: Place) -> int | None:
    """The type bits of what is there (stat.S_IFDIR, …), links followed; None for nothing."""
    try:
        descriptor = sandbox.open(place.path, os.O_PATH | os.O_CLOEXEC, root=place.root)
    except SystemCallError:
        return None
    return take_kind(descriptor)


def take_kind(descriptor: int) -> int:
    """The type bits of what a descriptor is of; closes it."""
    try:
        return stat.S_IFMT(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def follow_last(sandbox: Sandbox, place: Place) -> str:
    """The path without a link as its last part; what it leads to need not be there. Raises NotFoundError."""
    path = place.path
    for _ in range(_LINKS_FOLLOWED):
        try:
            descriptor = sandbox.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, root=place.root)
        except SystemCallError:
            return path
        try:
            if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
                return path
            # Absolute ones replace all of it. Not made shorter: what is before `..` may be a link as well.
            path = os.path.join(os.path.dirname(path), os.readlink("", dir_fd=descriptor))
        finally:
            os.close(descriptor)
    raise NotFoundError(f"{place.path}: too many links")


def find_devices(sandbox: Sandbox, lifecycle: Lifecycle, record: ContainerRecord) -> frozenset[int]:
    """The devices of what is mounted in a container and has no files of it, such as /proc; none if it does not run."""
    pid = lifecycle.state(record).container_pid
    if pid is None:
        return frozenset()
    try:
        return parse_devices(read_in_sandbox(sandbox, f"/proc/{pid}/mountinfo").decode("utf-8", "replace"))
    except SystemCallError:
        return frozenset()


def parse_devices(mountinfo: str) -> frozenset[int]:
    """The same from the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)). Pure."""
    found = set()
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        words = before.split()
        if separator and len(words) > 2 and after.split(" ", 1)[0] in _NOT_FILES:
            major, _, minor = words[2].partition(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)
