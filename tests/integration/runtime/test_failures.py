"""What runc says when a container cannot be created, and which error that becomes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_pods.engine.errors import CommandNotExecutableError, CommandNotFoundError, OCIRuntimeError
from pytest_pods.engine.runtime import runc
from pytest_pods.engine.runtime.command_lookup import exit_status, explain_failure
from pytest_pods.engine.specs.mounts import BindMount
from tests.integration.runtime.machine import Container, Machine

pytestmark = pytest.mark.root


def _explain(container: Container) -> OCIRuntimeError:
    def lookup(path: str) -> int | None:
        try:
            return os.stat(f"{container.machine.root}/{path}").st_mode
        except OSError:
            return None

    process = container.configuration.process
    return explain_failure(
        command=process.args[0],
        environment=dict(process.env),
        working_directory=process.cwd,
        lookup=lookup,
        subject="container web (shop:dev)",
        message=container.message.failure,
    )


@pytest.mark.parametrize(
    ("command", "kind", "status", "brief"),
    [
        ("/bin/nope", CommandNotFoundError, 127, "the command '/bin/nope' does not exist in its image"),
        ("nope", CommandNotFoundError, 127, "the command 'nope' does not exist in PATH (/usr/local/sbin:"),
        ("/etc/not-executable", CommandNotExecutableError, 126, "the command '/etc/not-executable' is not executable"),
        ("/etc", CommandNotExecutableError, 126, "the command '/etc' is a directory"),
    ],
)
def test_command_that_cannot_run_is_named(
    machine: Machine, command: str, kind: type[OCIRuntimeError], status: int, brief: str
) -> None:
    with machine.create([command]) as container:
        assert container.message.container_pid is None
        assert container.monitor.wait(10) == 1
        error = _explain(container)
    assert type(error) is kind
    assert exit_status(error) == status
    assert error.brief.startswith(f"container web (shop:dev): {brief}")
    assert error.details


def test_other_failure_keeps_the_runtimes_reason(machine: Machine, tmp_path: Path) -> None:
    with machine.create(["true"], mounts=[BindMount(str(tmp_path / "missing"), "/x")]) as container:
        error = _explain(container)
        logged = runc.read_log_message((container.directory / "runtime.log").read_bytes())
    assert type(error) is OCIRuntimeError
    assert exit_status(error) == 125
    assert "/missing" in error.brief
    assert logged == container.message.failure


def test_failed_create_leaves_no_state_of_runc(machine: Machine) -> None:
    with machine.create(["/bin/nope"]) as container:
        assert runc.find_state(machine.runtime, container.id) is None
        assert not (machine.runtime.root / container.id).exists()
