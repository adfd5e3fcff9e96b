"""Checks of several containers: each when it is due, none held up by another, and nothing there when there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pytest_pods.engine.records import ContainerRecord
from pytest_pods.engine.services.health_schedule import HealthSchedule
from pytest_pods.engine.specs.container import ContainerSpec

PATIENCE_S = 10.0


def record_of(name: str) -> ContainerRecord:
    return ContainerRecord(
        id=name, name=name, session_id="s", image="i", image_id="", spec=ContainerSpec("i"), argv=("x",),
        stop_signal="SIGTERM", hostname=name, ip="", ports=(), created=0.0, layers=(),
    )  # fmt: skip


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name in ("pytest-pods health", "pytest-pods check of one")]


def await_true(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_slow_check_holds_up_nobody_else() -> None:
    slow_begun, fast_done, let_go = threading.Event(), threading.Event(), threading.Event()

    def check(record: ContainerRecord) -> float | None:
        if record.name == "slow":
            slow_begun.set()
            let_go.wait(PATIENCE_S)
        else:
            fast_done.set()
        return None

    schedule = HealthSchedule(check)
    schedule.add(record_of("slow"), pause_s=0)
    assert slow_begun.wait(PATIENCE_S)
    schedule.add(record_of("fast"), pause_s=0)
    assert fast_done.wait(PATIENCE_S)
    let_go.set()


def test_check_is_repeated_until_it_says_that_it_was_the_last() -> None:
    pauses, made = [0.0, 0.001, 0.0, None], threading.Semaphore(0)

    def check(record: ContainerRecord) -> float | None:
        made.release()
        return pauses.pop(0)

    HealthSchedule(check).add(record_of("one"), pause_s=0)
    for _ in range(4):
        assert made.acquire(timeout=PATIENCE_S)
    await_true(lambda: threads() == [])
    assert not made.acquire(blocking=False)


def test_nothing_is_left_running_when_all_were_forgotten() -> None:
    schedule = HealthSchedule(lambda record: 1000.0)
    one = record_of("one")
    schedule.add(one, pause_s=1000)
    assert "pytest-pods health" in threads()
    assert schedule.clear() == [one]
    await_true(lambda: threads() == [])


def test_later_start_takes_the_place_of_the_one_before() -> None:
    begun, let_go, seen = threading.Event(), threading.Event(), threading.Semaphore(0)

    def check(record: ContainerRecord) -> float | None:
        if not begun.is_set():
            begun.set()
            let_go.wait(PATIENCE_S)
            return 0.0
        seen.release()
        return None

    schedule = HealthSchedule(check)
    schedule.add(record_of("one"), pause_s=0)
    assert begun.wait(PATIENCE_S)
    schedule.add(record_of("one"), pause_s=0)
    # The check of the first start ends, and asks for another at once, when that of the second was made.
    assert seen.acquire(timeout=PATIENCE_S)
    let_go.set()
    await_true(lambda: threads() == [])
    assert not seen.acquire(blocking=False)
