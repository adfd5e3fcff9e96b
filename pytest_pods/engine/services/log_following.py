"""Follows the logs of several containers on one thread."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SystemCallError
from pytest_pods.engine.host.inotify import Change, Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.runtime.logs import LogLine, LogReader

_UNWATCHED_S = 0.1
"""How often a log is looked at for which the user has no watches left."""


class LogFollower:
    """Gives the lines of all containers that were added as they come, until it is closed. Thread-safe.

    The thread starts with the first container.
    """

    def __init__(self, take: Callable[[Container, Sequence[LogLine]], None]) -> None:
        """`take` gets lines that belong together, one call at a time, on the thread or on that of a caller."""
        self._take = take
        self._lock = threading.Lock()
        self._readers: dict[str, tuple[Container, LogReader]] = {}
        self._watcher: Watcher | None = None
        self._thread: threading.Thread | None = None
        self._patience_s: float | None = None
        self._closed = False
        self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def add(self, container: Container) -> None:
        """Follows a container from the beginning of its log; nothing happens after `close`."""
        reader = container.log_reader()
        with self._lock:
            if self._closed:
                return
            self._readers[container.id] = (container, reader)
            if self._watcher is None:
                self._watcher = Watcher()
            try:
                self._watcher.watch(reader.path, Change.MODIFIED)
            except SystemCallError:
                # No watch is left, or it was removed already: then what there was is read with what comes.
                self._patience_s = _UNWATCHED_S
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pytest-pods logs", daemon=True)
                self._thread.start()
        os.eventfd_write(self._woken, 1)

    def finish(self, container: Container) -> None:
        """Reads the last of a container that is about to be removed, also of a line that has not ended."""
        with self._lock:
            known = self._readers.pop(container.id, None)
            if known is not None:
                reader = known[1]
                self._give(container, [*reader.read(), *reader.rest()])

    def read_now(self) -> None:
        """Returns when all that was written until now has been given."""
        with self._lock:
            self._read_all()

    def close(self) -> None:
        """Ends the thread; nothing is given after this."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._readers.clear()
        os.eventfd_write(self._woken, 1)
        if self._thread is not None:
            self._thread.join()
        if self._watcher is not None:
            self._watcher.close()
        os.close(self._woken)

    def _run(self) -> None:
        assert self._watcher is not None
        while True:
            self._watcher.wait(self._patience_s, also=self._woken)
            with self._lock:
                if self._closed:
                    return
                with suppress(BlockingIOError):
                    os.eventfd_read(self._woken)
                self._read_all()

    def _read_all(self) -> None:
        for container, reader in self._readers.values():
            self._give(container, reader.read())

    def _give(self, container: Container, lines: Sequence[LogLine]) -> None:
        if lines:
            self._take(container, lines)
