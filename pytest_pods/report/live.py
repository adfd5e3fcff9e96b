"""Lines of logs as they are shown while tests run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_pods.report.looks import find_short_name
from pytest_pods.report.timeline import PALETTE, Moment, build_timeline, colour_line, find_time

if TYPE_CHECKING:
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.runtime.logs import LogLine


class LiveFormat:
    """Remembers what each container is called, and its colour. One call at a time."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._labels: dict[str, str] = {}
        self._colours: dict[str, str] = {}
        self._width = 0

    def build_line(self, record: ContainerRecord, line: LogLine, *, fixture: str = "") -> str:
        """As in the timeline of a report."""
        label = self._labels.get(record.id) or self._name(record, fixture)
        moment = Moment(find_time(line) or time.time(), label, line.stream, line.text)
        (text,) = build_timeline([moment], width=self._width)
        return colour_line(text, self._colours) if self._colour else text

    def forget(self, container_id: str) -> None:
        """It is gone: others may be called what it was."""
        self._labels.pop(container_id, None)

    def _name(self, record: ContainerRecord, fixture: str) -> str:
        short = find_short_name(record, fixture)
        label = record.name if short in self._labels.values() else short
        self._labels[record.id] = label
        self._colours.setdefault(label, PALETTE[len(self._colours) % len(PALETTE)])
        self._width = max(self._width, len(label))
        return label
