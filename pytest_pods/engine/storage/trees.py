"""Removes directory trees of the store, also those whose files belong to subordinate ids."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from pytest_pods.engine.host.process import Launcher
from pytest_pods.engine.storage.child import run_child
from pytest_pods.engine.storage.unpack.removal import remove_tree as remove_entry

if TYPE_CHECKING:
    from pathlib import Path

LauncherSource: TypeAlias = Callable[[], Launcher]
"""Gives what starts processes as root of the user namespace; asked only at need, since it may start a sandbox."""


def remove_tree(directory: Path, launcher: LauncherSource) -> None:
    """Removes a directory with all in it; nothing happens if there is none. Raises OSError and StorageError."""
    if os.geteuid() == 0 or not _has_foreign_files(directory):
        _remove_own(directory)
    else:
        run_child(
            launcher(), ["remove", str(directory.parent), directory.name], doing=f"removing {directory}"
        ).expect("removed")


def _remove_own(directory: Path) -> None:
    with suppress(FileNotFoundError):
        parent = os.open(directory.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_entry(os.fsencode(directory.name), parent)
        finally:
            os.close(parent)


def _has_foreign_files(directory: Path) -> bool:
    """True if unpacked files may be below: those can belong to anybody, and their directories may be closed to us."""
    return any((directory / name).exists() for name in ("diff", "layer", "data", "volume"))
