"""What this machine cannot do for this user, as marks that say why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

needs_control_groups = pytest.mark.skipif(
    os.geteuid() != 0 and not Path("/sys/fs/cgroup/cgroup.controllers").exists(),
    reason="on cgroup v1 an ordinary user has no control groups",
)
