"""How much one layer may unpack to: far above what images have, far below what fills a disk by surprise."""

from __future__ import annotations

from pytest_pods.frozen import frozen


@frozen
class LayerLimits:
    """Of one layer, uncompressed."""

    most_bytes: int = 64 * 1024**3
    most_entries: int = 4_000_000
