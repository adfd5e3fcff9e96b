"""The monitor of a container, conmon: its command line, its environment and what it says on its sync pipe.

With `--sync` conmon stays the child of whoever starts it, and its exit status is the container's (255 where conmon gave
up the container itself). The status of a failed create is 1: only the sync message tells the two apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidInputError, OCIRuntimeError
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

SYNC_DESCRIPTOR = 3
START_DESCRIPTOR = 4

MOST_STDIN_BYTES = 32_768
"""A longer packet on the attach socket would be cut in silence."""


@frozen
class MonitorRequest:
    """Where one container's monitor finds and leaves its files. `temporary_directory` has to be short: a socket's name
    of at most 107 bytes is made in it for a terminal. `exit_command` is executed, and awaited, when the container has
    ended; it gets the monitor's environment, to which `variables` are added."""

    container_id: str
    conmon: Path
    runtime: Path
    runtime_root: Path
    runtime_log: Path
    bundle: Path
    pid_file: Path
    log: Path
    exit_dir: Path
    temporary_directory: Path
    persist_dir: Path | None = None
    terminal: bool = False
    stdin: bool = False
    exit_command: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


@frozen
class SyncMessage:
    """What the monitor says about the create: the container pid, or why there is none."""

    container_pid: int | None
    failure: str = ""


def build_create_argv(request: MonitorRequest) -> list[str]:
    """The command line for creating a container. Raises InvalidInputError for a log path that conmon would misread."""
    if ":" in str(request.log):
        raise InvalidInputError(
            f"the log {request.log} of container {request.container_id[:12]} has a ':' in its path, where conmon cuts",
            hint="set another root for the engine's files",
        )
    argv = [
        str(request.conmon),
        "--sync",
        "--api-version",
        "--full-attach",
        "--no-sync-log",
        "--cid",
        request.container_id,
        "--cuuid",
        request.container_id,
        "--runtime",
        str(request.runtime),
        "--bundle",
        str(request.bundle),
        "--container-pidfile",
        str(request.pid_file),
        "--log-path",
        f"k8s-file:{request.log}",
        "--exit-dir",
        str(request.exit_dir),
    ]
    for argument in ("--root", str(request.runtime_root), f"--log={request.runtime_log}", "--log-format=json"):
        argv += ["--runtime-arg", argument]
    for place, word in enumerate(request.exit_command):
        argv += ["--exit-command-arg" if place else "--exit-command", word]
    argv += ["--persist-dir", str(request.persist_dir)] if request.persist_dir is not None else []
    argv += ["--terminal"] if request.terminal else []
    argv += ["--stdin"] if request.stdin else []
    # Otherwise the first client that detaches takes the terminal's input with it, for every later one as well.
    argv += ["--leave-stdin-open"] if request.terminal and request.stdin else []
    return argv


def build_environment(request: MonitorRequest, *, with_start_pipe: bool = False) -> dict[str, str]:
    """The monitor's whole environment. The pipes have to be passed as SYNC_DESCRIPTOR and START_DESCRIPTOR."""
    environment = {
        **request.variables,
        # runc looks for newuidmap, and for nothing else, in it.
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TMPDIR": str(request.temporary_directory),
        "_OCI_SYNCPIPE": str(SYNC_DESCRIPTOR),
    }
    if with_start_pipe:
        environment["_OCI_STARTPIPE"] = str(START_DESCRIPTOR)
    return environment


def parse_sync_message(line: bytes, *, subject: str) -> SyncMessage:
    """Reads a line of the sync pipe; an empty one is the end of the pipe without a message. Raises OCIRuntimeError if
    the line is something else; `subject` names the container in messages."""
    if not line.strip():
        return SyncMessage(None)
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, Mapping):
        raise OCIRuntimeError(f"conmon's answer for {subject} cannot be read: {line[:200]!r}")
    number, message = document.get("data", document.get("pid")), document.get("message", "")
    if isinstance(number, bool) or not isinstance(number, int):
        raise OCIRuntimeError(f"conmon's answer for {subject} has no number: {line[:200]!r}")
    return SyncMessage(number if number > 0 else None, str(message).strip())


def build_resize(rows: int, columns: int) -> bytes:
    """A line for the bundle's `ctl`. One a write: older versions apply the first of several twice."""
    return f"1 {rows} {columns}\n".encode()
