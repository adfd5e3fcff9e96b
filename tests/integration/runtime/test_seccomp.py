"""The default filter, as runc loads it and as the fast exec installs it: both have to answer alike."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from pytest_pods.engine.runtime.capabilities import DEFAULT_CAPABILITIES
from pytest_pods.engine.runtime.seccomp import build_seccomp_document
from pytest_pods.engine.runtime.seccomp_filter import compile_filter
from pytest_pods.engine.specs.mounts import BindMount
from tests.integration.runtime.machine import Machine

pytestmark = pytest.mark.root

_PYTHON = Path("/usr/bin/python3")
_PROBE = Path(__file__).with_name("system_calls.py")
_EXPECTED = {
    "acct": "EPERM",
    "swapon": "EPERM",
    "io_uring_setup": "ENOSYS",
    "nonsense": "ENOSYS",
    "personality asked": "done",
    "personality changed": "ENOSYS",
    "audit socket": "EINVAL",
    "route socket": "done",
    "stream socket": "done",
    "datagram socket": "done",
    "chroot": "done",
}


def test_container_gets_the_default_filter(machine: Machine) -> None:
    mounts = [BindMount("/usr", "/usr", read_only=True), BindMount(str(_PROBE), "/probe.py", read_only=True)]
    for name in ("lib", "lib64"):
        (machine.root / name).symlink_to(f"usr/{name}")
    with machine.create([str(_PYTHON), "/probe.py"], mounts=mounts) as container:
        code, output = container.finish()
    assert (code, json.loads(output)) == (0, _EXPECTED)


def test_compiled_filter_answers_as_the_containers(tmp_path: Path) -> None:
    content = compile_filter(build_seccomp_document(DEFAULT_CAPABILITIES, os.uname().machine))
    assert content is not None
    (tmp_path / "filter").write_bytes(content)
    answer = subprocess.run([_PYTHON, _PROBE, tmp_path / "filter"], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == _EXPECTED
