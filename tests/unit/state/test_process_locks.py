"""Locks of a process: other processes see them, children do not inherit them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pytest_pods.engine.state.process_locks import ProcessLock


def in_child(look: Callable[[], bool]) -> bool:
    """What a forked child sees."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            status = int(not look())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def can_take(path: Path) -> bool:
    return in_child(lambda: ProcessLock(path).try_take())


def can_share(path: Path) -> bool:
    return in_child(lambda: ProcessLock(path).try_share())


def test_taken_lock_keeps_others_out_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = ProcessLock(path)
    lock.take()
    assert not can_take(path)
    assert not can_share(path)
    lock.close()
    assert can_take(path)


def test_shared_lock_is_shared_also_after_it_was_had_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = ProcessLock(path)
    lock.take()
    assert lock.try_share()
    assert can_share(path)
    assert not can_take(path)
    lock.close()


def test_forked_child_that_lives_on_does_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    read, write = os.pipe()
    holder = os.fork()
    if holder == 0:
        ProcessLock(path).take()
        if os.fork() == 0:
            os.close(write)
            os.read(read, 1)
        os._exit(0)
    os.waitpid(holder, 0)
    try:
        assert can_take(path)
    finally:
        os.close(write)
        os.close(read)


def test_lock_may_be_closed_twice(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / "lock")
    lock.close()
    lock.close()
