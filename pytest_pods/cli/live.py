"""Output that is shown again and again: in the same place on a terminal, below each other elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

_CLEAR = "\033[2J"
_HOME = "\033[H"
_ERASE_TO_END_OF_LINE = "\033[K"
_ERASE_BELOW = "\033[J"


def show_repeatedly(print_block: Callable[[], bool], *, interval_s: float, redraw: bool) -> None:
    """Has a block printed every `interval_s` seconds until `print_block` answers False. Ends by Ctrl-C otherwise.

    With `redraw` a block takes the place of the one before, if stdout is a terminal.
    """
    screen = Screen() if redraw and can_redraw() else None
    while True:
        goes_on = print_block() if screen is None else screen.show(print_block)
        if not goes_on:
            return
        time.sleep(interval_s)


def can_redraw() -> bool:
    """Whether stdout is a terminal that knows cursor movements."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Screen:
    """The caller's terminal, whole."""

    def __init__(self) -> None:
        self._cleared = False

    def show(self, print_block: Callable[[], bool]) -> bool:
        """What is printed takes the place of what was shown before, as far as it fits; answers as `print_block`."""
        import contextlib
        import io

        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            answer = print_block()
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            size = os.terminal_size((80, 24))
        frame = build_frame(printed.getvalue(), columns=size.columns, rows=size.lines)
        sys.stdout.write(("" if self._cleared else _CLEAR) + frame)
        sys.stdout.flush()
        self._cleared = True
        return answer


def build_frame(text: str, *, columns: int, rows: int) -> str:
    """The text over what a terminal shows, without a flicker. Pure.

    Lines end at the terminal's edge, as those of top do: one that wraps would push the table out of its place. Of too
    many lines the last ones are counted only.
    """
    lines = text.splitlines()
    room = max(1, rows - 1)
    if len(lines) > room:
        left = len(lines) - (room - 1)
        lines = [*lines[: room - 1], f"… and {left} more"]
    shown = "".join(f"{line[:columns]}{_ERASE_TO_END_OF_LINE}\n" for line in lines)
    return f"{_HOME}{shown}{_ERASE_BELOW}"
