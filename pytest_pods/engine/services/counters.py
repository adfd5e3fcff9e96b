"""What a session did, counted for summaries."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Counts so far; `create_seconds` has, for each container, the time from asking for it until it was started."""

    containers: int = 0
    images_pulled: int = 0
    bytes_pulled: int = 0
    create_seconds: list[float] = field(default_factory=list)
