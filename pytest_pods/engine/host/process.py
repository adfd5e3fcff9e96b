"""What the engine asks of whatever starts processes for it: the sandbox, or the caller itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Process(Protocol):
    """A process that was started; `pid` counts in the starter's PID namespace."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """The exit status, -n after signal n, None while the process runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit status as `poll`; raises DeadlineExceededError after `timeout` seconds."""

    def kill(self, signal: int = 9) -> None:
        """Sends a signal; nothing happens if the process has ended."""


class Launcher(Protocol):
    """Starts programs with exactly the given environment and descriptors."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        descriptors: Mapping[int, int] | None = None,
    ) -> Process:
        """Executes `argv[0]`, an absolute path.

        `descriptors` maps the number in the new process to an open descriptor of the caller, which stays the caller's
        to close; 0 to 2 are /dev/null where not given. Raises SystemCallError if the program cannot be executed.
        """
