"""What a session did, counted for summaries."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Counts so far; `create_seconds` has, for each container, the time from asking for it until it was started.

    Several threads may count.
    """

    containers: int = 0
    images_pulled: int = 0
    bytes_pulled: int = 0
    create_seconds: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count_container(self) -> None:
        with self._lock:
            self.containers += 1

    def count_pull(self, size: int) -> None:
        """An image was fetched, `size` bytes of layers."""
        with self._lock:
            self.images_pulled += 1
            self.bytes_pulled += size
