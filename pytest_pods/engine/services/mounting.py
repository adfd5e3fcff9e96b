"""What is mounted into a container: settled when it is planned, made ready when it is made, taken away with it.

runc is given paths only that nobody but the engine can change. What lies inside a volume, a directory or an image, and
may be a link, is bound by the sandbox to a path of the container's directory first.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidSpecError, SystemCallError
from pytest_pods.engine.ids import new_container_id
from pytest_pods.engine.runtime.mounts import build_mount
from pytest_pods.engine.services.root_mounts import mount_overlay
from pytest_pods.engine.services.volume_filling import OwnerSource, fill, give_to
from pytest_pods.engine.specs.mounts import (
    BindMount,
    ImageMount,
    MountSpec,
    TmpfsMount,
    VolumeMount,
    normalize_target,
)
from pytest_pods.engine.storage.overlay import build_overlay_plan
from pytest_pods.engine.storage.volumes import VolumeRecord, make_volume

if TYPE_CHECKING:
    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.oci.image_config import ImageConfig
    from pytest_pods.engine.oci.runtime_spec import Mount
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.image import Image
    from pytest_pods.engine.services.volumes import VolumeService
    from pytest_pods.engine.specs.container import ContainerSpec
    from pytest_pods.engine.state.layout import ContainerLayout, VolumesLayout

_OURS = ("/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""Where an image's wish for a volume is not heard: every container has the engine's own there."""


def with_mounts(record: ContainerRecord, image: ImageConfig, mounted: Sequence[Image]) -> ContainerRecord:
    """The record with all that will be mounted; `mounted` are the images of the spec's image mounts, in their order."""
    layers = dict.fromkeys([*record.layers, *(str(layer) for one in mounted for layer in one.config.chain_ids)])
    return replace(
        record,
        mounts=tuple(plan_mounts(record.spec, image)),
        mounted_images=tuple(str(one.id) for one in mounted),
        layers=tuple(layers),
    )


def plan_mounts(spec: ContainerSpec, image: ImageConfig) -> Iterator[MountSpec]:
    """The spec's mounts, and a volume for each place that the image declares and nothing else is mounted at."""
    taken = {normalize_target(mount.target) for mount in spec.mounts}
    declared = dict.fromkeys(map(normalize_target, image.volumes))
    own = [VolumeMount(None, target) for target in declared if target not in taken and not _is_ours(target)]
    for mount in (*spec.mounts, *own):
        if isinstance(mount, VolumeMount) and mount.name is None:
            mount = replace(mount, name=new_container_id(), anonymous=True)
        yield mount


def _is_ours(target: str) -> bool:
    return target == "/" or any(target == place or target.startswith(f"{place}/") for place in _OURS)


def build_mounts(record: ContainerRecord, layout: ContainerLayout, volumes: VolumesLayout) -> tuple[Mount, ...]:
    """The record's mounts for config.json."""
    return tuple(
        build_mount(mount, None if isinstance(mount, TmpfsMount) else str(find_source(number, mount, layout, volumes)))
        for number, mount in enumerate(record.mounts)
    )


def find_source(
    number: int, mount: BindMount | VolumeMount | ImageMount, layout: ContainerLayout, volumes: VolumesLayout
) -> Path:
    """What runc binds for the mount with this number."""
    return layout.mount_point(number) if mount.subpath else find_base(number, mount, layout, volumes)


def find_base(
    number: int, mount: BindMount | VolumeMount | ImageMount, layout: ContainerLayout, volumes: VolumesLayout
) -> Path:
    """The whole of which a sub-path is a part."""
    if isinstance(mount, BindMount):
        return Path(mount.source)
    if isinstance(mount, ImageMount):
        return layout.image_mount_point(number)
    assert mount.name is not None
    return (layout.volumes if mount.anonymous else volumes).volume(mount.name).data_dir


class Mounting:
    """Makes ready what one container is to have mounted; its root is mounted, and its record written."""

    def __init__(
        self,
        sandbox: Sandbox,
        record: ContainerRecord,
        layout: ContainerLayout,
        *,
        volumes: VolumeService,
        user_xattrs: bool,
        owner: OwnerSource,
    ) -> None:
        self._sandbox = sandbox
        self._record = record
        self._layout = layout
        self._volumes = volumes
        self._user_xattrs = user_xattrs
        self._owner = owner

    def prepare(self, images: Sequence[Image]) -> None:
        """`images` are those of the image mounts, in their order. Raises InvalidSpecError for a sub-path that is not
        there, NotFoundError, StorageError, SystemCallError."""
        if all(isinstance(mount, TmpfsMount) for mount in self._record.mounts):
            return
        self._layout.mounts_dir.mkdir(mode=0o711, exist_ok=True)
        left = iter(images)
        for number, mount in enumerate(self._record.mounts):
            if isinstance(mount, TmpfsMount):
                continue
            if isinstance(mount, VolumeMount):
                self._prepare_volume(mount)
            elif isinstance(mount, ImageMount):
                self._mount_image(number, next(left))
            base = find_base(number, mount, self._layout, self._volumes.layout)
            if mount.subpath:
                self._bind_part(number, mount, base)
            if not isinstance(mount, ImageMount) and mount.chown:
                if mount.subpath:
                    give_to(self._sandbox, Path(mount.subpath), root=base, owner=self._owner)
                else:
                    give_to(self._sandbox, base, owner=self._owner)

    def _prepare_volume(self, mount: VolumeMount) -> None:
        assert mount.name is not None
        if mount.anonymous:
            place = self._layout.volumes
            place.directory.mkdir(mode=0o711, exist_ok=True)
            volume = place.volume(mount.name)
            # In place: its container is known to be half-made as well.
            make_volume(volume, VolumeRecord(mount.name, self._record.created, {}, self._record.id))
        else:
            volume = self._volumes.ensure(mount.name)
        fill(self._sandbox, volume, mount, rootfs=self._layout.merged_dir, owner=self._owner)

    def _mount_image(self, number: int, image: Image) -> None:
        """Always with an upper directory: an overlay without one needs two layers, and an image may have one."""
        scratch = self._layout.image_scratch_dir(number)
        upper, work = scratch / "upper", scratch / "work"
        for directory in (scratch, upper, work):
            directory.mkdir(mode=0o755)
        point = self._layout.image_mount_point(number)
        point.mkdir()
        plan = build_overlay_plan(lower=image.diff_dirs, upper=upper, work=work, user_xattrs=self._user_xattrs)
        mount_overlay(self._sandbox, plan, target=point, links=scratch / "l")

    def _bind_part(self, number: int, mount: BindMount | VolumeMount | ImageMount, base: Path) -> None:
        point = self._layout.mount_point(number)
        try:
            descriptor = self._sandbox.open(mount.subpath, os.O_PATH | os.O_CLOEXEC, root=base)
            try:
                is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            finally:
                os.close(descriptor)
            if is_directory:
                point.mkdir()
            else:
                point.touch()
            recursive = not isinstance(mount, BindMount) or mount.recursive
            self._sandbox.bind(mount.subpath, point, root=base, recursive=recursive)
        except SystemCallError as error:
            raise InvalidSpecError(
                f"mount at {mount.target}: the sub-path {mount.subpath!r} of {describe_source(mount)}: "
                f"{os.strerror(error.errno)}",
                hint="it has to be there before",
            ) from error


def describe_source(mount: BindMount | VolumeMount | ImageMount) -> str:
    """What is mounted, for people."""
    if isinstance(mount, BindMount):
        return mount.source
    return f"volume {mount.name}" if isinstance(mount, VolumeMount) else f"image {mount.image}"


def unmount_all(sandbox: Sandbox, layout: ContainerLayout) -> None:
    """Takes away what the sandbox has mounted for a container; parts before the whole that they are of."""
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(layout.mounts_dir)):
            # Not mounted is as good as unmounted.
            with suppress(SystemCallError):
                sandbox.unmount(layout.mounts_dir / name)


def find_sources(record: ContainerRecord, layout: ContainerLayout, volumes: VolumesLayout) -> Mapping[str, str]:
    """Target → where its files are, for documents."""
    return {
        mount.target: str(find_source(number, mount, layout, volumes))
        for number, mount in enumerate(record.mounts)
        if not isinstance(mount, TmpfsMount)
    }
