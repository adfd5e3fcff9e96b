"""Frames of what is shown in one place of a terminal."""

from __future__ import annotations

import io

import pytest

from pytest_pods.cli import live
from pytest_pods.cli.live import build_frame, show_repeatedly


def test_frame_covers_what_was_there_and_nothing_wraps_or_scrolls() -> None:
    assert build_frame("ab\nabcdef\n", columns=4, rows=10) == "\033[Hab\033[K\nabcd\033[K\n\033[J"


def test_frame_counts_the_lines_that_do_not_fit() -> None:
    text = "".join(f"{number}\n" for number in range(10))
    lines = build_frame(text, columns=20, rows=5).replace("\033[K", "").splitlines()
    assert lines == ["\033[H0", "1", "2", "… and 7 more", "\033[J"]
    assert build_frame(text, columns=20, rows=11).count("\n") == 10
    assert "and 10 more" in build_frame(text, columns=20, rows=1)


@pytest.mark.parametrize("redraw", [True, False])
def test_blocks_are_printed_until_there_is_none_any_more(redraw: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.StringIO()
    monkeypatch.setattr("sys.stdout", printed)
    answers = [True, True, False]

    def print_block() -> bool:
        print(f"{len(answers)} left")
        return answers.pop(0)

    show_repeatedly(print_block, interval_s=0.001, redraw=redraw)
    # No terminal: nothing is drawn over.
    assert printed.getvalue() == "3 left\n2 left\n1 left\n"


@pytest.mark.parametrize(("term", "expected"), [("xterm", True), ("dumb", False)])
def test_terminal_without_cursor_movements_is_not_drawn_on(
    term: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("TERM", term)
    assert live.can_redraw() is expected
