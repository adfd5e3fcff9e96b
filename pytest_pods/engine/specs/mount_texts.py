"""Mounts as people write them: `-v SOURCE:TARGET:OPTIONS`, `--mount type=…,…`, `--tmpfs TARGET:OPTIONS`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs.mounts import (
    BindMount,
    ImageMount,
    MountSpec,
    TmpfsMount,
    VolumeMount,
    check_mount,
    parse_subpath,
)
from pytest_pods.engine.specs.values import did_you_mean, parse_absolute, parse_size, refuse_nul

_PROPAGATIONS: Final = frozenset(
    f"{recursive}{kind}" for recursive in ("", "r") for kind in ("private", "shared", "slave", "unbindable")
)
_PLAIN: Final = frozenset({"exec", "noexec", "suid", "nosuid", "dev", "nodev"})
# Docker's, for machines where the files are on another one.
_IGNORED: Final = frozenset({"cached", "delegated", "consistent", "default"})
_FLAGS: Final[dict[str, dict[str, Any]]] = {
    "ro": {"read_only": True},
    "rw": {"read_only": False},
    "z": {"relabel": "z"},
    "Z": {"relabel": "Z"},
    "U": {"chown": True},
    "bind": {"recursive": False},
    "rbind": {"recursive": True},
    "copy": {"copy": True},
    "nocopy": {"copy": False},
}
_BIND_ONLY: Final = frozenset({"recursive"})
_VOLUME_ONLY: Final = frozenset({"copy"})


def parse_volume(text: str) -> MountSpec:
    """Reads "NAME:TARGET[:OPTIONS]", "/SOURCE:TARGET[:OPTIONS]", or "TARGET" alone for a volume of the container's own.

    Raises InvalidSpecError, InvalidNameError.
    """
    parts = refuse_nul("volume", text).split(":")
    if len(parts) > 3 or not all(parts[:2]):
        raise InvalidSpecError(f"invalid volume {text!r}", hint="write 'SOURCE:TARGET' or 'SOURCE:TARGET:ro'")
    source, target, options = (None, parts[0], "") if len(parts) == 1 else (parts[0], parts[1], "".join(parts[2:]))
    subject = f"volume {text!r}"
    parse_absolute(f"{subject}: the target", target)
    is_bind = source is not None and source.startswith("/")
    if source is not None and not is_bind and ("/" in source or source in (".", "..")):
        raise InvalidSpecError(
            f"{subject}: {source!r} is not an absolute path of the host", hint="a volume's name has no '/'"
        )
    values = _read_options(subject, [option for option in options.split(",") if option], bind=is_bind)
    mount: MountSpec
    if source is not None and is_bind:
        mount = BindMount(source, target, **values)
    else:
        mount = VolumeMount(source, target, **values)
    check_mount(mount)
    return mount


def _read_options(subject: str, options: list[str], *, bind: bool) -> dict[str, Any]:
    values: dict[str, Any] = {}
    plain: list[str] = []
    for option in options:
        if option in _FLAGS:
            values.update(_FLAGS[option])
        elif option in _PROPAGATIONS:
            values["propagation"] = option
        elif option in _PLAIN:
            plain.append(option)
        elif option not in _IGNORED:
            known = {*_FLAGS, *_PROPAGATIONS, *_PLAIN}
            raise InvalidSpecError(f"{subject}: unknown option {option!r}", hint=did_you_mean(option, known))
    wrong = values.keys() & (_VOLUME_ONLY if bind else _BIND_ONLY)
    if "recursive" in wrong:
        # Podman takes them for volumes as well, where they mean nothing.
        del values["recursive"]
    elif wrong:
        raise InvalidSpecError(f"{subject}: a directory of the host is not filled from an image", hint="leave it out")
    return {**values, "options": tuple(plain)}


def parse_tmpfs(text: str) -> TmpfsMount:
    """Reads "TARGET[:size=64m,mode=1777,…]"; raises InvalidSpecError."""
    target, _, options = refuse_nul("tmpfs", text).partition(":")
    size, mode, rest = None, 0o1777, []
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "size":
            size = parse_size(value)
        elif key == "mode":
            mode = _parse_mode(f"tmpfs {text!r}", value)
        elif option in _PLAIN or option in ("ro", "rw"):
            rest.append(option)
        else:
            raise InvalidSpecError(
                f"tmpfs {text!r}: unknown option {option!r}", hint="size=, mode=, ro, noexec, exec are known"
            )
    mount = TmpfsMount(parse_absolute("tmpfs", target), size, mode, tuple(rest))
    check_mount(mount)
    return mount


def _parse_mode(subject: str, text: str) -> int:
    if not re.fullmatch(r"[0-7]{1,5}", text):
        raise InvalidSpecError(f"{subject}: {text!r} is no mode", hint="write octal digits, such as 1777")
    return int(text, 8)


_NAMES: Final[dict[str, str]] = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "readonly": "ro",
    "volume-subpath": "subpath",
    "image-subpath": "subpath",
    "tmpfs-size": "size",
    "tmpfs-mode": "mode",
    "chown": "U",
    "volume-nocopy": "nocopy",
    "readwrite": "rw",
}
_SWITCHES: Final = frozenset({"ro", "rw", "U", "z", "Z", "nocopy", "copy", "bind-nonrecursive", *_PLAIN})
_NEGATIVES: Final = {"ro": "rw", "rw": "ro", "nocopy": "copy", "copy": "nocopy"}
_COMMON: Final = frozenset({"type", "source", "target", "ro", "rw", "consistency"})
_SHARED: Final = _COMMON | {"subpath", "U", "z", "Z", "relabel", "bind-propagation", *_PLAIN}
_KEYS: Final[dict[str, frozenset[str]]] = {
    "bind": _SHARED | {"bind-nonrecursive", "bind-recursive"},
    "volume": _SHARED | {"nocopy", "copy", "volume-driver"},
    "tmpfs": (_COMMON - {"source"}) | {"size", "mode", *_PLAIN},
    "image": _COMMON | {"subpath"},
}


def parse_mount(text: str) -> MountSpec:
    """Reads "type=bind|volume|tmpfs|image,source=…,target=…,readonly,subpath=…,…"; raises InvalidSpecError."""
    subject = f"mount {text!r}"
    values = _read_pairs(subject, text)
    kind = values.get("type", "volume")
    if kind not in _KEYS:
        raise InvalidSpecError(f"{subject}: unknown type {kind!r}", hint=f"it is one of {', '.join(_KEYS)}")
    for key in values:
        if key not in _KEYS[kind]:
            raise InvalidSpecError(
                f"{subject}: a mount of type {kind} takes no {key!r}", hint=did_you_mean(key, _KEYS[kind])
            )
    if not values.get("target"):
        raise InvalidSpecError(f"{subject} says no target", hint="write target=/path")
    mount = _BUILDERS[kind](subject, values)
    check_mount(mount)
    return mount


def _read_pairs(subject: str, text: str) -> dict[str, str]:
    """Key → value, by the names of one of the ways to write them; a switch that is on has the value `true`."""
    values: dict[str, str] = {}
    for part in _split(subject, refuse_nul("mount", text)):
        key, separator, value = part.partition("=")
        key = _NAMES.get(key, key)
        if key in _SWITCHES:
            if value.lower() not in ("", "true", "1", "false", "0"):
                raise InvalidSpecError(f"{subject}: {key} is a switch: {value!r} is neither true nor false")
            is_on = value.lower() in ("", "true", "1")
            if not is_on and key not in _NEGATIVES:
                continue
            values[key if is_on else _NEGATIVES[key]] = "true"
        elif not separator:
            raise InvalidSpecError(f"{subject}: {part!r} is not KEY=VALUE")
        else:
            values[key] = value
    return values


def _split(subject: str, text: str) -> list[str]:
    if '"' not in text:
        return [part for part in text.split(",") if part]
    import csv

    try:
        # A path may have a comma: Docker's and Podman's readers take quotes as a table's do.
        return [part for part in next(csv.reader([text], strict=True)) if part]
    except (csv.Error, StopIteration) as error:
        raise InvalidSpecError(f"{subject} cannot be read: {error}") from error


def _read_shared(subject: str, values: dict[str, str]) -> dict[str, Any]:
    read: dict[str, Any] = {
        "read_only": "ro" in values,
        "chown": "U" in values,
        "options": tuple(option for option in values if option in _PLAIN),
        "subpath": parse_subpath(values.get("subpath", "")),
    }
    relabel = values.get("relabel")
    if relabel not in (None, "shared", "private"):
        raise InvalidSpecError(f"{subject}: relabel is shared or private, not {relabel!r}")
    read["relabel"] = {"shared": "z", "private": "Z"}.get(relabel or "") or next((x for x in "zZ" if x in values), None)
    if (propagation := values.get("bind-propagation")) is not None:
        if propagation not in _PROPAGATIONS:
            raise InvalidSpecError(f"{subject}: unknown propagation {propagation!r}", hint=", ".join(_PROPAGATIONS))
        read["propagation"] = propagation
    return read


def _build_bind(subject: str, values: dict[str, str]) -> BindMount:
    source = values.get("source", "")
    if not source.startswith("/"):
        raise InvalidSpecError(f"{subject}: {source!r} is not an absolute path of the host", hint="write source=/path")
    flat = "bind-nonrecursive" in values or values.get("bind-recursive") == "disabled"
    return BindMount(source, values["target"], recursive=not flat, **_read_shared(subject, values))


def _build_volume(subject: str, values: dict[str, str]) -> VolumeMount:
    if values.get("volume-driver", "local") != "local":
        raise InvalidSpecError(f"{subject}: there is no volume driver {values['volume-driver']!r}", hint="only local")
    shared = _read_shared(subject, values)
    return VolumeMount(values.get("source") or None, values["target"], copy="nocopy" not in values, **shared)


def _build_tmpfs(subject: str, values: dict[str, str]) -> TmpfsMount:
    size = parse_size(values["size"]) if "size" in values else None
    mode = _parse_mode(subject, values["mode"]) if "mode" in values else 0o1777
    options = tuple(option for option in values if option in _PLAIN or option in ("ro", "rw"))
    return TmpfsMount(values["target"], size, mode, options)


def _build_image(subject: str, values: dict[str, str]) -> ImageMount:
    if not values.get("source"):
        raise InvalidSpecError(f"{subject} says no image", hint="write source=IMAGE")
    subpath = parse_subpath(values.get("subpath", "").lstrip("/"))
    return ImageMount(values["source"], values["target"], "rw" not in values, subpath)


_BUILDERS: Final[dict[str, Callable[[str, dict[str, str]], MountSpec]]] = {
    "bind": _build_bind,
    "volume": _build_volume,
    "tmpfs": _build_tmpfs,
    "image": _build_image,
}
