"""Where a copy goes, by Docker's rules: what the source is, what is at the destination, and how both are written. Pure.
"""

from __future__ import annotations

import os

from pytest_pods.engine.errors import ConflictError, NotFoundError
from pytest_pods.frozen import frozen


@frozen
class Origin:
    """What is copied. `contents`: what is in the directory, not the directory itself."""

    name: str
    contents: bool
    directory: bool


@frozen
class Target:
    """The directory that is written to, and the name that the copy gets there; empty for the contents alone."""

    directory: str
    name: str


def build_origin(path: str, *, directory: bool) -> Origin:
    """`SRC/.` means what is in it, and so does a path without a name of its own, such as `/`."""
    last = os.path.basename(path.rstrip("/"))
    contents = directory and (last in ("", ".", "..") or path.endswith("/."))
    return Origin(last, contents, directory)


def build_target(origin: Origin, destination: str, *, exists: bool, directory: bool, doing: str) -> Target:
    """`exists` and `directory` tell of the destination. Raises ConflictError, NotFoundError."""
    if directory:
        return Target(destination, "" if origin.contents else origin.name)
    if exists:
        if origin.directory:
            raise ConflictError(f"{doing}: {destination} is no directory, and a directory does not replace it")
        if destination.endswith("/"):
            raise ConflictError(f"{doing}: {destination} is no directory")
    elif destination.endswith("/") and not origin.directory:
        raise NotFoundError(f"{doing}: there is no directory {destination}", hint="make it first")
    parent, name = os.path.split(destination.rstrip("/"))
    if name in ("", ".", ".."):
        raise NotFoundError(f"{doing}: there is no directory {destination}", hint="make it first")
    return Target(parent or ".", name)
