"""Commands in a running container, by runc and by the native helper: what they see and may do has to be the same."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pods.engine.errors import MissingProgramError
from pytest_pods.engine.host.sandbox import helper_path
from pytest_pods.engine.oci.runtime_configuration_reading import parse_runtime_configuration
from pytest_pods.engine.oci.runtime_spec import ProcessConfiguration
from pytest_pods.engine.runtime import cgroups, runc
from pytest_pods.engine.runtime.enter import ORDERS_DESCRIPTOR, build_enter_orders
from pytest_pods.engine.runtime.exec_process import ExecRequest, build_exec_process
from pytest_pods.engine.runtime.seccomp_filter import ensure_filter
from pytest_pods.engine.runtime.users import resolve_user
from tests.integration.runtime.machine import GROUP, PASSWD, Container, Machine, read_own_capabilities

pytestmark = pytest.mark.root

Way = Callable[[Container, ProcessConfiguration], "subprocess.CompletedProcess[str]"]

_LOOK = """
id; echo $PWD $HOME $EXTRA; umask; ulimit -n; cat /proc/self/oom_score_adj
grep -E '^(Cap|NoNew|Seccomp:|Groups|Uid|Gid)' /proc/self/status; cat /proc/self/cgroup
for n in mnt uts ipc net pid cgroup; do ls -l /proc/self/ns/$n | grep -o '[a-z]*:.[0-9]*.$'; done
env; swapoff /nowhere 2>&1; echo $(ls /proc/self/fd)
"""


def _by_runc(container: Container, process: ProcessConfiguration) -> subprocess.CompletedProcess[str]:
    document = container.directory / "process.json"
    document.write_text(json.dumps(process.to_document()))
    argv = runc.build_exec_argv(container.machine.runtime, container.id, process_file=document)
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)


def _by_helper(container: Container, process: ProcessConfiguration) -> subprocess.CompletedProcess[str]:
    try:
        helper = helper_path()
    except MissingProgramError as error:
        pytest.skip(str(error))
    configuration = parse_runtime_configuration(
        (container.directory / "bundle/config.json").read_bytes(), where="config.json"
    )
    filter_ = configuration.linux.seccomp
    orders = build_enter_orders(
        configuration,
        process,
        container_pid=container.pid,
        cgroups=cgroups.parse_membership(
            cgroups.read_cgroup_layout(), Path(f"/proc/{container.pid}/cgroup").read_text()
        ),
        seccomp=None if filter_ is None else ensure_filter(filter_, directory=container.machine.directory / "filters"),
    )
    memory = os.memfd_create("orders", os.MFD_ALLOW_SEALING)
    try:
        os.write(memory, orders)
        os.lseek(memory, 0, os.SEEK_SET)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
        redirect = f'exec "$0" enter {ORDERS_DESCRIPTOR}<&{memory} {memory}<&-'
        return subprocess.run(
            ["bash", "-c", redirect, helper],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            pass_fds=(memory,),
        )
    finally:
        os.close(memory)


both = pytest.mark.parametrize("way", [_by_runc, _by_helper], ids=["runc", "helper"])


def _process(container: Container, *command: str, **options: object) -> ProcessConfiguration:
    user = options.pop("user", None)
    request = ExecRequest(
        command,
        user=resolve_user(str(user), passwd=PASSWD, group=GROUP) if user is not None else None,
        **options,  # type: ignore[arg-type]
    )
    return build_exec_process(container.configuration, request, available_capabilities=read_own_capabilities())


@both
def test_exit_status_and_output_are_the_commands(machine: Machine, way: Way) -> None:
    with machine.create(["sleep", "60"]) as container:
        container.start()
        answer = way(container, _process(container, "sh", "-c", "echo out; echo err >&2; exit 9"))
    assert (answer.returncode, answer.stdout, answer.stderr) == (9, "out\n", "err\n")


@both
def test_workdir_and_variables_are_those_asked_for(machine: Machine, way: Way) -> None:
    with machine.create(["sleep", "60"], env={"KEPT": "1"}) as container:
        container.start()
        process = _process(container, "sh", "-c", "echo $PWD $KEPT $EXTRA", workdir="/etc", env={"EXTRA": "2"})
        assert way(container, process).stdout == "/etc 1 2\n"


@both
def test_end_by_signal_is_128_and_its_number(machine: Machine, way: Way) -> None:
    with machine.create(["sleep", "60"]) as container:
        container.start()
        assert way(container, _process(container, "sh", "-c", "kill -TERM $$")).returncode == 143


@pytest.mark.parametrize(
    ("container_options", "exec_options"),
    [
        ({}, {}),
        ({}, {"user": "posty"}),
        ({"user": "posty", "cap_add": ["NET_RAW"]}, {}),
        ({"user": "posty"}, {"user": "root"}),
        ({}, {"privileged": True}),
        ({"no_new_privileges": True}, {"user": "70"}),
        ({"seccomp": False}, {}),
        ({"cap_drop": ["ALL"]}, {}),
        ({"privileged": True}, {}),
    ],
    ids=[
        "as it is",
        "another user",
        "user with a capability",
        "root in a user's container",
        "privileged command",
        "no new privileges",
        "no filter",
        "no capability",
        "privileged container",
    ],
)
def test_helper_and_runc_give_the_same(
    machine: Machine, container_options: dict[str, object], exec_options: dict[str, object]
) -> None:
    with machine.create(["sleep", "60"], **container_options) as container:
        container.start()
        process = _process(container, "sh", "-c", _LOOK, workdir="/tmp", env={"EXTRA": "x y"}, **exec_options)
        by_runc, by_helper = _by_runc(container, process), _by_helper(container, process)
    assert by_helper.stdout.splitlines() == by_runc.stdout.splitlines()
    assert (by_helper.returncode, by_helper.stderr) == (by_runc.returncode, by_runc.stderr)
