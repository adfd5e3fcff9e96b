"""Volumes of a pod, and where its containers mount them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from pytest_pods.engine.ids import parse_name
from pytest_pods.engine.kube.quantities import parse_quantity
from pytest_pods.engine.kube.tables import IGNORED
from pytest_pods.engine.specs.mounts import BindMount, MountSpec, VolumeMount, check_mount, parse_subpath
from pytest_pods.engine.specs.pods import PodFile, PodVolume
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.kube.bags import Bags
    from pytest_pods.engine.kube.values import Fields, Value

EVERYBODY = 0o777
FILES_DIRECTORY = 0o755
_KINDS = ("emptyDir", "hostPath", "configMap", "secret", "persistentVolumeClaim")
_PROPAGATIONS = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}


@frozen
class HostPath:
    """A path of the host, which has to be there."""

    path: str


@frozen
class Claim:
    """A named volume, which outlives the pod."""

    name: str


VolumeSource: TypeAlias = PodVolume | HostPath | Claim


def read_volumes(values: Sequence[Value], bags: Bags) -> dict[str, VolumeSource]:
    """`spec.volumes` by name. Raises KubeDocumentError."""
    found: dict[str, VolumeSource] = {}
    for value in values:
        fields = value.fields()
        name_value = fields.get("name")
        name = name_value.checked(partial(parse_name, name_value.text()))
        kinds = [kind for kind in _KINDS if fields.find(kind) is not None]
        fields.finish()
        if len(kinds) > 1:
            value.fail(f"is {' and '.join(kinds)} at once")
        if name in found:
            value.fail(f"is the second volume {name!r}")
        if kinds:
            found[name] = _READERS[kinds[0]](name, fields.get(kinds[0]), bags)
        else:
            # Kubernetes takes `- name: scratch` for an empty one as well, and so it does `emptyDir:` with nothing.
            found[name] = PodVolume(name, mode=EVERYBODY)
    return found


def _read_empty(name: str, value: Value, bags: Bags) -> PodVolume:
    fields = value.fields()
    medium, limit = fields.find("medium"), fields.find("sizeLimit")
    fields.finish()
    memory = medium is not None and medium.choice("", "Memory") == "Memory"
    size = None if limit is None else int(parse_quantity(limit))
    if limit is not None and not memory:
        limit.warn("has no effect on a volume that is not in memory")
        size = None
    return PodVolume(name, memory=memory, size=size, mode=EVERYBODY)


def _read_host_path(name: str, value: Value, bags: Bags) -> HostPath:
    fields = value.fields()
    path, kind = fields.get("path"), fields.find("type")
    fields.finish()
    if not PurePosixPath(path.text()).is_absolute():
        path.fail(f"is {path.text()!r}, which is no absolute path")
    if kind is not None:
        kind.choice(
            "", "Directory", "File", "Socket", "CharDevice", "BlockDevice", "DirectoryOrCreate", "FileOrCreate"
        )
        if kind.text().endswith("OrCreate"):
            kind.warn("is read as if it had to be there: nothing is made on the host")
    return HostPath(path.text())


def _read_config_map(name: str, value: Value, bags: Bags) -> PodVolume:
    return _read_bag(name, value, bags, kind="ConfigMap", named="name")


def _read_secret(name: str, value: Value, bags: Bags) -> PodVolume:
    return _read_bag(name, value, bags, kind="Secret", named="secretName")


def _read_bag(name: str, value: Value, bags: Bags, *, kind: str, named: str) -> PodVolume:
    fields = value.fields()
    optional = fields.flag("optional") or False
    bag = bags.find(kind, fields.get(named), optional=optional) or {}
    mode = _read_mode(fields.find("defaultMode"), 0o644)
    items = fields.find("items")
    fields.finish()
    if items is None:
        files = [PodFile(key, content, mode) for key, content in bag.items()]
    else:
        files = [found for item in items.list() if (found := _read_item(item, bag, mode, optional)) is not None]
    return PodVolume(name, tuple(files), mode=FILES_DIRECTORY)


def _read_item(value: Value, bag: Mapping[str, bytes], mode: int, optional: bool) -> PodFile | None:
    fields = value.fields()
    key, path = fields.get("key"), fields.get("path")
    mode = _read_mode(fields.find("mode"), mode)
    fields.finish()
    parts = path.text().split("/")
    if any(part in ("", ".", "..") for part in parts):
        path.fail(f"is {path.text()!r}, which is no plain relative path")
    if key.text() not in bag:
        if optional:
            return None
        key.fail(f"is {key.text()!r}, which is not in it", hint=f"there is: {', '.join(sorted(bag)) or 'nothing'}")
    return PodFile(path.text(), bag[key.text()], mode)


def _read_mode(value: Value | None, default: int) -> int:
    return default if value is None else value.number(most=0o777)


def _read_claim(name: str, value: Value, bags: Bags) -> Claim:
    fields = value.fields()
    claim = fields.get("claimName")
    fields.finish(ignored=IGNORED["volume claim"])
    return Claim(claim.checked(lambda: parse_name(claim.text())))


_READERS: Mapping[str, Callable[[str, Value, Bags], VolumeSource]] = {
    "emptyDir": _read_empty,
    "hostPath": _read_host_path,
    "configMap": _read_config_map,
    "secret": _read_secret,
    "persistentVolumeClaim": _read_claim,
}


def read_mounts(fields: Fields, volumes: dict[str, VolumeSource]) -> tuple[MountSpec, ...]:
    """A container's `volumeMounts`. A sub-path of a pod's own volume is made there: `volumes` is changed."""
    return tuple(_read_mount(value, volumes) for value in fields.list("volumeMounts"))


def _read_mount(value: Value, volumes: dict[str, VolumeSource]) -> MountSpec:
    fields = value.fields()
    name, target = fields.get("name"), fields.get("mountPath")
    read_only = fields.flag("readOnly") or False
    subpath = fields.find("subPath")
    propagation = fields.find("mountPropagation")
    fields.finish(ignored=IGNORED["mount"])
    source = volumes.get(name.text())
    if source is None:
        name.fail(
            f"names the volume {name.text()!r}, which the pod does not have",
            hint=f"it has: {', '.join(volumes) or 'none'}",
        )
    part = "" if subpath is None else subpath.checked(lambda: parse_subpath(subpath.text()))
    how = "rprivate" if propagation is None else _PROPAGATIONS[propagation.choice(*_PROPAGATIONS)]
    mount: MountSpec
    if isinstance(source, HostPath):
        mount = BindMount(source.path, target.text(), read_only, subpath=part, propagation=how)
    elif isinstance(source, Claim):
        # Nothing of the image goes into a claim.
        mount = VolumeMount(source.name, target.text(), read_only, part, copy=False, propagation=how)
    else:
        fixed = source.mode == FILES_DIRECTORY
        if part and source.memory:
            value.fail("is a part of a volume in memory, which is not supported", hint="leave out subPath, or medium")
        if part and not fixed:
            volumes[source.name] = _with_directory(source, part)
        mount = VolumeMount(source.name, target.text(), read_only or fixed, part, copy=False, propagation=how)
    target.checked(lambda: check_mount(mount))
    return mount


def _with_directory(volume: PodVolume, path: str) -> PodVolume:
    plain = "/".join(part for part in path.split("/") if part not in ("", "."))
    if not plain or any(file.path == plain for file in volume.files):
        return volume
    return replace(volume, files=(*volume.files, PodFile(plain, None, EVERYBODY)))
