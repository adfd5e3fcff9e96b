"""When containers of a session of this process are checked next.

One thread waits for all of them. Each check gets a short one of its own: it may take as long as its timeout, and a slow
one must hold up nobody else's. Both are there only while there is something to check.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_pods.engine.records import ContainerRecord


@dataclass(slots=True)
class _Entry:
    record: ContainerRecord
    due: float
    checking: bool = False


class HealthSchedule:
    """The containers that are checked, and when. Thread-safe."""

    def __init__(self, check: Callable[[ContainerRecord], float | None]) -> None:
        """`check` makes one check and answers the seconds until the next, None if there is none. It raises nothing."""
        self._check = check
        self._changed = threading.Condition()
        self._entries: dict[str, _Entry] = {}
        self._thread: threading.Thread | None = None

    def add(self, record: ContainerRecord, *, pause_s: float) -> None:
        """Its first check is after `pause_s`; takes the place of what there was of it."""
        with self._changed:
            self._entries[record.id] = _Entry(record, time.monotonic() + pause_s)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pytest-pods health", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def clear(self) -> list[ContainerRecord]:
        """Forgets all of them, and says which they were; checks that were begun go on."""
        with self._changed:
            records = [entry.record for entry in self._entries.values()]
            self._entries.clear()
            self._changed.notify_all()
        return records

    def _run(self) -> None:
        with self._changed:
            while self._entries:
                now = time.monotonic()
                waiting = [entry for entry in self._entries.values() if not entry.checking]
                for entry in waiting:
                    if entry.due <= now:
                        entry.checking = True
                        name = f"pytest-pods check of {entry.record.name}"
                        threading.Thread(target=self._make_check, args=(entry,), name=name, daemon=True).start()
                later = [entry.due - now for entry in waiting if not entry.checking]
                self._changed.wait(min(min(later, default=threading.TIMEOUT_MAX), threading.TIMEOUT_MAX))
            self._thread = None

    def _make_check(self, entry: _Entry) -> None:
        pause_s = self._check(entry.record)
        with self._changed:
            entry.checking = False
            # Started again meanwhile, it has another entry.
            if self._entries.get(entry.record.id) is entry:
                if pause_s is None:
                    del self._entries[entry.record.id]
                else:
                    entry.due = time.monotonic() + pause_s
            self._changed.notify_all()
