"""Health checks where no process of ours stays: in sessions of the command line, and kept ones.

Each start of a container with a health check has a follower, a process inside the session's sandbox. It ends when the
container's monitor does, and with the sandbox in any case. While it waits for the next check it holds no connection: a
sandbox takes 64 of them.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import LONGEST_POLL_S
from pytest_pods.engine.errors import PodsError
from pytest_pods.engine.host.pipes import wait_readable
from pytest_pods.engine.services.inner_programs import build_inner_argv, find_package_parent

if TYPE_CHECKING:
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.health import HealthService
    from pytest_pods.engine.services.lifecycle import ExitDescriptor
    from pytest_pods.engine.services.sessions import Session

COMMAND = "follow-health"
"""The command line's command for it, which no help shows."""


def start_follower(session: Session, record: ContainerRecord) -> None:
    """Starts the follower of a container that was just started. Raises SystemCallError."""
    session.start().spawn(
        build_inner_argv(session, record, COMMAND),
        # Nothing that lies about where it works may be taken for a module of ours.
        env={"PYTHONPATH": find_package_parent(), "PYTHONSAFEPATH": "1", "PATH": os.defpath},
        cwd=Path("/"),
    )


def follow(
    session: Session, record: ContainerRecord, *, health: HealthService, ended: ExitDescriptor | None
) -> None:
    """Checks a container as it asks for, until it ends. The session is left in between."""
    if ended is None:
        return
    try:
        pause_s: float | None = health.find_first_pause_s(record)
        session.leave()
        while pause_s is not None and not _ends_within(ended, pause_s):
            pause_s = _check(session, record, health)
    finally:
        ended.close()


def _check(session: Session, record: ContainerRecord, health: HealthService) -> float | None:
    try:
        session.attach()
    except PodsError:
        # All connections are taken. If it were gone so would be this process.
        return record.health.interval if record.health is not None else None
    try:
        return health.check_scheduled(record)
    finally:
        session.leave()


def _ends_within(ended: ExitDescriptor, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if wait_readable(ended.fileno(), min(left, LONGEST_POLL_S)):
            return True
    return wait_readable(ended.fileno(), 0)
