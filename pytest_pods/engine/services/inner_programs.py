"""Programs of ours that work inside a session's sandbox: commands of `pytest-pods` that no help shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.sessions import Session


def build_inner_argv(session: Session, record: ContainerRecord, command: str) -> tuple[str, ...]:
    """The command about one container. There, neither the user's environment nor user id are what they are outside, so
    that all it needs is in its arguments."""
    where = (str(session.store.root), str(session.store.run_root), session.id, record.id)
    return (sys.executable, "-m", "pytest_pods", command, *where)


def find_package_parent() -> str:
    """Where Python finds this package."""
    return str(Path(__file__).resolve().parents[3])
