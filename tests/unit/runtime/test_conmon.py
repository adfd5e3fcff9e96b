from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pods.engine.errors import InvalidInputError, OCIRuntimeError
from pytest_pods.engine.runtime.conmon import (
    MonitorRequest,
    SyncMessage,
    build_create_argv,
    build_environment,
    build_resize,
    parse_sync_message,
)

REQUEST = MonitorRequest(
    container_id="c" * 64,
    conmon=Path("/usr/bin/conmon"),
    runtime=Path("/usr/sbin/runc"),
    runtime_root=Path("/run/s/runc"),
    runtime_log=Path("/run/s/c/runtime.log"),
    bundle=Path("/run/s/c/bundle"),
    pid_file=Path("/run/s/c/pidfile"),
    log=Path("/run/s/c/log"),
    exit_dir=Path("/run/s/c/exit"),
    temporary_directory=Path("/run/s/tmp"),
)


def test_command_line_is_this() -> None:
    assert " ".join(build_create_argv(REQUEST)) == (
        "/usr/bin/conmon --sync --api-version --full-attach --no-sync-log "
        f"--cid {'c' * 64} --cuuid {'c' * 64} --runtime /usr/sbin/runc --bundle /run/s/c/bundle "
        "--container-pidfile /run/s/c/pidfile --log-path k8s-file:/run/s/c/log --exit-dir /run/s/c/exit "
        "--runtime-arg --root --runtime-arg /run/s/runc "
        "--runtime-arg --log=/run/s/c/runtime.log --runtime-arg --log-format=json"
    )


def test_terminal_stdin_and_persist_dir_are_given_when_asked() -> None:
    request = replace(REQUEST, terminal=True, stdin=True, persist_dir=Path("/run/s/c/persist"))
    added = build_create_argv(request)[len(build_create_argv(REQUEST)) :]
    assert added == ["--persist-dir", "/run/s/c/persist", "--terminal", "--stdin", "--leave-stdin-open"]


def test_log_path_with_colon_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="has a ':' in its path"):
        build_create_argv(replace(REQUEST, log=Path("/run/a:b/log")))


def test_environment_names_the_pipes_and_a_short_temporary_directory() -> None:
    assert build_environment(REQUEST)["_OCI_SYNCPIPE"] == "3"
    assert "_OCI_STARTPIPE" not in build_environment(REQUEST)
    assert build_environment(REQUEST, with_start_pipe=True)["_OCI_STARTPIPE"] == "4"
    assert build_environment(REQUEST)["TMPDIR"] == "/run/s/tmp"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"data": 8239}\n', SyncMessage(8239)),
        (b'{"pid": 12}', SyncMessage(12)),
        (b'{"data": -1, "message": "runc create failed: no\\n"}', SyncMessage(None, "runc create failed: no")),
        (b"", SyncMessage(None)),
    ],
)
def test_sync_message_is_read(line: bytes, expected: SyncMessage) -> None:
    assert parse_sync_message(line, subject="web") == expected


@pytest.mark.parametrize("line", [b"garbage", b"[]", b'{"data": "x"}', b"{}", b'{"data": true}', b"[" * 100_000])
def test_other_answers_are_an_error_that_names_the_container(line: bytes) -> None:
    with pytest.raises(OCIRuntimeError, match="for container web"):
        parse_sync_message(line, subject="container web")


def test_resize_is_one_line() -> None:
    assert build_resize(24, 80) == b"1 24 80\n"
