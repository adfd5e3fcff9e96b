"""Containers as reports see them, made from plain values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from pytest_pods.engine.container import Container
from pytest_pods.engine.events import ContainerEvent, ContainerEventKind
from pytest_pods.engine.health import CheckResult, Health, HealthStatus
from pytest_pods.engine.records import ContainerRecord, ContainerState, Membership, PublishedPort
from pytest_pods.engine.runtime.logs import Excerpt, LogLine, Stream
from pytest_pods.engine.specs.container import ContainerSpec
from pytest_pods.report.looks import Look

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()
IMAGE_ID = "sha256:" + "ab" * 32


def make_line(after_s: float, text: str, stream: Stream = "stdout") -> LogLine:
    """A line that was written so long after noon."""
    return LogLine(datetime.fromtimestamp(NOON + after_s, UTC).isoformat(), stream, text)


def make_event(
    kind: ContainerEventKind, after_s: float, *, took_s: float = 0.0, text: str = "", record: Any = None
) -> ContainerEvent:
    return ContainerEvent(kind, Container(record, cast(Any, None)), NOON + after_s, took_s, text)


def make_state(*, code: int | None = None, ended_after_s: float = 1.0, **values: Any) -> ContainerState:
    """Running since noon, or ended with an exit code."""
    started = datetime.fromtimestamp(NOON, UTC)
    if code is None:
        return ContainerState("running", started_at=started, **values)
    ended = datetime.fromtimestamp(NOON + ended_after_s, UTC)
    return ContainerState("exited", exit_code=code, started_at=started, finished_at=ended, **values)


def make_health(status: HealthStatus, *, after_s: float = 1.0) -> Health:
    """After one check, which has failed unless it is healthy."""
    at = datetime.fromtimestamp(NOON + after_s, UTC)
    failed = status != "healthy"
    return Health(status, int(failed), (CheckResult(at, at, int(failed), "refused\n" if failed else ""),))


def make_record(
    name: str,
    image: str = "example.test/redis:7",
    *,
    pod: str = "",
    ports: tuple[PublishedPort, ...] = (),
    created: float = NOON,
    position: int = 0,
    ip: str = "",
    named: bool = False,
    **spec: Any,
) -> ContainerRecord:
    """`pod` makes it the member of one, called by the end of its name; `named` if it was given its name."""
    member = None
    if pod:
        member = Membership(f"id of {pod}", pod, name.removeprefix(f"{pod}-"), ("net",), position=position)
    return ContainerRecord(
        id=f"id of {name}",
        name=name,
        session_id="session",
        image=image,
        image_id=IMAGE_ID,
        spec=ContainerSpec(image, name=name if named else None, **spec),
        argv=(),
        stop_signal="SIGTERM",
        hostname=name,
        ip=ip,
        ports=ports,
        created=created,
        layers=(),
        membership=member,
    )


def make_look(
    name: str = "calm_otter",
    image: str = "example.test/redis:7",
    *,
    fixture: str = "",
    state: ContainerState | None = None,
    lines: tuple[LogLine, ...] = (),
    omitted: int | None = 0,
    trouble: str = "",
    events: tuple[ContainerEvent, ...] = (),
    error: str = "",
    kept: str = "",
    since: float = 0.0,
    networks: tuple[tuple[str, tuple[str, ...]], ...] = (),
    **record: Any,
) -> Look:
    """A look at a container that runs since noon and has written nothing, but for what is said."""
    return Look(
        record=make_record(name, image, **record),
        fixture=fixture,
        state=None if trouble else state or make_state(),
        log=Excerpt(lines, omitted),
        trouble=trouble,
        networks=networks,
        events=events,
        since=since,
        error=error,
        kept=kept,
    )
