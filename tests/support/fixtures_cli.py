"""The real command line as a process of its own, on pipes or on a pseudo-terminal, with a store that has an image."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_pods import settings
from pytest_pods.engine.api import Engine
from pytest_pods.engine.host.pipes import wait_readable
from pytest_pods.engine.host.terminals import Terminal
from tests.support.leaks import HostState, find_leaks, wait_until_clean

_REPOSITORY = Path(__file__).parents[2]
_PATIENCE_S = 60.0


class CommandLine:
    """Runs `pytest-pods` on one store."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self.environment = dict(environment)

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pytest_pods", *arguments]

    def __call__(
        self, *arguments: str, stdin: bytes | str | None = None, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        given = stdin.decode() if isinstance(stdin, bytes) else stdin
        return subprocess.run(
            self.argv(*arguments),
            env={**self.environment, **environment},
            input="" if given is None else given,
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=_PATIENCE_S,
            check=False,
        )

    def ok(self, *arguments: str, **options: Any) -> str:
        """Runs a command that has to succeed; what it printed, without white space around it."""
        done = self(*arguments, **options)
        assert done.returncode == 0, f"{arguments}: exit code {done.returncode}\n{done.stderr}"
        return done.stdout.strip()

    def await_output(self, expected: str, *arguments: str) -> None:
        """Repeats a command until it prints that."""
        end = time.monotonic() + _PATIENCE_S
        while (printed := self.ok(*arguments)) != expected:
            assert time.monotonic() < end, f"{arguments}: {printed!r}, not {expected!r}"

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments))

    @contextmanager
    def process(self, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A command that runs while the block does; killed at its end."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(self.argv(*arguments), env=self.environment, **options)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    @contextmanager
    def terminal(self, *arguments: str, rows: int = 24, columns: int = 80) -> Iterator[Typist]:
        """A command on a pseudo-terminal that is its controlling one."""
        with run_on_terminal(self.argv(*arguments), self.environment, rows=rows, columns=columns) as typist:
            yield typist


@contextmanager
def run_on_terminal(
    argv: Sequence[str], environment: Mapping[str, str], *, rows: int = 24, columns: int = 80
) -> Iterator[Typist]:
    """A program on a pseudo-terminal that is its controlling one; killed at the end of the block."""
    with Terminal(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)) as terminal:
        terminal.resize(rows=rows, columns=columns)
        # The leader of a process session gets the first terminal that it opens as its controlling one.
        script = 'exec 0<>"$0" 1>&0 2>&0; exec "$@"'
        process = subprocess.Popen(
            ["/bin/sh", "-c", script, os.ttyname(terminal.inner), *argv],
            env={**environment, "TERM": "xterm"},
            start_new_session=True,
        )
        try:
            yield Typist(terminal, process)
        finally:
            process.kill()
            process.wait()


class Typist:
    """Types on a terminal and reads its screen."""

    def __init__(self, terminal: Terminal, process: subprocess.Popen[bytes]) -> None:
        self.terminal = terminal
        self.process = process
        self.seen = ""
        self.text = ""
        """Everything that was read so far."""

    def _read(self) -> None:
        text = os.read(self.terminal.outer, 65536).decode("utf-8", "replace")
        self.seen += text
        self.text += text

    def type(self, text: str) -> None:
        os.write(self.terminal.outer, text.encode())

    def expect(self, pattern: str) -> re.Match[str]:
        """Waits until something appears that was not awaited before."""
        end = time.monotonic() + _PATIENCE_S
        while not (match := re.search(pattern, self.seen)):
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} did not appear in {self.seen!r}"
            if wait_readable(self.terminal.outer, left):
                self._read()
        self.seen = self.seen[match.end() :]
        return match

    def wait(self) -> int:
        """The exit code; what is printed meanwhile is read."""
        pidfd = os.pidfd_open(self.process.pid)
        try:
            end = time.monotonic() + _PATIENCE_S
            while not wait_readable(pidfd, 0):
                assert time.monotonic() < end, f"the command does not end: {self.seen!r}"
                if wait_readable(self.terminal.outer, 0.02):
                    self._read()
        finally:
            os.close(pidfd)
        while wait_readable(self.terminal.outer, 0):
            self._read()
        return self.process.wait()


def build_environment(root: Path) -> dict[str, str]:
    """What the command line gets: none of the settings of whoever runs the tests."""
    ours = {settings.variable_name(name) for name in settings.setting_names()}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "PYTHONPATH": str(_REPOSITORY), "PYTEST_PODS_ROOT": str(root)}


def find_references(root: Path) -> set[str]:
    """What the images of a store are called."""
    with Engine.open(root=root) as engine:
        return {reference for image in engine.images() for reference in image.references}


@pytest.fixture
def cli(image_store: Path) -> Iterator[CommandLine]:
    """The command line on the store with the image; all its containers go with the test, and nothing else is left."""
    before, references = HostState.take(), find_references(image_store)
    line = CommandLine(image_store, build_environment(image_store))
    yield line
    line.ok("sessions", "end", "--all")
    # What outlives a session, on a store that the tests of a run share.
    line.ok("volume", "rm", "--all", "--force")
    line.ok("network", "prune", "--force")
    if loaded := find_references(image_store) - references:
        line.ok("rmi", *loaded)
    left = wait_until_clean(lambda: find_leaks(before, image_store), patience_s=3.0)
    assert left == []
