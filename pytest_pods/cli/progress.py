"""The progress of a pull or load on stderr: bars that are redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass

from pytest_pods.cli.formats import format_size
from pytest_pods.cli.output import printable
from pytest_pods.engine.events import NoProgress, Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_REDRAW_S = 0.1
_BAR_WIDTH = 30


def choose_progress(*, quiet: bool, stream: TextIO | None = None) -> Progress:
    """Nothing when quiet, bars on a terminal, lines elsewhere."""
    stream = sys.stderr if stream is None else stream
    if quiet:
        return NoProgress()
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return BarProgress(stream)
    return LineProgress(stream)


class LineProgress:
    """A line when a piece begins and one when it is done; made for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}

    def started(self, key: str, total: int | None, what: str) -> None:
        with self._lock:
            self._names[key] = what
            self._print(f"{what}: {format_size(total)}" if total else what)

    def advanced(self, key: str, amount: int) -> None: ...

    def finished(self, key: str, note: str = "") -> None:
        with self._lock:
            self._print(f"{self._names.pop(key, key)}: {note or 'done'}")

    def message(self, text: str) -> None:
        with self._lock:
            self._print(text)

    def _print(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)


@dataclass(slots=True)
class Piece:
    """One bar."""

    what: str
    total: int | None
    began: float
    done: int = 0
    note: str | None = None


class BarProgress:
    """A bar for each piece, redrawn in place at most ten times a second, by whichever thread has news."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._pieces: dict[str, Piece] = {}
        self._drawn = 0
        self._last = 0.0

    def started(self, key: str, total: int | None, what: str) -> None:
        with self._lock:
            self._pieces[key] = Piece(what, total, time.monotonic())
            self._draw()

    def advanced(self, key: str, amount: int) -> None:
        with self._lock:
            if piece := self._pieces.get(key):
                piece.done += amount
            if time.monotonic() - self._last >= _REDRAW_S:
                self._draw()

    def finished(self, key: str, note: str = "") -> None:
        with self._lock:
            if piece := self._pieces.get(key):
                piece.note = note or "done"
            self._draw()
            if all(piece.note is not None for piece in self._pieces.values()):
                # What is complete stays on the screen; the next pieces are drawn below it.
                self._pieces.clear()
                self._drawn = 0

    def message(self, text: str) -> None:
        with self._lock:
            self._erase()
            self._stream.write(printable(text) + "\n")
            self._draw()

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(f"\033[{self._drawn}F\033[J")
            self._drawn = 0

    def _draw(self) -> None:
        self._last = time.monotonic()
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            size = os.terminal_size((80, 24))
        lines = build_bars(list(self._pieces.values()), self._last, columns=size.columns, rows=size.lines)
        self._erase()
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._drawn = len(lines)


def build_bars(pieces: list[Piece], now: float, *, columns: int, rows: int) -> list[str]:
    """The lines of the bars, at most as many as fit: of too many, those that are done give way first."""
    room = max(1, rows - 2)
    shown = pieces
    if len(pieces) > room:
        unfinished = [piece for piece in pieces if piece.note is None]
        shown = (unfinished or pieces)[-room:]
    name_width = min(max((len(piece.what) for piece in shown), default=0), max(8, columns // 3))
    return [_build_bar(piece, now, name_width=name_width)[: max(1, columns - 1)] for piece in shown]


def _build_bar(piece: Piece, now: float, *, name_width: int) -> str:
    name = printable(piece.what)
    name = name if len(name) <= name_width else name[: name_width - 1] + "…"
    left = f"{name:<{name_width}} "
    size = format_size(piece.total) if piece.total else ""
    if piece.note is not None:
        return f"{left}{piece.note}{f' ({size})' if size else ''}"
    rate = piece.done / (now - piece.began) if now - piece.began > 0.5 else 0.0
    speed = f"  {format_size(rate)}/s" if rate else ""
    if not piece.total:
        return f"{left}{format_size(piece.done)}{speed}"
    share = min(1.0, piece.done / piece.total)
    filled = int(share * _BAR_WIDTH)
    bar = "#" * filled + "-" * (_BAR_WIDTH - filled)
    return f"{left}[{bar}] {share:4.0%} {format_size(piece.done)}/{size}{speed}"
