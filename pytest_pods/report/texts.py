"""Texts of others, as a report shows them: on one line, of a bearable length, and doing nothing to a terminal."""

from __future__ import annotations

import re

_MOST_CHARACTERS = 400
_SHOWN_BEFORE, _SHOWN_AFTER = 300, 80
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")


def make_harmless(text: str) -> str:
    """Without colours, and with every other character that a terminal would obey, or not show, written out."""
    if text.isprintable():
        return text
    text = _COLOURS.sub("", text).rstrip("\r")
    return "".join(_write_out(character) for character in text)


def _write_out(character: str) -> str:
    if character.isprintable():
        return character
    return "    " if character == "\t" else character.encode("unicode_escape").decode("ascii")


def shorten(text: str, most: int = _MOST_CHARACTERS) -> str:
    """The text, or its beginning and its end, with what was left out counted."""
    if len(text) <= most:
        return text
    before = most * _SHOWN_BEFORE // _MOST_CHARACTERS
    after = most * _SHOWN_AFTER // _MOST_CHARACTERS
    return f"{text[:before]} [… {len(text) - before - after} characters …] {text[len(text) - after :]}"


def show(text: str, most: int = _MOST_CHARACTERS) -> str:
    """Shortened, then made harmless, so that the length of what a container writes costs nothing."""
    return make_harmless(shorten(text, most))


def show_first_line(text: str, most: int = _MOST_CHARACTERS) -> str:
    """The first line that says something."""
    return show(next((line for line in text.splitlines() if line.strip()), ""), most)


def count(number: int, noun: str) -> str:
    """`1 line`, `2 lines`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_bytes(size: float) -> str:
    """`512 KiB`, `16 MiB`, `1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.1f}".removesuffix(".0") + f" {unit}"
        size /= 1024
    raise AssertionError
