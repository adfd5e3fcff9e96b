"""Health checks of a session's containers: made, written down, and acted upon.

In a session of this process a schedule makes them; in one that outlives its processes each container has a follower, a
small process of its own in the sandbox.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import NoHealthCheckError, PodsError, SandboxLostError, WrongStateError
from pytest_pods.engine.health import (
    CheckResult,
    Health,
    describe_failure,
    find_pause_s,
    find_target,
    note_check,
    shorten_output,
)
from pytest_pods.engine.probing import look_at
from pytest_pods.engine.services.health_files import find_start, read_health, write_health, writing
from pytest_pods.engine.services.health_schedule import HealthSchedule
from pytest_pods.engine.state.sessions import SessionKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.lifecycle import Lifecycle
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.specs.health import HealthPlan

_SHORTEST_HASTE_S, _LONGEST_HASTE_S = 0.05, 1.0


class HealthService:
    """Health checks of one session. Thread-safe."""

    def __init__(
        self, session: Session, lifecycle: Lifecycle, *, open_container: Callable[[ContainerRecord], Container]
    ) -> None:
        self._session = session
        self._lifecycle = lifecycle
        self._open = open_container
        self._schedule = HealthSchedule(self.check_scheduled)
        self._lock = threading.Lock()
        self._checking: dict[str, threading.Lock] = {}
        self._haste: dict[str, _Haste] = {}
        self._closed = False

    def check(self, record: ContainerRecord) -> Health:
        """Checks once. Raises NoHealthCheckError, WrongStateError if the container does not run."""
        plan = get_plan(record)
        self._require_running(record)
        with self._get_lock(record):
            health = self._check(record, plan, counts=True)
        if health is None:
            self._require_running(record)
            raise WrongStateError(f"container {record.name} ended, or was started again, while it was checked")
        return health

    def hasten(self, record: ContainerRecord) -> Health:
        """What is known. If it is not good, a check is made meanwhile, unless one is under way or was just made; its
        failure does not count. Raises NoHealthCheckError."""
        plan = get_plan(record)
        layout = self._lifecycle.layout(record)
        health, started_ns = read_health(layout), find_start(layout)
        if health.status == "healthy" or started_ns is None:
            return health
        with self._lock:
            haste = self._haste.get(record.id)
            if haste is None or haste.started_ns != started_ns:
                haste = self._haste[record.id] = _Haste(started_ns)
            if not haste.begin():
                return health
        name = f"pytest-pods hasty check of {record.name}"
        threading.Thread(target=self._check_in_haste, args=(record, plan, haste), name=name, daemon=True).start()
        return health

    def _check_in_haste(self, record: ContainerRecord, plan: HealthPlan, haste: _Haste) -> None:
        lock = self._get_lock(record)
        # One that counts may be under way: it tells as much.
        if lock.acquire(blocking=False):
            try:
                with suppress(PodsError, OSError):
                    self._check(record, plan, counts=False)
            finally:
                lock.release()
        with self._lock:
            haste.end()

    def check_scheduled(self, record: ContainerRecord) -> float | None:
        """One of the checks that make themselves; the seconds until the next, None if the container does not run any
        more. Raises nothing: who uses the container is told what is the matter with it."""
        plan = get_plan(record)
        layout = self._lifecycle.layout(record)
        before = read_health(layout)
        health: Health | None = None
        with suppress(PodsError, OSError), self._get_lock(record):
            health = self._check(record, plan, counts=True)
        try:
            state = self._lifecycle.state(record)
        except (PodsError, OSError):
            return None
        if not state.running or state.started_at is None:
            return None
        health = health or before
        age_s = time.time() - state.started_at.timestamp()
        return find_pause_s(plan, health, age_s=age_s, first=health.started_up != before.started_up)

    def find_first_pause_s(self, record: ContainerRecord) -> float:
        """Seconds until the first of the checks that make themselves, of a container that was just started, or that
        somebody else has checked until now."""
        layout = self._lifecycle.layout(record)
        started_ns, health = find_start(layout), read_health(layout)
        age_s = 0.0 if started_ns is None else time.time() - started_ns / 1e9
        return find_pause_s(get_plan(record), health, age_s=age_s, first=not health.log)

    # who checks

    def watch(self, record: ContainerRecord) -> None:
        """From now on, until it ends, it is checked as it asks for; it was just started."""
        if self._session.kind is SessionKind.OWNED:
            self._schedule.add(record, pause_s=self.find_first_pause_s(record))
        else:
            self._start_follower(record)

    def hand_over(self) -> None:
        """The session outlives this process: what runs is checked by others from now on."""
        for record in self._schedule.clear():
            with suppress(PodsError):
                if self._lifecycle.state(record).running:
                    self._start_follower(record)

    def _start_follower(self, record: ContainerRecord) -> None:
        from pytest_pods.engine.services.health_following import start_follower

        start_follower(self._session, record)

    def close(self) -> None:
        """From here on nothing is begun and nothing is written, so that the session's files can be removed."""
        self._schedule.clear()
        with self._lock:
            self._closed = True

    # one check

    def _check(self, record: ContainerRecord, plan: HealthPlan, *, counts: bool) -> Health | None:
        """None if it was not looked at, or what was seen is about a start that is over."""
        layout = self._lifecycle.layout(record)
        started_ns = find_start(layout)
        if started_ns is None or self._lifecycle.state(record).status != "running":
            return None
        target, timeout = find_target(plan, read_health(layout))
        began = datetime.now(UTC)
        try:
            found = look_at(target, self._open(record), timeout=timeout)
            exit_code, output = found.exit_code, found.output
        except (SandboxLostError, WrongStateError):
            return None
        except PodsError as error:
            # It cannot be looked at: it is not there for others either.
            exit_code, output = 1, error.brief
        result = CheckResult(began, datetime.now(UTC), exit_code, shorten_output(output))
        return self._note(record, plan, result, started_ns=started_ns, counts=counts)

    def _note(
        self, record: ContainerRecord, plan: HealthPlan, result: CheckResult, *, started_ns: int, counts: bool
    ) -> Health | None:
        layout = self._lifecycle.layout(record)
        age_s = result.start.timestamp() - started_ns / 1e9
        with self._lock, writing(layout, started_ns=started_ns) as may:
            # A check ends with its container, and stands still with it: neither is a failure of its own.
            if self._closed or not may or self._lifecycle.state(record).status != "running":
                return None
            before = read_health(layout)
            health = note_check(plan, before, result, age_s=age_s, counts=counts)
            write_health(layout, health, started_ns=started_ns)
            ends = counts and not result.ok and health.status == "unhealthy" and plan.on_failure != "none"
            if ends:
                self._lifecycle.mark_unhealthy(record, plan, why=describe_failure(plan, health))
            elif before.status == "unhealthy" and health.status == "healthy":
                # It was to end and did not: when it does, that has nothing to do with it any more.
                self._lifecycle.unmark_unhealthy(record)
        if ends:
            self._lifecycle.end_unhealthy(record, plan)
        return health

    def _get_lock(self, record: ContainerRecord) -> threading.Lock:
        """Held for a check: of one container, two do not run side by side."""
        with self._lock:
            return self._checking.setdefault(record.id, threading.Lock())

    def _require_running(self, record: ContainerRecord) -> None:
        status = self._lifecycle.state(record).status
        if status != "running":
            raise WrongStateError(
                f"the health of container {record.name} cannot be checked: it is {status}",
                hint="start it first" if status != "paused" else "unpause it first",
            )


class _Haste:
    """The hasty checks of one start: soon after each other at first, so that a container that is ready soon is known to
    be, then less so."""

    def __init__(self, started_ns: int) -> None:
        self.started_ns = started_ns
        self._pause_s = _SHORTEST_HASTE_S
        self._next: float | None = 0.0

    def begin(self) -> bool:
        """Whether it is time for one, which then is under way."""
        if self._next is None or time.monotonic() < self._next:
            return False
        self._next = None
        return True

    def end(self) -> None:
        self._next = time.monotonic() + self._pause_s
        self._pause_s = min(self._pause_s * 1.5, _LONGEST_HASTE_S)


def get_plan(record: ContainerRecord) -> HealthPlan:
    """Raises NoHealthCheckError."""
    if record.health is None:
        raise NoHealthCheckError(
            f"container {record.name} ({record.image}) has no health check",
            hint="give it one with health='COMMAND'; its image has none"
            if record.spec.health is None
            else "it was asked to have none: health=False",
        )
    return record.health
