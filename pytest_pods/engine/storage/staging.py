"""Places to fill before a rename, and the sweep of those whose process is gone."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import PodsError
from pytest_pods.engine.state.atomic import storage_errors
from pytest_pods.engine.state.locks import hold
from pytest_pods.engine.storage.trees import LauncherSource, remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.engine.state.layout import StagingLayout, StoreLayout


@contextmanager
def staged(layout: StoreLayout, launcher: LauncherSource) -> Iterator[StagingLayout]:
    """An empty place with a lock; what is still in it at the end is removed."""
    if layout.session_staging_dir is not None:
        # It is there once the session has been started.
        launcher()
    with storage_errors(f"preparing a place in {layout.staging_dir}"):
        place, lock = _take_place(layout)
    try:
        try:
            yield place
        except BaseException:
            # Why the place was not filled is worth more than why it cannot be removed; a sweep tries that again.
            with suppress(PodsError, OSError):
                _remove(place, launcher)
            raise
        with storage_errors(f"removing {place.directory}"):
            _remove(place, launcher)
    finally:
        os.close(lock)


def _take_place(layout: StoreLayout) -> tuple[StagingLayout, int]:
    while True:
        place = layout.staging(os.urandom(8).hex())
        # None: a sweep saw the new file before it was locked, and took it for a left-over.
        lock = hold(place.lock_file)
        if lock is not None:
            place.directory.mkdir(mode=0o700)
            return place, lock


def _remove(place: StagingLayout, launcher: LauncherSource) -> None:
    remove_tree(place.directory, launcher)
    place.lock_file.unlink(missing_ok=True)


def sweep_staging(layout: StoreLayout, launcher: LauncherSource) -> int:
    """Removes the places of processes that are gone; returns how many. Raises StorageError."""
    removed = 0
    with storage_errors(f"sweeping {layout.staging_dir}"):
        names = {name.removesuffix(".lock") for name in os.listdir(layout.staging_dir)}
        for name in sorted(names):
            place = layout.staging(name)
            lock = hold(place.lock_file)
            if lock is None:
                continue
            try:
                _remove(place, launcher)
                removed += 1
            finally:
                os.close(lock)
    return removed
