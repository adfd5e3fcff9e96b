"""What went wrong with containers in a failing test, for those who look at the run from afar: one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_pods.engine.events import ContainerEventKind
from pytest_pods.report.failed_tests import Problem
from pytest_pods.report.looks import build_labels
from pytest_pods.report.states import describe_end
from pytest_pods.report.texts import show, show_first_line

if TYPE_CHECKING:
    from pytest_pods.report.looks import Look

_ENDED_ON_PURPOSE = frozenset({ContainerEventKind.STOPPED, ContainerEventKind.KILLED})


def find_problems(looks: Sequence[Look], *, error: str = "") -> list[Problem]:
    """Containers that did not start or get ready, that ended with a failure while nobody ended them, or that ran out of
    memory; `error` is the engine's own, if the test failed with one, and counts where no container explains it."""
    labels = build_labels(looks)
    found = [
        Problem(labels[look.id], show(look.record.image), what) for look in looks if (what := _find_fault(look))
    ]
    if not found and error:
        found = [Problem("", "", show_first_line(error))]
    return found


def _find_fault(look: Look) -> str:
    state, events = look.state, look.events
    never = next((event for event in reversed(events) if event.kind is ContainerEventKind.NOT_READY), None)
    if state is not None and state.oom_killed:
        return describe_end(look.record, state) if state.status == "exited" else "ran out of memory"
    if state is not None and state.status == "exited" and state.exit_code:
        if any(event.kind in _ENDED_ON_PURPOSE for event in events):
            return ""
        awaited = f" while {show(never.text)} was awaited" if never else ""
        fault = f": {show_first_line(state.fault)}" if state.fault else ""
        return f"{describe_end(look.record, state)}{awaited}{fault}"
    if never is not None:
        return f"not ready after {never.took_s:.1f} s: {show(never.text)}"
    if state is not None and state.health is not None and state.health.status == "unhealthy":
        return show_first_line(state.health.describe())
    return show_first_line(look.error)
