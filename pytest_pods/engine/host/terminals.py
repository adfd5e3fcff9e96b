"""Pseudo-terminals of a devpts that is not ours: opened through its ptmx, without a path to the other end."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

# asm-generic/ioctls.h; Python's termios has the second only in later versions.
_UNLOCK = 0x40045431
_GET_PEER = 0x5441


class Terminal:
    """A pseudo-terminal of which both ends are open here: `outer` for who types and reads, `inner` for the process."""

    def __init__(self, ptmx: int) -> None:
        """Takes over the descriptor of a ptmx that was just opened."""
        self.outer = ptmx
        self.inner = -1
        try:
            fcntl.ioctl(ptmx, _UNLOCK, struct.pack("i", 0))
            self.inner = fcntl.ioctl(ptmx, _GET_PEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close_inner(self) -> None:
        """Once the process has its copy: only then does the outer end see the hang-up."""
        if self.inner >= 0:
            os.close(self.inner)
            self.inner = -1

    def close(self) -> None:
        self.close_inner()
        if self.outer >= 0:
            os.close(self.outer)
            self.outer = -1

    def resize(self, *, rows: int, columns: int) -> None:
        """Tells the size; the foreground processes get SIGWINCH."""
        fcntl.ioctl(self.outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
