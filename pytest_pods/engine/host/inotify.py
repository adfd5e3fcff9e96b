"""Waiting for changes of a file or directory without looking again and again."""

from __future__ import annotations

import enum
import os
import select
from typing import TYPE_CHECKING

from pytest_pods.engine.host import libc

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Change(enum.IntFlag):
    """Bits of inotify(7)."""

    MODIFIED = 0x2
    CLOSED = 0x8
    MOVED_IN = 0x80
    CREATED = 0x100
    REMOVED = 0x200
    REMOVED_ITSELF = 0x400
    MOVED_ITSELF = 0x800


class Watcher:
    """Becomes readable (`fileno`) when what it watches has changed. Not for several threads at once."""

    def __init__(self) -> None:
        self._descriptor = libc.inotify_init(os.O_CLOEXEC | os.O_NONBLOCK)

    def watch(self, path: Path, changes: Change) -> None:
        """Watches a path as well. Raises SystemCallError (ENOENT; ENOSPC where the user has too many watches)."""
        libc.inotify_add_watch(self._descriptor, os.fsencode(path), int(changes))

    def fileno(self) -> int:
        return self._descriptor

    def wait(self, timeout_s: float | None = None, *, also: int | None = None) -> bool:
        """True as soon as something has changed; False after `timeout_s`, or when the descriptor `also` is readable."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if also is not None:
            poll.register(also, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000)}
        if self._descriptor not in ready:
            return False
        self.forget()
        return True

    def forget(self) -> None:
        """Takes what has been reported out of the queue: who looks at the file after this misses nothing."""
        try:
            while os.read(self._descriptor, 65536):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
