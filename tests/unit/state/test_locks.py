"""Locks between threads of one process; those between processes are the same kernel's."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import DeadlineExceededError
from pytest_pods.engine.state import locks


def test_exclusive_keeps_others_out_until_it_is_left(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.exclusive(path):
        assert locks.is_held(path)
        with (
            pytest.raises(DeadlineExceededError, match="the lock lock"),
            locks.exclusive(path, deadline=Deadline.after(0.05)),
        ):
            pytest.fail("both have it")
    assert not locks.is_held(path)


def test_readers_share_and_keep_a_writer_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.shared(path), locks.shared(path):
        assert locks.hold(path) is None
        with pytest.raises(DeadlineExceededError), locks.exclusive(path, deadline=Deadline.after(0.05)):
            pytest.fail("a reader has it")
    with locks.exclusive(path, deadline=Deadline.after(1)):
        pass


def test_a_reader_waits_for_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order = []

    def read() -> None:
        with locks.shared(path):
            order.append("read")

    reader = threading.Thread(target=read)
    with locks.exclusive(path):
        reader.start()
        order.append("written")
    reader.join(timeout=10)
    assert order == ["written", "read"]


def test_a_held_lock_goes_with_its_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    descriptor = locks.hold(path)
    assert descriptor is not None
    assert not os.get_inheritable(descriptor)
    assert locks.hold(path) is None
    os.close(descriptor)
    again = locks.hold(path)
    assert again is not None
    os.close(again)


def test_a_lock_file_that_nobody_made_is_not_held(tmp_path: Path) -> None:
    assert not locks.is_held(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_lock_on_a_file_that_is_there_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.existing(path) as there:
        assert not there
    assert not path.exists()
    path.touch()
    with locks.existing(path) as there:
        assert there
        assert locks.is_held(path)


def test_lock_whose_file_its_holder_has_removed_is_none(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    waiting, seen = threading.Event(), []

    def take() -> None:
        waiting.set()
        with locks.existing(path) as there:
            seen.append(there)

    other = threading.Thread(target=take)
    with locks.existing(path):
        other.start()
        assert waiting.wait(10)
        path.unlink()
    other.join(10)
    assert seen == [False]
