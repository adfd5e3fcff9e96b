"""pytest inside pytest: every test here gets a directory, an environment and a store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pytest_pods import settings
from pytest_pods.engine.api import Engine

REPOSITORY = Path(__file__).parents[2]

collect_ignore = ["typed"]
"""A suite that runs inside the tests of test_typing.py only."""

OTHER_PLUGINS = ("anyio", "asyncio", "django", "pytest_cov", "randomly", "rerunfailures")
"""Installed plugins that would change the order, the output or the time of runs; test_beside.py has runs with each."""


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inner pytest loads the plugin of this checkout, installed or not, and none of the outer one's settings."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    installed = entry_points(group="pytest11", name="pods")
    without = " ".join(f"-p no:{plugin}" for plugin in OTHER_PLUGINS)
    monkeypatch.setenv("PYTEST_ADDOPTS", without + ("" if installed else " -p pytest_pods.plugin"))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    # Where this runs in a job of GitHub's, its annotations and its summary are of the outer run alone.
    for name in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    for name in settings.setting_names():
        monkeypatch.delenv(settings.variable_name(name), raising=False)


@pytest.fixture
def store(image_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with the image `BUSYBOX`, which the inner pytest uses."""
    monkeypatch.setenv("PYTEST_PODS_ROOT", str(image_store))
    return image_store


@pytest.fixture
def kept_sessions_end(store: Path) -> Iterator[None]:
    """What the inner pytest kept is no left-over of this test."""
    before = {session.id for session in Engine.sessions(store)}
    yield
    for session in Engine.sessions(store):
        if session.id not in before:
            Engine.attach(session.id, root=store).end()
