"""Waits until a file system has written everything down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SystemCallError

if TYPE_CHECKING:
    from pathlib import Path


def sync_file_system(path: Path) -> None:
    """syncfs(2) of the file system that `path` lies on. Raises OSError and SystemCallError."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise SystemCallError(
                f"syncing the file system of {path}: {os.strerror(number)}",
                call="syncfs",
                errno=number,
                subject=str(path),
            )
    finally:
        os.close(descriptor)
