"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import DiskFullError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_PIECE_BYTES = 1 << 16


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turns an OSError into a StorageError whose message begins with `doing`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"{doing}: {reason}", hint="free space where the store is, or put the store elsewhere with --pods-root"
            ) from error
        where = f" ({error.filename})" if error.filename else ""
        raise StorageError(f"{doing}: {reason}{where}") from error


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replaces `path` by a file with `content`; whoever reads sees the old one or the new one. Raises OSError.

    What a killed process leaves is called `.NAME.<random>` and lies beside it.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def find_bytes(path: Path) -> bytes | None:
    """The file's content, None if there is no such file. Raises OSError."""
    # Small files are read all the time: a file object takes longer than the file.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        content = b""
        while piece := os.read(descriptor, _PIECE_BYTES):
            content += piece
        return content
    finally:
        os.close(descriptor)
