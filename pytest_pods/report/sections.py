"""The section of a failing test on one container: its state, its ports, and what it logged during this test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.records import ContainerState
    from pytest_pods.engine.runtime.logs import LogLine, LogPosition

_LINES = 100


_LINES_OF_BEFORE = 20


@dataclass(frozen=True, slots=True)
class Section:
    """A titled text of a test report; `failed` if its container has ended with a failure."""

    title: str
    text: str
    failed: bool = False


def order_sections(sections: Iterable[Section]) -> list[Section]:
    """Containers that have ended with a failure first: of many they are what one looks for."""
    return sorted(sections, key=lambda section: not section.failed)


def build_section(container: Container, *, fixture: str, since: LogPosition | None) -> Section:
    """Never raises: a container that cannot be asked is a reason to show the failure, not to hide it."""
    title = f"pods: {fixture}, container {container.name} ({container.image})"
    try:
        state = container.state()
        lines = list(container.log_lines(since=since))
        text = [*describe_state(container, state), *describe_log(lines)]
        if _has_failed(state) and not lines:
            text += describe_end_of_log(container.log_lines(tail=_LINES_OF_BEFORE))
        return Section(title, "\n".join(text), _has_failed(state))
    except Exception as error:
        return Section(title, f"its state cannot be read: {type(error).__name__}: {error}")


def _has_failed(state: ContainerState) -> bool:
    return bool(state.exit_code) and not state.running


def describe_state(container: Container, state: ContainerState) -> list[str]:
    """Lines on what the container does now, and where it was published."""
    lines = [_describe_status(state)]
    if state.health is not None:
        lines.append(f"health: {state.health.describe()}")
    if state.fault:
        lines.append(f"fault: {state.fault}")
    if container.ports:
        ports = ", ".join(f"{name} on {host}:{number}" for name, (host, number) in container.ports.items())
        lines.append(f"ports: {ports}")
    return lines


def _describe_status(state: ContainerState) -> str:
    if state.status != "exited":
        since = f" since {state.started_at.astimezone():%H:%M:%S}" if state.started_at and state.running else ""
        return f"{state.status}{since}"
    memory = ", out of memory" if state.oom_killed else ""
    return f"exited with exit code {state.exit_code}{memory}{_describe_life(state)}"


def _describe_life(state: ContainerState) -> str:
    if state.started_at is None or state.finished_at is None:
        return ""
    seconds = max(0.0, (state.finished_at - state.started_at).total_seconds())
    again = ", to be started again" if state.restarting else ""
    return f" at {state.finished_at.astimezone():%H:%M:%S}, {seconds:.1f} s after its start{again}"


def describe_log(lines: Iterable[LogLine]) -> list[str]:
    """The last lines, with their time; those of stderr are told apart."""
    every = list(lines)
    if not every:
        return ["it logged nothing during this test"]
    shown = every[-_LINES:]
    omitted = f", the last {_LINES} of {len(every)} lines" if len(every) > _LINES else ""
    return [f"its log during this test{omitted}:", *(describe_log_line(line) for line in shown)]


def describe_end_of_log(lines: Iterable[LogLine]) -> list[str]:
    """What one that had failed before the test said last."""
    shown = [describe_log_line(line) for line in lines]
    return ["its log ended before this test:", *shown] if shown else []


def describe_log_line(line: LogLine) -> str:
    moment = line.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
    mark = "!" if line.stream == "stderr" else "|"
    return f"  {moment} {mark} {line.text}"
