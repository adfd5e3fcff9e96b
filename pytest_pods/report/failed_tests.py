"""Tests that failed because of containers, found on the reports that xdist, too, brings to where the run ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    import pytest

PROBLEMS: Final = "pods_problems"
"""The attribute of a report: for each problem the container, its image, and what went wrong, as plain texts."""


@frozen
class Problem:
    """`container` is empty where none was made, `what` says what went wrong with it."""

    container: str
    image: str
    what: str

    @property
    def title(self) -> str:
        return f"container {self.container}" if self.container else "containers"


@frozen
class FailedTest:
    """A test that failed because of containers; `file` is relative to pytest's root, `line` counts from 1."""

    nodeid: str
    file: str
    line: int | None
    problems: tuple[Problem, ...]


def find_failed_tests(reports: Iterable[pytest.TestReport]) -> list[FailedTest]:
    """Those of the reports that tell of problems, in their order."""
    found = []
    for report in reports:
        problems = tuple(Problem(*texts) for texts in getattr(report, PROBLEMS, ()))
        if problems:
            file, line, _ = report.location
            found.append(FailedTest(report.nodeid, file, None if line is None else line + 1, problems))
    return found
