"""Tells whoever opened the engine what happened to a container, with the time that it took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_pods.engine.events import ContainerEvent, ContainerEventKind
from pytest_pods.engine.services.placement import is_infra

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.events import Event
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.ahead import Ahead


class Teller:
    """Tells events of containers that somebody has asked for; those that only hold a pod together are nobody's."""

    def __init__(
        self, observe: Callable[[Event], None], build: Callable[[ContainerRecord], Container], *, ahead: Ahead
    ) -> None:
        """`build` makes the handle on a container; of those that are `ahead` nothing is told yet."""
        self._observe = observe
        self._build = build
        self._ahead = ahead

    def tell(
        self,
        kind: ContainerEventKind,
        record: ContainerRecord,
        *,
        began: float | None = None,
        at: float | None = None,
        text: str = "",
    ) -> None:
        """`began` is what `time.monotonic` said when it began, `at` when it happened, by default now."""
        if is_infra(record):
            return
        took_s = 0.0 if began is None else time.monotonic() - began
        event = ContainerEvent(kind, self._build(record), time.time() if at is None else at, took_s, text)
        if not self._ahead.hold(event):
            self._observe(event)
