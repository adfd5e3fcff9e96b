from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import DeadlineExceededError, InvalidDocumentError
from pytest_pods.engine.host.programs import Version
from pytest_pods.engine.runtime import runc

RUNTIME = runc.Runtime(Path("/usr/sbin/runc"), Path("/run/s/runc"))


@pytest.mark.parametrize(
    ("version", "holds"),
    [("1.0.3", False), ("1.1.0", True), ("1.1.5", True), ("1.1.15", True), ("1.2.0", False), ("2.0.0", False)],
)
def test_shortcuts_hold_for_verified_versions_only(version: str, holds: bool) -> None:
    assert runc.shortcuts_hold(Version(tuple(map(int, version.split("."))))) is holds


def test_command_lines_are_these() -> None:
    log = Path("/run/s/c/runtime.log")
    logging = ["--log", "/run/s/c/runtime.log", "--log-format", "json"]
    base = ["/usr/sbin/runc", "--root", "/run/s/runc"]
    assert runc.build_start_argv(RUNTIME, "c", log=log) == [*base, *logging, "start", "c"]
    assert runc.build_kill_argv(RUNTIME, "c", 15) == [*base, "kill", "c", "15"]
    assert runc.build_kill_argv(RUNTIME, "c", 9, everything=True) == [*base, "kill", "--all", "c", "9"]
    assert runc.build_delete_argv(RUNTIME, "c", force=True) == [*base, "delete", "--force", "c"]
    assert runc.build_exec_argv(RUNTIME, "c", process_file=Path("/p.json"), pid_file=Path("/pid"), detach=True) == [
        *base,
        *["exec", "--process", "/p.json", "--pid-file", "/pid", "--detach", "c"],
    ]


def test_state_is_read_from_runcs_file(tmp_path: Path) -> None:
    runtime = runc.Runtime(Path("/usr/sbin/runc"), tmp_path)
    assert runc.find_state(runtime, "c") is None
    (tmp_path / "c").mkdir()
    document = {
        "id": "c",
        "init_process_pid": 42,
        "init_process_start": 4711,
        "cgroup_paths": {"pids": "/sys/fs/cgroup/pids/x"},
        "more": {},
    }
    (tmp_path / "c" / "state.json").write_text(json.dumps(document))
    assert runc.find_state(runtime, "c") == runc.RuntimeState("c", 42, 4711, {"pids": Path("/sys/fs/cgroup/pids/x")})


@pytest.mark.parametrize(
    "content", [b"", b'{"id": "c", "init_pro', b"[]", b"{}", b'{"id": "c", "init_process_pid": []}']
)
def test_torn_state_is_an_error_that_names_the_file(content: bytes) -> None:
    with pytest.raises(InvalidDocumentError, match=r"/c/state\.json is no state of runc"):
        runc.parse_state(content, where="/c/state.json")


def test_start_gives_up_at_the_deadline(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    os.mkfifo(tmp_path / "c" / runc.START_FIFO)
    pidfd = os.pidfd_open(os.getpid())
    try:
        with pytest.raises(DeadlineExceededError, match="container web did not start"):
            runc.start_through_fifo(
                runc.Runtime(Path("/usr/sbin/runc"), tmp_path),
                "c",
                pidfd=pidfd,
                deadline=Deadline.after(0.01),
                subject="container web",
            )
    finally:
        os.close(pidfd)
    assert (tmp_path / "c" / runc.START_FIFO).exists()


def test_removal_may_be_repeated_and_follows_no_link(tmp_path: Path) -> None:
    runtime = runc.Runtime(Path("/usr/sbin/runc"), tmp_path / "runc")
    canary = tmp_path / "canary"
    canary.write_text("here")
    directory = runtime.state_dir("c")
    directory.mkdir(parents=True)
    (directory / "state.json").symlink_to(canary)
    runc.remove_state(runtime, "c")
    runc.remove_state(runtime, "c")
    assert not directory.exists()
    assert canary.read_text() == "here"


def test_last_error_of_the_log_counts() -> None:
    log = b'{"level":"warning","msg":"w"}\nnot json\n{"level":"error","msg":"first"}\n{"level":"error","msg":"last"}\n'
    assert runc.read_log_message(log) == "last"
    assert runc.read_log_message(b"") == ""
