"""The caller's terminal: raw while a container has it, its size passed on, given back as it was on every way out."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

PASSED_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGALRM,
    signal.SIGWINCH,
)
"""What reaches the command line and is meant for the container. SIGTSTP and its kin stay the shell's."""


def is_terminal(descriptor: int) -> bool:
    """False also for a closed descriptor."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def find_size(descriptor: int = 0) -> tuple[int, int] | None:
    """Rows and columns of a terminal, None if it is none or does not know."""
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        return None
    return (rows, columns) if rows and columns else None


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Passes keys on as they are; restores the terminal whatever happens. Does nothing with what is no terminal."""
    if not is_terminal(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        yield
    finally:
        # Python's handlers run here too: SIGTERM arrives as an exception and finds the terminal restored.
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class SignalQueue:
    """Signals of a `with` block, kept until somebody takes them; readable (`fileno`) while there are any.

    Handlers run between any two lines of Python, where a call into the engine would meet its own locks.
    """

    def __init__(self, numbers: Sequence[signal.Signals] = PASSED_SIGNALS) -> None:
        self._numbers = numbers
        self._before: dict[signal.Signals, object] = {}
        self._pending: list[signal.Signals] = []
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> SignalQueue:
        for number in self._numbers:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._reading)
        os.close(self._writing)

    def _note(self, number: int, _frame: object) -> None:
        self._pending.append(signal.Signals(number))
        with suppress(BlockingIOError):
            os.write(self._writing, b"!")

    def fileno(self) -> int:
        return self._reading

    def take(self) -> list[signal.Signals]:
        """The signals since the last time."""
        with suppress(BlockingIOError):
            os.read(self._reading, 4096)
        taken = self._pending[:]
        del self._pending[: len(taken)]
        return taken


def warn_without_terminal(*, tty_wanted: bool, interactive: bool) -> None:
    """`-t` where the input is a pipe works, but surprises: say so once."""
    if tty_wanted and interactive and not is_terminal(0) and sys.stderr is not None:
        from pytest_pods.cli.output import print_warning

        print_warning("the input is not a terminal: with -t its end is passed on as ctrl-d")

