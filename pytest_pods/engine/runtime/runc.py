"""The OCI runtime, runc: its command lines, what it keeps on disk, and shortcuts past it.

The shortcuts stand behind `shortcuts_hold`: they use how runc keeps its state, and that is checked by version.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import DeadlineExceededError, InvalidDocumentError, OCIRuntimeError, SystemCallError
from pytest_pods.engine.host.programs import Version
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.deadline import Deadline

STATE_FILE = "state.json"
START_FIFO = "exec.fifo"

_SHORTCUTS_FROM = Version((1, 1, 0))
_SHORTCUTS_BELOW = Version((1, 2, 0))


@frozen
class Runtime:
    """A runc and the directory in which it keeps its state."""

    program: Path
    root: Path

    def state_dir(self, container_id: str) -> Path:
        return self.root / container_id


@frozen
class RuntimeState:
    """What runc wrote down about a container. `started_ticks` is field 22 of /proc/PID/stat: it tells a pid that was
    given to somebody else. `cgroups` maps a v1 controller, or "" for v2, to its directory."""

    container_id: str
    container_pid: int
    started_ticks: int
    cgroups: Mapping[str, Path]


def shortcuts_hold(version: Version) -> bool:
    """Whether the start through the fifo and the removal without runc were verified with this version."""
    return _SHORTCUTS_FROM <= version < _SHORTCUTS_BELOW


def _base(runtime: Runtime, log: Path | None) -> list[str]:
    logging = ["--log", str(log), "--log-format", "json"] if log is not None else []
    return [str(runtime.program), "--root", str(runtime.root), *logging]


def build_start_argv(runtime: Runtime, container_id: str, *, log: Path | None = None) -> list[str]:
    return [*_base(runtime, log), "start", container_id]


def build_kill_argv(
    runtime: Runtime, container_id: str, signal: int, *, everything: bool = False, log: Path | None = None
) -> list[str]:
    """`everything` signals each process of the container's cgroup."""
    return [*_base(runtime, log), "kill", *(["--all"] if everything else []), container_id, str(signal)]


def build_delete_argv(runtime: Runtime, container_id: str, *, force: bool, log: Path | None = None) -> list[str]:
    """With `force` a running container takes 0.1 s longer than one that was killed before."""
    return [*_base(runtime, log), "delete", *(["--force"] if force else []), container_id]


def build_exec_argv(
    runtime: Runtime,
    container_id: str,
    *,
    process_file: Path,
    log: Path | None = None,
    console_socket: Path | None = None,
    pid_file: Path | None = None,
    detach: bool = False,
) -> list[str]:
    """`process_file` has a `ProcessConfiguration` as JSON. Not detached, the exit status is the command's."""
    argv = [*_base(runtime, log), "exec", "--process", str(process_file)]
    argv += ["--console-socket", str(console_socket)] if console_socket is not None else []
    argv += ["--pid-file", str(pid_file)] if pid_file is not None else []
    argv += ["--detach"] if detach else []
    return [*argv, container_id]


def find_state(runtime: Runtime, container_id: str) -> RuntimeState | None:
    """What runc knows about a container, None if it knows none. Raises InvalidDocumentError for a torn file, which a
    crash may leave: such a container has to be killed by its cgroup."""
    path = runtime.state_dir(container_id) / STATE_FILE
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return parse_state(content, where=str(path))


def parse_state(content: bytes, *, where: str) -> RuntimeState:
    """Reads state.json; raises InvalidDocumentError."""
    try:
        document = json.loads(content)
        return RuntimeState(
            container_id=str(document["id"]),
            container_pid=int(document["init_process_pid"]),
            started_ticks=int(document["init_process_start"]),
            cgroups={str(name): Path(path) for name, path in (document.get("cgroup_paths") or {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidDocumentError(f"{where} is no state of runc: {type(error).__name__}: {error}") from error


def is_created(runtime: Runtime, container_id: str) -> bool:
    """Whether the container still waits to be started."""
    return (runtime.state_dir(container_id) / START_FIFO).exists()


def start_through_fifo(runtime: Runtime, container_id: str, *, pidfd: int, deadline: Deadline, subject: str) -> None:
    """Starts a created container without a process: its init waits for somebody to read the fifo.

    `pidfd` is the init's; an init that died would otherwise be awaited for ever. Raises OCIRuntimeError if it has died
    or the container is not waiting, DeadlineExceededError; `subject` names the container in messages.
    """
    path = runtime.state_dir(container_id) / START_FIFO
    try:
        fifo = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise OCIRuntimeError(f"{subject} does not wait to be started") from None
    except OSError as error:
        raise SystemCallError(
            f"opening {path}: {error.strerror}", call="open", errno=error.errno or 0, subject=str(path)
        ) from error
    try:
        _await_init(fifo, pidfd, deadline, subject)
    finally:
        os.close(fifo)
    path.unlink(missing_ok=True)


def _await_init(fifo: int, pidfd: int, deadline: Deadline, subject: str) -> None:
    poll = select.poll()
    poll.register(fifo, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    remaining = deadline.remaining
    ready = {descriptor for descriptor, _ in poll.poll(None if remaining is None else remaining * 1000)}
    if fifo in ready and os.read(fifo, 1):
        return
    if not ready:
        raise DeadlineExceededError(f"{subject} did not start in {deadline.elapsed:.1f} s")
    raise OCIRuntimeError(f"{subject} ended before it was started")


def remove_state(runtime: Runtime, container_id: str) -> None:
    """Makes runc forget a container whose processes have ended: the removal without runc, together with the container's
    cgroups (`cgroups.remove`). May be repeated."""
    directory = runtime.state_dir(container_id)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                os.unlink(entry.path)
        directory.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SystemCallError(
            f"removing {directory}: {error.strerror}", call="unlink", errno=error.errno or 0, subject=str(directory)
        ) from error


def read_log_message(content: bytes) -> str:
    """The last error of runc's JSON log, empty if there is none."""
    message = ""
    for line in content.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, Mapping) and entry.get("level") in ("error", "fatal", "panic"):
            message = str(entry.get("msg", ""))
    return message
