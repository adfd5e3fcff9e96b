"""What is mounted into a container."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs.values import parse_absolute, parse_size, parse_text


@dataclass(frozen=True, slots=True)
class BindMount:
    """A file or directory of the host at `target` of the container."""

    source: str
    target: str
    read_only: bool = False
    recursive: bool = True


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """A memory file system at `target`; `size` in bytes, None for the kernel's default (half the memory)."""

    target: str
    size: int | None = None
    mode: int = 0o1777
    options: tuple[str, ...] = ()


MountSpec: TypeAlias = BindMount | TmpfsMount


def parse_mounts(value: object) -> tuple[MountSpec, ...]:
    if not isinstance(value, Sequence) or not all(isinstance(item, BindMount | TmpfsMount) for item in value):
        raise InvalidSpecError(f"mounts has to be a list of BindMount and TmpfsMount, not {value!r}")
    return tuple(value)


def parse_volume(text: str) -> BindMount:
    """Reads "SOURCE:TARGET[:ro|rw]" with an absolute SOURCE; raises InvalidSpecError."""
    source, separator, rest = text.partition(":")
    target, _, options = rest.partition(":")
    flags = set(filter(None, options.split(",")))
    if not separator or not source or flags - {"ro", "rw", "bind", "rbind"}:
        raise InvalidSpecError(f"invalid volume {text!r}", hint="write 'SOURCE:TARGET' or 'SOURCE:TARGET:ro'")
    if not PurePosixPath(source).is_absolute():
        raise InvalidSpecError(f"volume {text!r}: {source!r} is not an absolute path of the host")
    return BindMount(source, parse_absolute("volumes target", target), "ro" in flags, "bind" not in flags)


def parse_volumes(value: object) -> tuple[MountSpec, ...]:
    if isinstance(value, Mapping):
        return tuple(
            BindMount(str(source), parse_absolute("volumes target", target)) for target, source in value.items()
        )
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidSpecError(f"volumes has to be a list of 'SOURCE:TARGET' or a mapping, not {value!r}")
    return tuple(parse_volume(parse_text("volumes", item)) for item in value)


def parse_tmpfs(text: str) -> TmpfsMount:
    """Reads "TARGET[:size=64m,mode=1777,…]"; raises InvalidSpecError."""
    target, _, options = text.partition(":")
    size, mode, rest = None, 0o1777, []
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "size":
            size = parse_size(value)
        elif key == "mode" and re.fullmatch(r"[0-7]{1,5}", value):
            mode = int(value, 8)
        elif option in ("ro", "rw", "noexec", "exec", "nosuid", "suid", "nodev", "dev"):
            rest.append(option)
        else:
            raise InvalidSpecError(
                f"tmpfs {text!r}: unknown option {option!r}", hint="size=, mode=, ro, noexec, exec are known"
            )
    return TmpfsMount(parse_absolute("tmpfs", target), size, mode, tuple(rest))


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
    return tuple(parse_tmpfs(parse_text("tmpfs", item)) for item in value)


def refuse_same_target(mounts: Sequence[MountSpec]) -> None:
    seen: set[PurePosixPath] = set()
    for mount in mounts:
        target = PurePosixPath(mount.target)
        if target in seen:
            raise InvalidSpecError(f"two mounts at {mount.target!r}")
        seen.add(target)
