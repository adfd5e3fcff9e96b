"""Fixtures that look by themselves: after each test, and after a run, nothing of it is left on the host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.leaks import HostState, find_dead_cgroups, find_files, find_leaks, wait_until_clean

_PATIENCE_S = 3.0
# The last is shared by the tests of a run: what was in it before is not the test's.
_PLACES = ("tmp_path", "pytester", "image_store")
# What a test was blamed for already is not held against the run.
_REPORTED = pytest.StashKey[set[str]]()


@pytest.fixture(scope="session", autouse=True)
def nothing_left_by_the_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What fixtures wider than a test made is gone at the end too."""
    reported = request.config.stash.setdefault(_REPORTED, set())
    before = HostState.take()
    yield
    base = tmp_path_factory.getbasetemp()
    found = wait_until_clean(
        lambda: [line for line in find_leaks(before, base) if line not in reported], patience_s=_PATIENCE_S
    )
    found += wait_until_clean(lambda: find_dead_cgroups(before), patience_s=_PATIENCE_S)
    if found:
        pytest.fail("left behind by this run:\n" + "\n".join(found), pytrace=False)


@pytest.fixture(autouse=True)
def nothing_left_by_the_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Looks for what belongs to the test's own directories; a test without one can own nothing that is looked for."""
    places = [name for name in _PLACES if name in request.fixturenames]
    if not places:
        yield
        return
    before = HostState.take()
    directories = [_directory(request, name) for name in places]
    known = frozenset(line for directory in directories for line in find_files(directory))
    yield
    found = wait_until_clean(
        lambda: [line for directory in directories for line in find_leaks(before, directory, known=known)],
        patience_s=_PATIENCE_S,
    )
    if found:
        request.config.stash[_REPORTED].update(found)
        pytest.fail("left behind by this test:\n" + "\n".join(found), pytrace=False)


def _directory(request: pytest.FixtureRequest, name: str) -> Path:
    if name == "pytester":
        pytester: pytest.Pytester = request.getfixturevalue("pytester")
        return pytester.path
    path: Path = request.getfixturevalue(name)
    return path
