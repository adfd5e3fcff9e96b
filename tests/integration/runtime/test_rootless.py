"""Bundles for a user namespace, run by the real runc in one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_pods.engine.runtime.bundle import NamespacePaths
from pytest_pods.engine.specs.container import ContainerSpec, build_container_spec
from tests.integration.runtime.machine import Machine, status_fields

pytestmark = pytest.mark.root

_ID = "rootless"
# The first child of a PID namespace's first process is number 2; it holds a network namespace for the container.
_WITH_NETWORK = """
unshare --net sleep 60 <&- >&- 2>&- &
while [ "$(readlink /proc/2/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do :; done
exec "$@"
"""


def _run(machine: Machine, spec: ContainerSpec, *, own_network: bool) -> str:
    machine.request.update(rootless=True, single_id=True, cgroups_path=None)
    if own_network:
        machine.request["namespaces"] = NamespacePaths(network=Path("/proc/2/ns/net"))
    bundle = machine.directory / "bundle"
    bundle.mkdir()
    (bundle / "config.json").write_bytes(machine.configure(spec, _ID).to_bytes())
    unshare = ["unshare", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--ipc"]
    runtime = [str(machine.runtime.program), "--root", str(machine.runtime.root), "run", "--bundle", str(bundle), _ID]
    answer = subprocess.run(
        [*unshare, *(["sh", "-c", _WITH_NETWORK, "sh"] if own_network else []), *runtime],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.parametrize("own_network", [True, False], ids=["own network", "host's network"])
def test_single_id_is_enough_for_a_container(machine: Machine, own_network: bool) -> None:
    spec = build_container_spec(
        "busybox", ["sh", "-c", "cat /proc/self/status; echo x > /dev/shm/x"], network="none" if own_network else "host"
    )
    fields = status_fields(_run(machine, spec, own_network=own_network))
    assert fields["Seccomp"] == "2"
    assert fields["Uid"].split() == ["0"] * 4


@pytest.mark.parametrize("own_network", [True, False], ids=["own network", "host's network"])
def test_groups_of_the_host_are_read_only_without_root(machine: Machine, own_network: bool) -> None:
    script = "mkdir /sys/fs/cgroup/x /sys/fs/cgroup/*/x 2>/dev/null && echo made; echo end"
    spec = build_container_spec("busybox", ["sh", "-c", script], network="none" if own_network else "host")
    assert _run(machine, spec, own_network=own_network) == "end\n"
