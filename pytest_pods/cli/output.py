"""What the command line prints: tables, documents, errors. Colour only on a terminal, and never with NO_COLOR."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

_RED = "31"
_YELLOW = "33"
_GREEN = "32"
_GAP = 3


def uses_colour(stream: TextIO) -> bool:
    """Whether escape sequences are welcome (no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _paint(text: str, colour: str, stream: TextIO) -> str:
    return f"\033[1;{colour}m{text}\033[0m" if uses_colour(stream) else text


def print_line(text: str = "") -> None:
    """A line of what was asked for, on stdout, at once: a consumer may be waiting for it."""
    print(printable(text), flush=True)


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(printable(line))
    sys.stdout.flush()


def print_json(document: object) -> None:
    """A document for programs."""
    import json

    print(json.dumps(document, indent=2, ensure_ascii=False, default=str), flush=True)


def print_table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], *, colours: dict[str, str] | None = None
) -> None:
    """Columns under headers, as wide as they have to be; a cell in `colours` is painted on a terminal."""
    table = [tuple(headers), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(headers))]
    for row in table:
        cells = []
        for cell, width in zip(row, widths, strict=True):
            colour = (colours or {}).get(cell)
            cells.append((_paint(cell, colour, sys.stdout) if colour else cell) + " " * (width - len(cell) + _GAP))
        print("".join(cells).rstrip())
    sys.stdout.flush()


GOOD, DOUBTFUL, BAD = _GREEN, _YELLOW, _RED


def printable(text: str) -> str:
    """`text` without what would make a terminal do something; an image's author chooses names and labels."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii") for c in text)


def print_error(message: str, *, hint: str | None = None) -> None:
    """`Error: …` and `hint: …` on stderr. Further lines of the message are indented."""
    first, *rest = message.rstrip("\n").split("\n")
    lines = [f"{_paint('Error:', _RED, sys.stderr)} {printable(first)}", *(f"  {printable(line)}" for line in rest)]
    if hint:
        lines.append(f"{_paint('hint:', _GREEN, sys.stderr)} {printable(hint)}")
    print("\n".join(lines), file=sys.stderr, flush=True)


def print_warning(message: str) -> None:
    print(f"{_paint('Warning:', _YELLOW, sys.stderr)} {printable(message)}", file=sys.stderr, flush=True)


def print_note(message: str) -> None:
    """Something about the work, not its result: on stderr."""
    print(printable(message), file=sys.stderr, flush=True)
