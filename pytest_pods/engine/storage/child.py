"""Runs the child program of `storage.unpack` and reads its report."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import (
    ConflictError,
    DiskFullError,
    InvalidDocumentError,
    PodsError,
    SizeMismatchError,
    StorageError,
    UnsafeEntryError,
    UnsupportedHostError,
)
from pytest_pods.engine.host.pipes import Pipe
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_pods.engine.host.process import Launcher, Process

# Isolated and without site: half the start-up time, and nothing that a user configured runs as root in the sandbox.
_CODE = """\
import sys
sys.path.append(sys.argv.pop(1))
from pytest_pods.engine.storage.unpack.program import main
main()
"""
_MOST_REPORT = 1024 * 1024


class ReaderGoneError(StorageError):
    """Whoever read what the child wrote has stopped before the end; that one knows why."""


_ERRORS: dict[str, type[PodsError]] = {
    "unsafe": UnsafeEntryError,
    "document": InvalidDocumentError,
    "size": SizeMismatchError,
    "full": DiskFullError,
    "host": UnsupportedHostError,
    "occupied": ConflictError,
    "pipe": ReaderGoneError,
}
_HINTS = {"full": "free space where the store is, or put the store elsewhere with --pods-root"}


@frozen
class Report:
    """What the child said: lines of a key and its value."""

    doing: str
    lines: tuple[tuple[str, str], ...]

    def find(self, key: str) -> str | None:
        return next((value for name, value in self.lines if name == key), None)

    def expect(self, key: str) -> str:
        value = self.find(key)
        if value is None:
            raise StorageError(f"{self.doing}: the child process reported no {key}")
        return value

    def number(self, key: str) -> int:
        text = self.expect(key)
        if not text.isdigit():
            raise StorageError(f"{self.doing}: the child process reported the {key} {text!r}")
        return int(text)

    def all(self, key: str) -> tuple[str, ...]:
        return tuple(value for name, value in self.lines if name == key)


@frozen
class Child:
    """The running child; `report` has its answer, `complaint` what it says if it breaks."""

    process: Process
    report: Pipe
    complaint: Pipe
    doing: str

    def get_report(self) -> Report:
        """Waits for the end. Raises what the child refused, and StorageError if it broke."""
        content = _read_all(self.report.reading)
        complaint = _read_all(self.complaint.reading)
        status = self.process.wait()
        if status != 0:
            tail = complaint.decode("utf-8", "replace").strip()[-2000:]
            raise StorageError(
                f"{self.doing}: the child process ended with status {status} and no report", details=tail or None
            )
        lines = tuple((key, value) for key, _, value in (x.partition(" ") for x in content.decode().splitlines()))
        report = Report(self.doing, lines)
        if refused := report.find("refused"):
            kind, _, text = refused.partition(" ")
            raise _ERRORS.get(kind, StorageError)(f"{self.doing}: {text}", hint=_HINTS.get(kind))
        return report

    def end(self) -> None:
        """Kills it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def start_child(
    launcher: Launcher,
    arguments: Sequence[str],
    *,
    doing: str,
    report: Pipe,
    complaint: Pipe,
    stream: int | None = None,
    given: int | None = None,
) -> Child:
    """Starts the program with `stream` as what it reads or writes and `given` as what it is about; the pipes stay the
    caller's to close."""
    descriptors = {1: report.writing, 2: complaint.writing}
    if given is not None:
        descriptors[3] = given
    if stream is not None:
        descriptors[0] = stream
    package_root = Path(__file__).resolve().parents[3]
    argv = [sys.executable, "-I", "-S", "-c", _CODE, str(package_root), *arguments]
    process = launcher.spawn(argv, env={"LC_ALL": "C.UTF-8"}, descriptors=descriptors)
    report.close_writing()
    complaint.close_writing()
    return Child(process, report, complaint, doing)


def run_child(launcher: Launcher, arguments: Sequence[str], *, doing: str) -> Report:
    """Runs the program without a stream. Raises as `Child.get_report`."""
    with Pipe() as report, Pipe() as complaint:
        return start_child(launcher, arguments, doing=doing, report=report, complaint=complaint).get_report()


def _read_all(descriptor: int) -> bytes:
    content = b""
    while len(content) < _MOST_REPORT and (chunk := os.read(descriptor, 65536)):
        content += chunk
    return content
