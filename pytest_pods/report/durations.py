"""Which containers and images took the most time: `--pods-durations`."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_pods.frozen import frozen
from pytest_pods.report.texts import format_bytes, show

_COLUMNS = ("total", "pull", "create", "start", "ready", "remove")


@frozen
class Duration:
    """The seconds that a container or an image took, None for what did not happen; `nodeid` is the test that it was
    made for, empty for none; `size` is the bytes that were fetched."""

    name: str
    image: str
    nodeid: str = ""
    pull_s: float | None = None
    size: int = 0
    create_s: float | None = None
    start_s: float | None = None
    ready_s: float | None = None
    remove_s: float | None = None

    @property
    def parts(self) -> tuple[float | None, ...]:
        return (self.pull_s, self.create_s, self.start_s, self.ready_s, self.remove_s)

    @property
    def total_s(self) -> float:
        return sum(part or 0.0 for part in self.parts)


def build_title(durations: Sequence[Duration], most: int) -> str:
    """`slowest 3 of 12 containers and images`; `most` is 0 for all."""
    if not most or most >= len(durations):
        return f"slowest containers and images ({len(durations)})"
    return f"slowest {most} of {len(durations)} containers and images"


def build_table(durations: Sequence[Duration], most: int) -> list[str]:
    """Lines of a table, the slowest first; columns that nothing is in are left out."""
    shown = sorted(durations, key=lambda one: one.total_s, reverse=True)[: most or None]
    used = [0, *(at for at in range(1, len(_COLUMNS)) if any(one.parts[at - 1] is not None for one in shown))]
    lines = ["  ".join(f"{_COLUMNS[at]:>8}" for at in used)]
    for one in shown:
        cells = [_format_seconds(one.total_s if at == 0 else one.parts[at - 1]) for at in used]
        lines.append(f"{'  '.join(f'{cell:>8}' for cell in cells)}  {_describe(one)}")
    return lines


def _format_seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}s"


def _describe(one: Duration) -> str:
    if one.pull_s is not None:
        return f"image {show(one.image)}, {format_bytes(one.size)}"
    return f"{show(one.name)} ({show(one.image)})" + (f" of {one.nodeid}" if one.nodeid else "")


