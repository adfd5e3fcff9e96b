"""A container's state, read back from its files and its monitor; also by a process that did not create it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SandboxLostError, SystemCallError
from pytest_pods.engine.records import ContainerState
from pytest_pods.engine.state.atomic import find_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.state.layout import ContainerLayout

LOST_EXIT_CODE = 137


def read_state(layout: ContainerLayout, sandbox: Sandbox) -> ContainerState:
    """The state now. A container whose monitor was killed is ended here, because nobody would notice its end."""
    if sandbox.lost is not None:
        return _build_lost(layout, sandbox)
    state = read_written_state(layout)
    if state.exit_code is not None or state.monitor_pid is None:
        return state
    try:
        if sandbox.runs(state.monitor_pid, "conmon"):
            return state
    except SandboxLostError:
        # It may only be this process that has left the session: of the monitor that tells nothing.
        return _build_lost(layout, sandbox)
    code = read_exit_code(layout)
    if code is None:
        code = _end_unmonitored(layout, sandbox)
    return _build_ended(layout, code, _find_text(layout.fault_file))


def read_written_state(layout: ContainerLayout) -> ContainerState:
    """The state as files have it: fast, and of a container whose monitor was killed not true any more."""
    code = read_exit_code(layout)
    if code is not None:
        return _build_ended(layout, code, _find_text(layout.fault_file))
    monitor = find_number(layout.monitor_pid_file)
    if monitor is None:
        return ContainerState("created")
    started = _find_time(layout.started_file)
    pid = find_number(layout.pid_file)
    if started is None:
        return ContainerState("created", container_pid=pid, monitor_pid=monitor)
    paused = layout.paused_file.exists()
    return ContainerState("paused" if paused else "running", container_pid=pid, monitor_pid=monitor, started_at=started)


def read_exit_code(layout: ContainerLayout) -> int | None:
    """What conmon wrote when the container ended: 128+n for signal n. None before the end."""
    return find_number(layout.exit_file)


def find_number(path: Path) -> int | None:
    """The number in a small file of ours, None where there is none yet."""
    text = _find_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _find_text(path: Path) -> str | None:
    try:
        content = find_bytes(path)
    except OSError:
        return None
    return None if content is None else content.decode("utf-8", "replace").strip()


def _find_time(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def _build_ended(layout: ContainerLayout, code: int, fault: str | None) -> ContainerState:
    return ContainerState(
        "exited",
        exit_code=code,
        started_at=_find_time(layout.started_file),
        finished_at=_find_time(layout.exit_file),
        oom_killed=layout.oom_file.exists(),
        fault=fault,
    )


def _build_lost(layout: ContainerLayout, sandbox: Sandbox) -> ContainerState:
    return _build_ended(layout, LOST_EXIT_CODE, f"the session's sandbox is gone: {sandbox.lost}")


def _end_unmonitored(layout: ContainerLayout, sandbox: Sandbox) -> int:
    pid = find_number(layout.pid_file)
    if pid is not None:
        with suppress(SystemCallError, SandboxLostError):
            sandbox.signal(pid, 9)
    new = layout.exit_file.with_name("unmonitored")
    # Its files may be going: somebody removes it.
    with suppress(FileNotFoundError):
        layout.fault_file.write_text("its monitor (conmon) ended before it; the container was killed\n")
        new.write_text(str(LOST_EXIT_CODE))
        new.rename(layout.exit_file)
    return LOST_EXIT_CODE
