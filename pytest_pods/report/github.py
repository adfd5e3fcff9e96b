"""What GitHub's runners understand: annotations by workflow commands, and the summary of a job in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_pods.report.failed_tests import FailedTest


def build_annotations(test: FailedTest, *, root: Path, workspace: Path | None) -> list[str]:
    """A workflow command for each problem of a test; it has to be written at the beginning of a line."""
    place = {"file": find_file(test.file, root=root, workspace=workspace)}
    if test.line is not None:
        place["line"] = str(test.line)
    commands = []
    for problem in test.problems:
        image = f" ({problem.image})" if problem.image else ""
        properties = {**place, "title": f"{problem.title}{image}"}
        written = ",".join(f"{name}={escape_property(value)}" for name, value in properties.items())
        commands.append(f"::error {written}::{escape_data(f'{test.nodeid}: {problem.what}')}")
    return commands


def find_file(file: str, *, root: Path, workspace: Path | None) -> str:
    """The path as GitHub looks for it: from the checkout's directory."""
    path = root / file
    if workspace is not None:
        try:
            return PurePosixPath(path.resolve().relative_to(workspace.resolve())).as_posix()
        except (ValueError, OSError):
            # Not of this checkout: GitHub shows the annotation without a place.
            return str(path)
    return file


def escape_data(text: str) -> str:
    """A command's message: only what would end it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """A property's value: also what would end that."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def build_job_summary(line: str, tests: Sequence[FailedTest]) -> str:
    """Markdown: the run's line, and a table of what went wrong with containers."""
    lines = ["### Containers", "", escape_markdown(line.removeprefix("pods: "))]
    rows = [(test.nodeid, problem) for test in tests for problem in test.problems]
    if rows:
        lines += ["", "| test | container | image | what happened |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {' | '.join(map(escape_markdown, (nodeid, problem.container, problem.image, problem.what)))} |"
            for nodeid, problem in rows
        ]
    return "\n".join(lines) + "\n"


_MARKDOWN = frozenset("\\`*_{}[]<>()#+!|~&")


def escape_markdown(text: str) -> str:
    """The text on one line, without any effect of its characters."""
    return "".join(f"\\{one}" if one in _MARKDOWN else one for one in " ".join(text.split()))


def append_job_summary(file: Path, text: str) -> str:
    """Adds to the summary of the job's step; what went wrong, if anything did."""
    try:
        with file.open("a", encoding="utf-8") as summary:
            summary.write(text)
    except OSError as error:
        return f"the job's summary {file} cannot be written: {error.strerror}"
    return ""
