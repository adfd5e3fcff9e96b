"""Scopes of the user's systemd: asked for where there is one, and named so that the path of its group is known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_pods.engine.host import systemd


@pytest.fixture
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "systemd-run"
    program.parent.mkdir()
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    directory = tmp_path / "run"
    (directory / "systemd").mkdir(parents=True)
    (directory / "bus").touch()
    return directory


def test_scope_is_below_the_users_own_manager(run_directory: Path) -> None:
    scope = systemd.find_scope("pytest-pods-1", run_directory=run_directory)
    assert scope is not None
    uid = os.getuid()
    assert scope.group == f"/user.slice/user-{uid}.slice/user@{uid}.service/app.slice/pytest-pods-1.scope"
    assert {"--unit=pytest-pods-1.scope", "--slice=app.slice", "--property=Delegate=yes"} < set(scope.prefix)
    assert scope.environment["DBUS_SESSION_BUS_ADDRESS"] == f"unix:path={run_directory}/bus"


@pytest.mark.parametrize("missing", ["bus", "systemd"])
def test_no_scope_without_a_running_manager(run_directory: Path, missing: str) -> None:
    (run_directory / missing).rename(run_directory / "elsewhere")
    assert systemd.find_scope("pytest-pods-1", run_directory=run_directory) is None
