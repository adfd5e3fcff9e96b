from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pytest_pods.engine.errors import SystemCallError
from pytest_pods.engine.host.inotify import Change, Watcher


def test_change_ends_the_wait_and_is_reported_once(tmp_path: Path) -> None:
    with Watcher() as watcher:
        watcher.watch(tmp_path, Change.CREATED)
        assert not watcher.wait(0)
        (tmp_path / "new").touch()
        assert watcher.wait(5)
        assert not watcher.wait(0)


def test_other_descriptor_ends_the_wait_too(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        with Watcher() as watcher:
            watcher.watch(tmp_path, Change.CREATED)
            os.write(writing, b"x")
            assert not watcher.wait(5, also=reading)
    finally:
        os.close(reading)
        os.close(writing)


def test_missing_path_is_named(tmp_path: Path) -> None:
    with (
        Watcher() as watcher,
        pytest.raises(SystemCallError, match="missing: No such file") as caught,
    ):
        watcher.watch(tmp_path / "missing", Change.MODIFIED)
    assert caught.value.errno == errno.ENOENT
