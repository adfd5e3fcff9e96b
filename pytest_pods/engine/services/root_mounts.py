"""Mounting a container's root: by the new mount API, and by mount(2) on kernels whose overlayfs lacks `lowerdir+`."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SystemCallError
from pytest_pods.engine.host.sandbox import ClassicMount, FileSystemMount, MountAttribute, Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.engine.storage.overlay import OverlayPlan

# An image's device nodes would be the host's devices; a container gets its own on /dev.
_ATTRIBUTES = MountAttribute.NO_DEVICES

_lacks_lowerdir_plus = False


def mount_overlay(sandbox: Sandbox, plan: OverlayPlan, *, target: Path, links: Path) -> None:
    """Mounts the plan on `target`, inside the sandbox; `links` may become a directory. Raises SystemCallError."""
    global _lacks_lowerdir_plus
    if not _lacks_lowerdir_plus:
        try:
            sandbox.mount(
                FileSystemMount("overlay", target, plan.options, source="overlay", attributes=_ATTRIBUTES)
            )
            return
        except SystemCallError as error:
            # Before 6.8 the first `lowerdir+` is an unknown option; what else is EINVAL, mount(2) will say again.
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
    _mount_classically(sandbox, plan, target, links)
    _lacks_lowerdir_plus = True


def _mount_classically(sandbox: Sandbox, plan: OverlayPlan, target: Path, links: Path) -> None:
    classic = plan.classic(links=links)
    classic.directory.mkdir(mode=0o711, exist_ok=True)
    for name, lower in classic.links.items():
        link = classic.directory / name
        if not link.is_symlink():
            link.symlink_to(lower)
    sandbox.mount(
        ClassicMount(
            "overlay", target, classic.data, classic.directory, source="overlay", attributes=_ATTRIBUTES
        )
    )
