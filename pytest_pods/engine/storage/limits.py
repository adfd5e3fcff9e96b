"""How much one layer may unpack to: far above what images have, far below what fills a disk by surprise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerLimits:
    """Of one layer, uncompressed."""

    most_bytes: int = 64 * 1024**3
    most_entries: int = 4_000_000
