"""What is asked of a volume: its name, its labels, and what is in it from the beginning."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TypeAlias

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.ids import parse_name
from pytest_pods.engine.specs.values import parse_environment
from pytest_pods.frozen import frozen

Content: TypeAlias = Mapping[str, str | bytes | os.PathLike[str]] | str | os.PathLike[str]
"""A directory, or relative paths → a text, bytes, or the path of a file or directory to copy; a path that ends with a
slash is an empty directory, whatever its value."""


@frozen
class VolumeSpec:
    """`entries` are path → content (bytes), source (Path) or None for a directory; "." is the volume itself."""

    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    entries: tuple[tuple[str, bytes | Path | None], ...] = ()


def build_volume_spec(name: object = None, *, labels: object = None, content: object = None) -> VolumeSpec:
    """Raises InvalidSpecError, InvalidNameError."""
    if name is not None and not isinstance(name, str):
        raise InvalidSpecError(f"the name of a volume has to be a text, not {name!r}")
    return VolumeSpec(
        None if name is None else parse_name(name),
        parse_environment("labels", {} if labels is None else labels),
        () if content is None else _parse_content(content),
    )


def _parse_content(value: object) -> tuple[tuple[str, bytes | Path | None], ...]:
    if isinstance(value, str | os.PathLike):
        path = Path(value)
        if not path.is_dir():
            raise InvalidSpecError(f"content: {str(path)!r} is not a directory")
        return ((".", path.absolute()),)
    if not isinstance(value, Mapping):
        raise InvalidSpecError(
            f"content has to be a directory or a mapping of paths, not {value!r}", hint='as in {"init.sql": "…"}'
        )
    return tuple((_parse_path(name), _parse_value(name, item)) for name, item in value.items())


def _parse_path(name: object) -> str:
    if not isinstance(name, str) or "\0" in name or name.startswith("/") or not name.strip("/"):
        raise InvalidSpecError(f"content: {name!r} is not a relative path")
    parts = [part for part in name.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise InvalidSpecError(f"content: {name!r} is not a plain relative path")
    return "/".join(parts)


def _parse_value(name: str, value: object) -> bytes | Path | None:
    if name.endswith("/"):
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    if isinstance(value, os.PathLike):
        path = Path(value).absolute()
        if not path.exists():
            raise InvalidSpecError(f"content: {name!r} is to be a copy of {path}, which does not exist")
        return path
    raise InvalidSpecError(f"content: {name!r} has to be a text, bytes or a path, not {value!r}")
