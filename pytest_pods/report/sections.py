"""The sections of a test's report on its containers: what each is, and all of them with the test on one clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from pytest_pods.frozen import frozen
from pytest_pods.report.looks import build_labels
from pytest_pods.report.states import describe_container
from pytest_pods.report.timeline import Moment, build_container_moments, build_timeline, colour_timeline, paint

if TYPE_CHECKING:
    from pytest_pods.report.looks import Look

STATES_TITLE: Final = "pods: containers of this test"
ARTIFACTS_TITLE: Final = "pods: artifacts of this test"
LOG_KEY: Final = "log of containers"
TIMELINE_TITLE: Final = f"Captured {LOG_KEY}: timeline of this test"
"""As pytest's own log sections begin: those are what --show-capture=log shows and JUnit files take."""


@frozen
class Section:
    """A titled text of a test report."""

    title: str
    text: str


def build_sections(looks: Sequence[Look], phases: Iterable[Moment], *, with_logs: bool) -> list[Section]:
    """Nothing for a test that has no container."""
    if not looks:
        return []
    labels = build_labels(looks)
    # Of many containers, those that have ended with a failure are what one looks for.
    in_order = sorted(looks, key=lambda look: not look.failed)
    lines = [line for look in in_order for line in describe_container(look, labels[look.id])]
    sections = [Section(STATES_TITLE, "\n".join(lines))]
    if with_logs:
        moments = [*phases, *(moment for look in looks for moment in build_container_moments(look, labels[look.id]))]
        sections.append(Section(TIMELINE_TITLE, "\n".join(build_timeline(moments))))
    return sections


def build_artifact_sections(told: str) -> list[Section]:
    """Where what stays of the test is; none if nothing does."""
    return [Section(ARTIFACTS_TITLE, told)] if told else []


def colour_sections(sections: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The sections of a report for a terminal; those of others stay as they are."""
    return [(title, _colour(title, text)) for title, text in sections]


def _colour(title: str, text: str) -> str:
    if title == STATES_TITLE:
        return _colour_states(text)
    return colour_timeline(text) if title.startswith(f"Captured {LOG_KEY}") else text


def _colour_states(text: str) -> str:
    return "\n".join(line if line.startswith("    ") else _colour_headline(line) for line in text.split("\n"))


def _colour_headline(line: str) -> str:
    label, separator, status = line.partition(": ")
    bad = status.startswith("exited") and not status.startswith("exited with exit code 0")
    return f"{paint(label, '1')}{separator}{paint(status, '31') if bad else status}"
