"""The processes of containers as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pods.cli.formats import format_size

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container

PROCESS_COLUMNS = ("USER", "PID", "PPID", "CPU", "MEMORY", "COMMAND")
_LONGEST_COMMAND = 80


def build_process_rows(container: Container) -> list[list[str]]:
    """By number. Raises WrongStateError if the container does not run."""
    return [
        [
            str(one.user),
            str(one.pid),
            str(one.parent),
            f"{one.cpu_ns / 1e9:.2f}",
            format_size(one.memory),
            one.command[:_LONGEST_COMMAND],
        ]
        for one in container.processes()
    ]
