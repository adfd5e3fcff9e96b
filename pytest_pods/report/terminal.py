"""The end of a run on the terminal: one summary line, what was kept and how to look at it, faults of the clean-up."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_pods.report.outcome import KeptContainer, Outcome
    from pytest_pods.settings import Settings

_NAMES_SHOWN = 5


def write_summary(reporter: pytest.TerminalReporter, outcome: Outcome, settings: Settings) -> None:
    """Writes what there is to say; nothing for a run that made no container and pulled no image."""
    if outcome.kept:
        reporter.section("kept containers", sep="-")
        for kept in build_kept_lines(outcome, settings):
            reporter.write_line(kept)
    if outcome.faults:
        reporter.section("faults while containers were removed", sep="-", red=True)
        for fault in outcome.faults:
            reporter.write_line(fault)
    for name in outcome.unused_images:
        reporter.write_line(f"pods: no test asked for {name}, which --pods-image replaces", yellow=True)
    line = build_summary_line(outcome)
    if line is not None:
        reporter.write_line(line, yellow=bool(outcome.left), red=bool(outcome.faults))


def build_summary_line(outcome: Outcome) -> str | None:
    """`pods: 12 containers, 2 images pulled, 1 kept`; what is zero is left out."""
    if not outcome.containers and not outcome.images_pulled and not outcome.faults:
        return None
    parts = [_count(outcome.containers, "container")]
    if outcome.images_pulled:
        parts.append(f"{_count(outcome.images_pulled, 'image')} pulled")
    if outcome.kept:
        parts.append(f"{len(outcome.kept)} kept")
    if outcome.left:
        names = ", ".join(outcome.left[:_NAMES_SHOWN]) + (", …" if len(outcome.left) > _NAMES_SHOWN else "")
        parts.append(f"{len(outcome.left)} not removed by its test but with the session ({names})")
    if outcome.faults:
        parts.append(_count(len(outcome.faults), "fault") + " while removing")
    return "pods: " + ", ".join(parts)


def build_kept_lines(outcome: Outcome, settings: Settings) -> list[str]:
    """For each kept container what it is and the one command to look at it; at the end, until when."""
    root = ["--root", str(settings.root)] if settings.root is not None else []
    lines = []
    for kept in outcome.kept:
        lines.append(f"{kept.name} ({kept.image}, {kept.status}) of {kept.nodeid}")
        lines.append(f"    {shlex.join(_look_command(kept, root))}")
    until = min(kept.until for kept in outcome.kept)
    lines.append(f"until {time.strftime('%H:%M:%S', time.localtime(until))} (--pods-keep-for); earlier:")
    lines += [
        f"    {shlex.join(['pytest-pods', *root, 'sessions', 'end', session_id])}"
        for session_id in dict.fromkeys(kept.session_id for kept in outcome.kept)
    ]
    return lines


def _look_command(kept: KeptContainer, root: list[str]) -> list[str]:
    # Nothing can be entered that has ended.
    verb = "shell" if kept.status == "running" else "logs"
    return ["pytest-pods", *root, verb, kept.name]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
