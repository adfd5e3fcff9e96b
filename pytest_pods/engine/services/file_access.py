"""Whole files of containers and volumes, read and written by the sandbox. A container may have put anything there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidInputError, NotFoundError, SystemCallError
from pytest_pods.engine.host.pipes import read_regular_file

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.engine.host.sandbox import Sandbox

_MOST_FILE_BYTES = 1 << 30


def read_file(sandbox: Sandbox, path: str, *, root: Path, subject: str, cure: str) -> bytes:
    """A file below `root`, and never outside of it; `cure` is for one that is too large to be one value. Raises
    NotFoundError, InvalidInputError."""
    reading = f"reading {path} of {subject}"
    descriptor = _open(sandbox, path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, root=root, doing=reading)
    content = read_regular_file(descriptor, _MOST_FILE_BYTES + 1)
    if content is None:
        raise InvalidInputError(f"{reading}: it is no regular file")
    if len(content) > _MOST_FILE_BYTES:
        raise InvalidInputError(f"{reading}: it has more than {_MOST_FILE_BYTES >> 20} MiB", hint=cure)
    return content


def write_file(sandbox: Sandbox, path: str, content: bytes, *, mode: int, root: Path, subject: str) -> None:
    """Raises NotFoundError if the directory does not exist."""
    # Non-blocking: there may be a fifo, which nobody reads.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = _open(sandbox, path, flags, mode=mode, root=root, doing=f"writing {path} of {subject}")
    with open(descriptor, "wb") as file:
        file.write(content)


def _open(sandbox: Sandbox, path: str, flags: int, *, root: Path, doing: str, mode: int = 0) -> int:
    try:
        return sandbox.open(path, flags, mode=mode, root=root)
    except SystemCallError as error:
        raise NotFoundError(f"{doing}: {os.strerror(error.errno)}") from error
