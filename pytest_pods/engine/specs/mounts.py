"""What is mounted into a container: the values, and what people write in lists and mappings."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.ids import parse_name
from pytest_pods.engine.specs.values import parse_absolute, parse_size
from pytest_pods.frozen import frozen


@frozen
class BindMount:
    """A file or directory of the host at `target` of the container.

    `subpath` is what of `source` is mounted, and never leads out of it. `chown` gives it, with all that is in it, to
    the container's user. `options` are `exec`, `noexec`, `suid`, `nosuid`, `dev`, `nodev`. `relabel` is "z" or "Z", as
    other engines take it for SELinux, and changes nothing here.
    """

    source: str
    target: str
    read_only: bool = False
    recursive: bool = True
    relabel: str | None = None
    chown: bool = False
    propagation: str = "rprivate"
    options: tuple[str, ...] = ()
    subpath: str = ""


@frozen
class VolumeMount:
    """A volume at `target`: a named one, which is made if there is none, or without a `name` one that goes with the
    container.

    A fresh volume is filled with what the image has at `target`, unless `copy` is off or `subpath` is given. The rest
    is as for BindMount. `anonymous` is the engine's: the volume is the container's own.
    """

    name: str | None
    target: str
    read_only: bool = False
    subpath: str = ""
    copy: bool = True
    relabel: str | None = None
    chown: bool = False
    propagation: str = "rprivate"
    options: tuple[str, ...] = ()
    anonymous: bool = False


@frozen
class ImageMount:
    """The files of an image at `target`, or with `subpath` a part of them; what is written there goes with the
    container."""

    image: str
    target: str
    read_only: bool = True
    subpath: str = ""


@frozen
class TmpfsMount:
    """A memory file system at `target`; `size` in bytes, None for the kernel's default (half the memory)."""

    target: str
    size: int | None = None
    mode: int = 0o1777
    options: tuple[str, ...] = ()


MountSpec: TypeAlias = BindMount | VolumeMount | ImageMount | TmpfsMount


@runtime_checkable
class Mountable(Protocol):
    """What says itself how it is mounted: the handle of a volume."""

    def at(self, target: str, /, *, read_only: bool = False) -> VolumeMount: ...


def parse_mounts(value: object) -> tuple[MountSpec, ...]:
    """The argument `mounts`: values, or texts such as `type=volume,source=data,target=/data`."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidSpecError(f"mounts has to be a list of BindMount, VolumeMount, ImageMount, TmpfsMount: {value!r}")
    return tuple(_parse_mount(item) for item in value)


def _parse_mount(value: object) -> MountSpec:
    if isinstance(value, str):
        from pytest_pods.engine.specs.mount_texts import parse_mount

        return parse_mount(value)
    if not isinstance(value, MountSpec):
        raise InvalidSpecError(
            f"mounts has to be a list of BindMount, VolumeMount, ImageMount and TmpfsMount, not of {value!r}"
        )
    check_mount(value)
    return value


def check_mount(mount: MountSpec) -> None:
    """Raises InvalidSpecError, InvalidNameError for a value that cannot be meant."""
    parse_absolute("the target of a mount", mount.target)
    if posixpath.normpath(mount.target) in ("/", "//"):
        raise InvalidSpecError("nothing can be mounted at '/': that is the container's root")
    if isinstance(mount, VolumeMount) and mount.name is not None:
        parse_name(mount.name)
    if not isinstance(mount, TmpfsMount):
        parse_subpath(mount.subpath)


def parse_subpath(text: str) -> str:
    """A relative path without `..`; raises InvalidSpecError."""
    if "\0" in text or text.startswith("/") or ".." in text.split("/"):
        raise InvalidSpecError(
            f"invalid sub-path {text!r}", hint="it is a relative path, and does not lead out of what is mounted"
        )
    return text


def parse_volumes(value: object) -> tuple[MountSpec, ...]:
    """The argument `volumes`: texts, mounts, pairs of a source and a target, or a mapping target → source."""
    if isinstance(value, Mapping):
        return tuple(_parse_pair(source, target) for target, source in value.items())
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidSpecError(f"volumes has to be a list of 'SOURCE:TARGET' or a mapping, not {value!r}")
    return tuple(mount for item in value for mount in _parse_volume_item(item))


def _parse_volume_item(value: object) -> Iterator[MountSpec]:
    if isinstance(value, str):
        from pytest_pods.engine.specs.mount_texts import parse_volume

        yield parse_volume(value)
    elif isinstance(value, MountSpec):
        yield _parse_mount(value)
    elif isinstance(value, tuple) and len(value) == 2:
        yield _parse_pair(value[0], value[1])
    else:
        raise InvalidSpecError(
            f"volumes has {value!r}, which says no target", hint="write 'SOURCE:TARGET', or {TARGET: SOURCE}"
        )


def _parse_pair(source: object, target: object) -> MountSpec:
    place = parse_absolute("volumes target", target)
    mount: MountSpec
    if isinstance(source, Mountable):
        mount = source.at(place)
    elif isinstance(source, str) and "/" not in source:
        mount = VolumeMount(source or None, place)
    elif isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if not isinstance(path, str) or not path.startswith("/"):
            raise InvalidSpecError(f"volumes: {path!r} is neither a volume's name nor an absolute path of the host")
        mount = BindMount(path, place)
    elif source is None:
        mount = VolumeMount(None, place)
    else:
        raise InvalidSpecError(f"volumes: {source!r} is no volume and no path", hint="write {TARGET: SOURCE}")
    check_mount(mount)
    return mount


def parse_tmpfs_mounts(value: object) -> tuple[MountSpec, ...]:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, Mapping):
        return tuple(
            TmpfsMount(parse_absolute("tmpfs", target), parse_size(str(size)) if size else None)
            for target, size in value.items()
        )
    if not isinstance(value, Sequence):
        raise InvalidSpecError(f"tmpfs has to be a list of targets or a mapping, not {value!r}")
    from pytest_pods.engine.specs.mount_texts import parse_tmpfs
    from pytest_pods.engine.specs.values import parse_text

    return tuple(parse_tmpfs(parse_text("tmpfs", item)) for item in value)


def refuse_same_target(mounts: Sequence[MountSpec]) -> None:
    seen: set[str] = set()
    for mount in mounts:
        target = normalize_target(mount.target)
        if target in seen:
            raise InvalidSpecError(f"two mounts at {mount.target!r}")
        seen.add(target)


def normalize_target(target: str) -> str:
    """The path in the container without what means nothing in it."""
    return "/" + posixpath.normpath("/" + target).lstrip("/")
