"""Volumes that come and go with a pod: made before its members, below the pod's scratch, and mounted by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.host.sandbox import FileSystemMount, MountAttribute, Sandbox
from pytest_pods.engine.specs.mounts import BindMount, MountSpec, VolumeMount
from pytest_pods.engine.state.atomic import storage_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_pods.engine.pod_records import PodRecord
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.specs.pods import PodFile, PodVolume
    from pytest_pods.engine.state.layout import PodLayout


def make_pod_volumes(sandbox: Sandbox, layout: PodLayout, volumes: Sequence[PodVolume]) -> None:
    """Makes the volumes of a pod whose record is written. Raises StorageError, SystemCallError."""
    if not volumes:
        return
    with storage_errors(f"making the volumes of pod {layout.pod_id[:12]}"):
        layout.scratch_dir.parent.mkdir(mode=0o711, exist_ok=True)
        layout.scratch_dir.mkdir(mode=0o711)
        for volume in volumes:
            directory = layout.volume(volume.name)
            directory.mkdir()
            directory.chmod(volume.mode)
            if volume.memory:
                _mount_memory(sandbox, directory, volume)
            for file in volume.files:
                # One in memory has none: its directory is seen inside the sandbox only.
                _write(directory, file)


def _mount_memory(sandbox: Sandbox, directory: Path, volume: PodVolume) -> None:
    size = () if volume.size is None else (f"size={volume.size}",)
    sandbox.mount(
        FileSystemMount(
            "tmpfs",
            directory,
            (f"mode={volume.mode:o}", *size),
            source="tmpfs",
            attributes=MountAttribute.NO_SUID | MountAttribute.NO_DEVICES,
        )
    )


def _write(directory: Path, file: PodFile) -> None:
    target = directory / file.path
    _make_directories(directory, target.parent)
    if file.content is None:
        target.mkdir(exist_ok=True)
    else:
        target.write_bytes(file.content)
    target.chmod(file.mode)


def _make_directories(volume: Path, directory: Path) -> None:
    # Nobody but this process has been here: there are no links.
    if directory != volume and not directory.is_dir():
        _make_directories(volume, directory.parent)
        directory.mkdir()
        directory.chmod(0o755)


def settle_pod_volumes(record: ContainerRecord, pod: PodRecord, layout: PodLayout) -> ContainerRecord:
    """The record of a member with the pod's own volumes where its mounts name them. Pure."""
    names = {volume.name for volume in pod.volumes}
    return replace(record, mounts=tuple(_settle(mount, names, layout) for mount in record.mounts))


def _settle(mount: MountSpec, names: set[str], layout: PodLayout) -> MountSpec:
    if not isinstance(mount, VolumeMount) or mount.anonymous or mount.name not in names:
        return mount
    assert mount.name is not None
    return BindMount(
        str(layout.volume(mount.name)),
        mount.target,
        mount.read_only,
        chown=mount.chown,
        propagation=mount.propagation,
        options=mount.options,
        subpath=mount.subpath,
    )
