from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_pods.engine.host.programs import find_program
from pytest_pods.engine.ids import new_session_id
from pytest_pods.engine.runtime import cgroups
from tests.integration.runtime.machine import Machine, make_root

_NEEDED = ("runc", "conmon", "busybox")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    missing = [name for name in _NEEDED if find_program(name) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and {', '.join(missing) or 'nothing else'}")
    session_id = new_session_id()
    yield Machine(tmp_path, make_root(tmp_path / "root"), session_id)
    groups = cgroups.group_directories(cgroups.read_cgroup_layout(), cgroups.session_path(session_id))
    cgroups.remove_cgroups(groups)
