"""The end of a run on the terminal: one summary line, what was kept and how to look at it, faults of the clean-up."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import pytest

from pytest_pods.report.texts import count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_pods.report.outcome import KeptContainer, Outcome
    from pytest_pods.settings import GitHub, Settings

_NAMES_SHOWN = 5


def write_summary(reporter: pytest.TerminalReporter, outcome: Outcome, settings: Settings) -> None:
    """Writes what there is to say; nothing for a run that made no container and pulled no image."""
    if settings.durations is not None and outcome.durations:
        from pytest_pods.report.durations import build_table, build_title

        reporter.write_sep("=", build_title(outcome.durations, settings.durations))
        for row in build_table(outcome.durations, settings.durations):
            reporter.write_line(row)
    if outcome.kept:
        reporter.write_sep("-", "kept containers")
        for kept in build_kept_lines(outcome, settings):
            reporter.write_line(kept)
    if outcome.faults:
        reporter.write_sep("-", "faults while containers were removed", red=True)
        for fault in outcome.faults:
            reporter.write_line(fault)
    for name in outcome.unused_images or ():
        reporter.write_line(f"pods: no test asked for {name}, which --pods-image replaces", yellow=True)
    line = build_summary_line(outcome)
    if line is not None:
        reporter.write_line(line, yellow=bool(outcome.left), red=bool(outcome.faults))


def colour_reports(reporter: pytest.TerminalReporter) -> Callable[[], None]:
    """Colours our sections of the reports that are about to be shown; what it returns takes that back, since the
    reports are others' too. Does nothing where there are no colours."""
    if not reporter.hasmarkup:
        return lambda: None
    from pytest_pods.report.sections import colour_sections

    before = [(report, report.sections) for report in _find_reports(reporter) if report.sections]
    for report, sections in before:
        report.sections = colour_sections(sections)

    def restore() -> None:
        for report, sections in before:
            report.sections = sections

    return restore


def _find_reports(reporter: pytest.TerminalReporter) -> list[pytest.TestReport]:
    return [one for reports in reporter.stats.values() for one in reports if isinstance(one, pytest.TestReport)]


def write_for_github(reporter: pytest.TerminalReporter, outcome: Outcome, github: GitHub) -> None:
    """Annotations of tests that failed because of containers, and a part of the job's summary."""
    from pytest_pods.report.failed_tests import find_failed_tests
    from pytest_pods.report.github import append_job_summary, build_annotations, build_job_summary

    reports = [report for kind in ("error", "failed") for report in reporter.stats.get(kind, ())]
    tests = find_failed_tests(one for one in reports if isinstance(one, pytest.TestReport))
    for test in tests:
        for command in build_annotations(test, root=reporter.config.rootpath, workspace=github.workspace):
            reporter.write_line(command)
    line = build_summary_line(outcome)
    if github.step_summary is not None and line is not None:
        fault = append_job_summary(github.step_summary, build_job_summary(line, tests))
        if fault:
            reporter.write_line(f"pods: {fault}", yellow=True)


def build_summary_line(outcome: Outcome) -> str | None:
    """`pods: 12 containers, 2 images pulled, 1 kept`; what is zero is left out."""
    if not (outcome.containers or outcome.images_pulled or outcome.reused or outcome.faults):
        return None
    parts = [count(outcome.containers, "container")]
    if outcome.images_pulled:
        parts.append(f"{count(outcome.images_pulled, 'image')} pulled")
    if outcome.reused:
        parts.append(f"{outcome.reused} reused")
    if outcome.kept:
        parts.append(f"{len(outcome.kept)} kept")
    if outcome.left:
        names = ", ".join(outcome.left[:_NAMES_SHOWN]) + (", …" if len(outcome.left) > _NAMES_SHOWN else "")
        parts.append(f"{len(outcome.left)} not removed by its test but with the session ({names})")
    if outcome.faults:
        parts.append(count(len(outcome.faults), "fault") + " while removing")
    return "pods: " + ", ".join(parts)


def build_kept_lines(outcome: Outcome, settings: Settings) -> list[str]:
    """For each kept container, or pod, what it is and the one command to look at it; at the end, until when."""
    things: dict[tuple[str, str], list[KeptContainer]] = {}
    for kept in outcome.kept:
        things.setdefault((kept.session_id, kept.pod or kept.name), []).append(kept)
    lines = []
    for (_, name), members in things.items():
        lines.append(_describe_kept(name, members))
        running = any(one.status == "running" for one in members)
        words = ("pod",) if members[0].pod and not running else ()
        lines.append(f"    {_build_command(*words, _verb(running=running), name, root=settings.root)}")
    until = min(kept.until for kept in outcome.kept)
    lines.append(f"until {time.strftime('%H:%M:%S', time.localtime(until))} (--pods-keep-for); earlier:")
    lines += [
        f"    {_build_command('sessions', 'end', session_id, root=settings.root)}"
        for session_id in dict.fromkeys(kept.session_id for kept in outcome.kept)
    ]
    return lines


def _describe_kept(name: str, members: Sequence[KeptContainer]) -> str:
    """`db (postgres:16, running) of test_it.py::test`, `pod shop (web running; db exited) of …`."""
    first = members[0]
    if not first.pod:
        return f"{name} ({first.image}, {first.status}) of {first.nodeid}"
    names: dict[str, list[str]] = {}
    for one in members:
        names.setdefault(one.status, []).append(one.name.removeprefix(f"{name}-"))
    what = "; ".join(f"{', '.join(those)} {status}" for status, those in names.items())
    return f"pod {name} ({what}) of {first.nodeid}"


def build_look_command(name: str, *, running: bool, root: Path | None) -> str:
    """The command that looks at a kept container."""
    return _build_command(_verb(running=running), name, root=root)


def _verb(*, running: bool) -> str:
    # Nothing can be entered that has ended.
    return "shell" if running else "logs"


def _build_command(*words: str, root: Path | None) -> str:
    options = ["--root", str(root)] if root is not None else []
    return shlex.join(["pytest-pods", *options, *words])
