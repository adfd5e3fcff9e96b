"""What was made ahead of its use: until it is admitted nobody finds it, hears of it or counts it, and nobody is at the
other end of its link.

So whoever works in the session meanwhile, be it a test or what it has started, cannot tell that it is there.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_pods.engine.events import ContainerEventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_pods.engine.events import ContainerEvent, Event
    from pytest_pods.engine.records import ContainerRecord


class Ahead:
    """The containers and pods of this process that nobody has asked for yet. Thread-safe."""

    def __init__(self, observe: Callable[[Event], None]) -> None:
        """`observe` is told what happened to a container once that is admitted."""
        self._observe = observe
        # Held while events are told: what happens meanwhile comes after what happened before.
        self._lock = threading.RLock()
        self._ids: set[str] = set()
        self._held: dict[str, list[ContainerEvent]] = {}

    def add(self, thing_id: str) -> None:
        """A container, or a pod with all its members, is made ahead; said before there is anything to be found."""
        with self._lock:
            self._ids.add(thing_id)

    def has_id(self, thing_id: str) -> bool:
        return thing_id in self._ids

    def has(self, record: ContainerRecord) -> bool:
        """Whether the container, or the pod that it is a member of, is not admitted yet."""
        return bool(self._ids) and (
            record.id in self._ids or (record.membership is not None and record.membership.pod_id in self._ids)
        )

    def hold(self, event: ContainerEvent) -> bool:
        """Whether the event is of a container that is not admitted, and is told when it is, or never."""
        record = event.container.record
        with self._lock:
            if not self.has(record):
                return False
            if event.kind is ContainerEventKind.REMOVED:
                self._held.pop(record.id, None)
                self._ids.discard(record.id)
            else:
                self._held.setdefault(record.id, []).append(event)
            return True

    def admit(self, thing_id: str, *records: ContainerRecord) -> None:
        """From now on it is there for everybody; tells what happened to its containers until now."""
        with self._lock:
            self._ids.discard(thing_id)
            events = [event for record in records for event in self._held.pop(record.id, ())]
            for event in sorted(events, key=lambda event: event.at):
                self._observe(event)

    def forget(self, thing_id: str) -> None:
        """It is gone."""
        with self._lock:
            self._ids.discard(thing_id)
