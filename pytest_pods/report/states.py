"""What a container is at the moment of a failure, in a few lines for people."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from pytest_pods.engine.events import ContainerEventKind
from pytest_pods.report.texts import format_bytes, show, show_first_line

if TYPE_CHECKING:
    from pytest_pods.engine.records import ContainerRecord, ContainerState
    from pytest_pods.report.looks import Look

_SIGNALLED = 128


def describe_container(look: Look, label: str) -> list[str]:
    """A headline, and indented below it what there is to say of the container."""
    record = look.record
    facts = [_describe_identity(look)]
    if record.ports:
        ports = ", ".join(f"{port.key} on {port.host_ip}:{port.host_port}" for port in record.ports)
        facts.append(f"ports: {ports}")
    if look.networks:
        networks = ", ".join(f"{name} ({', '.join(ips)})" if ips else name for name, ips in look.networks)
        facts.append(f"networks: {networks}")
    wait = _describe_wait(look)
    if wait:
        facts.append(f"awaited {wait}")
    if look.state is not None and look.state.health is not None:
        facts.append(f"health: {show(look.state.health.describe())}")
    if look.state is not None and look.state.fault:
        facts.append(f"fault: {show(look.state.fault)}")
    if look.error:
        facts.append(f"error: {show_first_line(look.error)}")
    if look.kept:
        facts.append(f"kept: {look.kept}")
    status = show(look.trouble) if look.state is None else describe_status(record, look.state)
    return [f"{show(label)}: {status}", *(f"    {fact}" for fact in facts)]


def _describe_identity(look: Look) -> str:
    record = look.record
    address = f" at {record.ip}" if record.ip and not look.networks else ""
    pod = f", pod {record.membership.pod_name}" if record.membership is not None else ""
    fixture = f", fixture {look.fixture}" if look.fixture else ""
    return f"container {record.name} ({show(record.image)}){address}{pod}{fixture}"


def _describe_wait(look: Look) -> str:
    for event in reversed(look.events):
        if event.kind is ContainerEventKind.NOT_READY:
            return f"in vain for {event.took_s:.2f} s: {show(event.text)}"
    return ""


def describe_status(record: ContainerRecord, state: ContainerState) -> str:
    """`running since 12:01:02`, `exited with exit code 137 (SIGKILL), out of memory (limit 16 MiB)`."""
    if state.status == "exited":
        text = describe_end(record, state)
        if state.started_at is not None and state.finished_at is not None:
            text += f", {max(0.0, (state.finished_at - state.started_at).total_seconds()):.2f} s after its start"
    elif state.status == "created":
        text = "created, not started"
    else:
        text = state.status
        if state.started_at is not None:
            text += f" since {state.started_at.astimezone():%H:%M:%S}"
        if state.oom_killed:
            text += ", ran out of memory"
    if state.restarts:
        text += f", restarted {state.restarts} times" if state.restarts > 1 else ", restarted once"
    if state.restarting:
        text += ", to be started again"
    return text


def describe_end(record: ContainerRecord, state: ContainerState) -> str:
    """`exited with exit code 137 (SIGKILL), out of memory (limit 16 MiB)`."""
    text = f"exited with exit code {state.exit_code}{_name_signal(state.exit_code)}"
    if state.oom_killed:
        limit = f" (limit {format_bytes(record.spec.memory)})" if record.spec.memory else ""
        text += f", out of memory{limit}"
    return text


def _name_signal(code: int | None) -> str:
    if code is None or code <= _SIGNALLED:
        return ""
    try:
        return f" ({signal.Signals(code - _SIGNALLED).name})"
    except ValueError:
        return ""
