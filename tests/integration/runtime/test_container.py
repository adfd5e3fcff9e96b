"""Containers of the engine's bundles, run by the real runc and conmon."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import OCIRuntimeError
from pytest_pods.engine.host.programs import get_program, get_version
from pytest_pods.engine.runtime import cgroups, runc
from pytest_pods.engine.runtime.bundle import NamespacePaths
from pytest_pods.engine.runtime.capabilities import DEFAULT_CAPABILITIES, build_capability_mask
from pytest_pods.engine.runtime.logs import read_lines
from pytest_pods.engine.specs.mounts import BindMount, TmpfsMount
from tests.integration.runtime.machine import Machine, status_fields

pytestmark = pytest.mark.root

_ROOT_MASK = build_capability_mask(DEFAULT_CAPABILITIES)


def _run(machine: Machine, script: str, /, **options: object) -> str:
    with machine.create(["sh", "-c", script], **options) as container:
        code, output = container.finish()
    assert code == 0, output
    return output


def test_exit_code_of_container_is_that_of_its_monitor(machine: Machine) -> None:
    with machine.create(["sh", "-c", "exit 7"]) as container:
        assert container.finish() == (7, "")
        assert (container.directory / "exits" / container.id).read_text() == "7"


def test_killed_container_ends_with_137(machine: Machine) -> None:
    with machine.create(["sleep", "60"]) as container:
        container.start()
        os.kill(container.pid, signal.SIGKILL)
        assert container.monitor.wait(10) == 137


def test_both_streams_are_logged(machine: Machine) -> None:
    with machine.create(["sh", "-c", "echo out; echo err >&2; echo -n end"]) as container:
        container.finish()
        lines = read_lines(container.log)
    assert {(line.stream, line.text, line.complete) for line in lines} == {
        ("stdout", "out", True),
        ("stderr", "err", True),
        ("stdout", "end", False),
    }


def test_default_process_is_confined(machine: Machine) -> None:
    fields = status_fields(_run(machine, "cat /proc/self/status"))
    assert fields["Seccomp"] == "2"
    assert {int(fields[name], 16) for name in ("CapBnd", "CapEff", "CapPrm")} == {_ROOT_MASK}
    assert {int(fields[name], 16) for name in ("CapInh", "CapAmb")} == {0}
    assert fields["NoNewPrivs"] == "0"
    assert fields["Umask"] == "0022"


def test_user_of_image_holds_no_capability(machine: Machine) -> None:
    output = _run(machine, "id; echo $HOME; cat /proc/self/status", user="posty")
    assert output.startswith("uid=70(posty) gid=71(posty) groups=71(posty),90(extra)\n/var/lib/posty\n")
    fields = status_fields(output)
    assert {int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapAmb")} == {0}


def test_capability_asked_for_reaches_a_user(machine: Machine) -> None:
    fields = status_fields(_run(machine, "cat /proc/self/status", user="70:71", cap_add=["NET_RAW"]))
    assert int(fields["CapEff"], 16) == build_capability_mask(["CAP_NET_RAW"])
    assert fields["Groups"] == "71"


def test_dropped_capabilities_are_gone(machine: Machine) -> None:
    fields = status_fields(_run(machine, "cat /proc/self/status", cap_drop=["ALL"], cap_add=["CHOWN"]))
    assert int(fields["CapBnd"], 16) == build_capability_mask(["CAP_CHOWN"])


def test_privileged_container_has_all_and_no_filter(machine: Machine) -> None:
    fields = status_fields(_run(machine, "cat /proc/self/status; touch /proc/sys/kernel/hostname", privileged=True))
    assert fields["Seccomp"] == "0"
    assert int(fields["CapEff"], 16) & build_capability_mask(["CAP_SYS_ADMIN"])


def test_no_new_privileges_is_set_when_asked(machine: Machine) -> None:
    output = _run(machine, "cat /proc/self/status", no_new_privileges=True, user="posty")
    assert status_fields(output)["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    "attempt",
    [
        "echo x > /proc/sys/kernel/domainname",
        "echo b > /proc/sysrq-trigger",
        "touch /sys/x",
        "mount -t tmpfs x /tmp",
        "mkdir /sys/fs/cgroup/*/x",
    ],
)
def test_host_cannot_be_changed_from_inside(machine: Machine, attempt: str) -> None:
    assert _run(machine, f"({attempt}) 2>/dev/null && echo changed || echo refused") == "refused\n"


def test_masked_paths_are_empty(machine: Machine) -> None:
    files, directories = "/proc/kcore /proc/keys /proc/timer_list", "/proc/acpi /proc/scsi /sys/firmware /sys/dev/block"
    script = f"head -q -c 1 {files} 2>/dev/null; for d in {directories}; do ls $d 2>/dev/null; done; echo end"
    assert _run(machine, script) == "end\n"


def test_read_only_root_refuses_writes_but_tmpfs_takes_them(machine: Machine) -> None:
    script = "touch /x 2>/dev/null && echo root; touch /scratch/x && echo scratch; mount | grep ' /scratch '"
    output = _run(machine, script, read_only=True, mounts=[TmpfsMount("/scratch", size=1 << 20, mode=0o700)])
    first, second = output.splitlines()
    assert first == "scratch"
    assert "size=1024k" in second
    assert "mode=700" in second
    assert "noexec" in second


def test_bind_mounts_show_the_hosts_files(machine: Machine, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "in").write_text("from outside\n")
    mounts = [BindMount(str(shared), "/a/b"), BindMount(str(shared), "/ro", read_only=True)]
    script = "cat /a/b/in; echo back > /a/b/out; touch /ro/x 2>/dev/null || echo refused"
    assert _run(machine, script, mounts=mounts) == "from outside\nrefused\n"
    assert (shared / "out").read_text() == "back\n"


def test_environment_has_defaults_and_what_was_asked(machine: Machine) -> None:
    lines = set(_run(machine, "env", env={"A": "b c", "PATH": "/bin"}).splitlines())
    assert {"A=b c", "PATH=/bin", "HOME=/root", "HOSTNAME=tester", "container=pytest-pods"} <= lines


def test_hostname_and_process_ids_are_the_containers_own(machine: Machine) -> None:
    assert _run(machine, "cat /proc/sys/kernel/hostname; echo $$") == "tester\n1\n"


def test_working_directory_that_is_missing_is_made(machine: Machine) -> None:
    assert _run(machine, "echo $PWD", workdir="/made/here") == "/made/here\n"


def test_limits_do_not_depend_on_the_callers_soft_limits(machine: Machine) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert _run(machine, "ulimit -Sn; ulimit -Hn").split() == [str(min(hard, 1 << 20))] * 2


def test_devices_are_the_usual_ones(machine: Machine) -> None:
    names = set(_run(machine, "ls /dev; ls /dev/pts").split())
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "fd", "stdin"} <= names


def test_own_network_lets_users_bind_low_ports_and_ping(machine: Machine) -> None:
    with subprocess.Popen(["unshare", "--net", "sleep", "60"]) as holder:
        try:
            while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
                os.sched_yield()
            machine.request["namespaces"] = NamespacePaths(network=Path(f"/proc/{holder.pid}/ns/net"))
            script = "cd /proc/sys/net/ipv4; cat ip_unprivileged_port_start ping_group_range; ls /sys/class/net"
            output = _run(machine, script, network="none")
        finally:
            holder.kill()
    assert output.split() == ["0", "0", "2147483647", "lo"]


def test_terminal_is_given_when_asked(machine: Machine) -> None:
    with machine.create(["sh", "-c", "test -t 0 && test -t 1 && echo terminal $TERM"], tty=True) as container:
        code, output = container.finish()
    assert (code, output) == (0, "terminal xterm\r\n")


def test_container_is_in_its_group_in_every_tree(machine: Machine) -> None:
    with machine.create(["sleep", "60"]) as container:
        layout = cgroups.read_cgroup_layout()
        expected = cgroups.group_directories(layout, f"{cgroups.session_path(machine.session_id)}/{container.id}")
        found = cgroups.parse_membership(layout, Path(f"/proc/{container.pid}/cgroup").read_text())
        assert set(found) == set(expected)
        state = runc.find_state(machine.runtime, container.id)
        assert state is not None
        assert set(state.cgroups.values()) <= set(expected)


def test_state_of_runc_names_the_container_pid(machine: Machine) -> None:
    with machine.create(["sleep", "60"]) as container:
        state = runc.find_state(machine.runtime, container.id)
        assert state is not None
        assert (state.container_id, state.container_pid) == (container.id, container.pid)
        started = Path(f"/proc/{container.pid}/stat").read_text().rpartition(")")[2].split()[19]
        assert state.started_ticks == int(started)
        assert runc.is_created(machine.runtime, container.id)
        container.start()
        assert not runc.is_created(machine.runtime, container.id)


def test_start_through_fifo_is_a_start_for_runc_too(machine: Machine) -> None:
    assert runc.shortcuts_hold(get_version(get_program("runc")))
    with machine.create(["sleep", "60"]) as container:
        container.start()
        assert _runc_status(machine, container.id) == "running"
        with pytest.raises(OCIRuntimeError, match="does not wait to be started"):
            container.start()


def test_start_of_container_whose_init_died_fails_at_once(machine: Machine) -> None:
    with machine.create(["sleep", "60"]) as container:
        pidfd = os.pidfd_open(container.pid)
        os.kill(container.pid, signal.SIGKILL)
        try:
            with pytest.raises(OCIRuntimeError, match="ended before it was started"):
                runc.start_through_fifo(
                    machine.runtime, container.id, pidfd=pidfd, deadline=Deadline.after(20), subject="the container"
                )
        finally:
            os.close(pidfd)


def test_removed_state_is_unknown_to_runc(machine: Machine) -> None:
    with machine.create(["true"]) as container:
        container.finish()
        runc.remove_state(machine.runtime, container.id)
        runc.remove_state(machine.runtime, container.id)
        assert runc.find_state(machine.runtime, container.id) is None
        listed = subprocess.run(
            [machine.runtime.program, "--root", machine.runtime.root, "list", "-q"], capture_output=True, text=True
        )
        assert listed.stdout == ""


def test_frozen_container_stands_still_and_can_be_killed(machine: Machine) -> None:
    layout = cgroups.read_cgroup_layout()
    if layout.unified is None:
        pytest.skip("needs a cgroup v2 tree")
    with machine.create(["sh", "-c", "while :; do echo x; done > /dev/null"]) as container:
        container.start()
        path = f"{cgroups.session_path(machine.session_id)}/{container.id}"
        cgroups.set_frozen(layout, path, frozen=True, deadline=Deadline.after(10))
        assert cgroups.is_frozen(layout, path)
        cgroups.set_frozen(layout, path, frozen=False, deadline=Deadline.after(10))
        assert not cgroups.is_frozen(layout, path)
        cgroups.set_frozen(layout, path, frozen=True, deadline=Deadline.after(10))
        cgroups.kill_group(layout, path)
        assert container.monitor.wait(10) == 137


def _runc_status(machine: Machine, container_id: str) -> str:
    import json

    answer = subprocess.run(
        [machine.runtime.program, "--root", machine.runtime.root, "state", container_id],
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(answer.stdout)["status"])
