"""Making a volume ready for its first container, as Podman does: what the image has at that place, or its owner.

Everything is named by descriptors that the sandbox opened with the container's root as root, so that no link of the
image leads out of it, and copied by a program inside the sandbox, to which the ids of the files belong.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from pytest_pods.engine.errors import CommandError, StorageError, SystemCallError
from pytest_pods.engine.host.pipes import Pipe
from pytest_pods.engine.host.programs import get_program
from pytest_pods.engine.state import locks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.specs.mounts import VolumeMount
    from pytest_pods.engine.state.layout import VolumeLayout

OwnerSource: TypeAlias = Callable[[], tuple[int, int]]
"""Gives the user and group that a container runs as; asked only at need, since that reads files of the image."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PATIENCE_S = 3600.0


def fill(sandbox: Sandbox, volume: VolumeLayout, mount: VolumeMount, *, rootfs: Path, owner: OwnerSource) -> None:
    """Afterwards the volume is what its first container is to find; nothing happens if it has had one.

    Raises StorageError, CommandError.
    """
    if mount.anonymous:
        # Nobody else can have it.
        if mount.copy and not mount.subpath:
            _fill(sandbox, volume, mount.target, rootfs=rootfs, owner=owner)
        return
    if volume.used_file.exists():
        return
    with locks.brief(volume.lock_file):
        if volume.used_file.exists():
            return
        if mount.copy and not mount.subpath:
            _fill(sandbox, volume, mount.target, rootfs=rootfs, owner=owner)
        volume.used_file.touch()


def _fill(sandbox: Sandbox, volume: VolumeLayout, target: str, *, rootfs: Path, owner: OwnerSource) -> None:
    data = sandbox.open(volume.data_dir, _DIRECTORY)
    try:
        # What was cut off is done once more, over what is there.
        if not volume.filling_file.exists() and os.listdir(data):
            return
        source = _find_directory(sandbox, target, rootfs)
        if source is None:
            uid, gid = owner()
            if (uid, gid) != (0, 0):
                _run(sandbox, ["chown", f"{uid}:{gid}", "/proc/self/fd/3"], {3: data}, f"the owner of {target}")
            return
        try:
            volume.filling_file.touch()
            _run(
                sandbox,
                # The dots: of the directories themselves, which are links here, and of their owner and mode.
                ["cp", "-a", "/proc/self/fd/3/.", "/proc/self/fd/4/."],
                {3: source, 4: data},
                f"copying {target} of the image into the volume",
            )
            volume.filling_file.unlink()
        finally:
            os.close(source)
    finally:
        os.close(data)


def _find_directory(sandbox: Sandbox, path: str, rootfs: Path) -> int | None:
    try:
        return sandbox.open(path, _DIRECTORY, root=rootfs)
    except SystemCallError:
        # Not there, or no directory: then there is nothing to copy, and what is wrong the mount will say.
        return None


def give_to(sandbox: Sandbox, path: Path, *, root: Path | None = None, owner: OwnerSource) -> None:
    """Gives a file, or a directory with all below it, to the container's user; links are not followed.

    Raises SystemCallError, CommandError.
    """
    uid, gid = owner()
    descriptor = sandbox.open(path, os.O_PATH | os.O_CLOEXEC, root=root)
    try:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        # -P: what a link leads to is somebody else's, also where the link is exchanged meanwhile.
        argv = ["chown", "-hRP", f"{uid}:{gid}", "/proc/self/fd/3/."]
        _run(
            sandbox,
            argv if is_directory else ["chown", f"{uid}:{gid}", "/proc/self/fd/3"],
            {3: descriptor},
            f"giving {path} to {uid}:{gid}",
        )
    finally:
        os.close(descriptor)


def _run(sandbox: Sandbox, argv: list[str], descriptors: Mapping[int, int], doing: str) -> None:
    program, *arguments = argv
    argv = [str(get_program(program)), *arguments]
    with Pipe() as errors:
        process = sandbox.spawn(
            argv, env={"PATH": os.defpath, "LC_ALL": "C"}, descriptors={**descriptors, 2: errors.writing}
        )
        errors.close_writing()
        # Read first: a program that has much to say waits for its reader.
        said = errors.read_tail(timeout_s=_PATIENCE_S)
        status = process.wait(_PATIENCE_S)
    if status == 0:
        return
    if "No space left" in said or "quota exceeded" in said:
        from pytest_pods.engine.errors import DiskFullError

        raise DiskFullError(f"{doing}: no space left", hint="free space where the store is")
    if program == "cp":
        raise StorageError(f"{doing} failed", details=said)
    raise CommandError(f"{doing} failed", argv=argv, status=status, stderr=said, details=said)
