"""Files that a command writes: there when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from pytest_pods.cli.options import UsageError


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """A file that takes its name when the block is left without an error; devices and pipes are written at once.

    Raises UsageError.
    """
    try:
        if os.path.lexists(path) and not os.path.isfile(path):
            with open(path, "wb") as there:
                yield there
            return
        temporary = f"{path}.{os.urandom(4).hex()}.part"
        with suppress(FileNotFoundError):
            # A name that leads elsewhere is meant to.
            temporary = f"{os.path.realpath(path, strict=True)}.{os.urandom(4).hex()}.part"
        file = open(temporary, "xb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"writing {path}: {error.strerror}") from error
    try:
        with file:
            yield file
        os.replace(temporary, temporary.rsplit(".", 2)[0])
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
