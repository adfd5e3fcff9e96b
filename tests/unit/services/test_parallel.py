"""Tasks that run together end together."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from pytest_pods.engine.services.parallel import run_together


def nothing() -> None: ...


def test_all_tasks_run() -> None:
    done: list[int] = []
    run_together([partial(done.append, number) for number in range(20)], most=3, give_up=nothing)
    assert sorted(done) == list(range(20))


def test_no_task_is_no_work() -> None:
    run_together([], most=3, give_up=nothing)


def test_tasks_run_at_the_same_time() -> None:
    # Nobody passes before all are there.
    barrier = threading.Barrier(4, timeout=10)

    def meet() -> None:
        barrier.wait()

    run_together([meet] * 4, most=4, give_up=nothing)


def test_no_more_run_at_once_than_allowed() -> None:
    running: set[int] = set()
    most_seen: list[int] = []

    def task() -> None:
        running.add(threading.get_ident())
        most_seen.append(len(running))
        running.discard(threading.get_ident())

    run_together([task] * 50, most=2, give_up=nothing)
    assert max(most_seen) <= 2


def test_first_fault_ends_the_others_and_is_raised() -> None:
    ended = threading.Event()
    begun: list[str] = []

    def fails() -> None:
        begun.append("fails")
        raise ValueError("first")

    def runs_until_given_up() -> None:
        assert ended.wait(10)
        raise OSError("a consequence")

    with pytest.raises(ValueError, match="first"):
        run_together([runs_until_given_up, fails, *[lambda: begun.append("late")] * 5], most=2, give_up=ended.set)
    assert ended.is_set()


def test_interruption_ends_all() -> None:
    ended = threading.Event()

    def interrupted() -> None:
        raise KeyboardInterrupt

    def runs_until_given_up() -> None:
        ended.wait(10)

    with pytest.raises(KeyboardInterrupt):
        run_together([interrupted, runs_until_given_up], most=2, give_up=ended.set)
    assert ended.is_set()
