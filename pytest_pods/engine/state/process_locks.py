"""Locks that belong to a process as a whole and go with it, however it ends.

Unlike those of `locks`, which belong to an open file, no forked child keeps one alive: what a test has forked may live
longer than the process that holds something. The kernel forgets such a lock when *any* descriptor of the file is closed
in the process: there is one object for a file in it, and nobody else opens that.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class ProcessLock:
    """The lock on one file, which is made and stays. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def take(self) -> None:
        """Alone; waits for others to leave it."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)

    def try_take(self) -> bool:
        """Alone, if nobody else has it; never waits."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def try_share(self) -> bool:
        """With others, if nobody has it alone; in one step also from having it alone."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def close(self) -> None:
        """Leaves it; fine if it was closed before."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)
