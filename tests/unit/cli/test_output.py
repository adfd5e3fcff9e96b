"""What is printed is aligned, harmless for a terminal, and coloured only where that is wanted."""

from __future__ import annotations

import io

import pytest

from pytest_pods.cli.output import GOOD, print_error, print_table, printable, uses_colour
from pytest_pods.cli.progress import BarProgress, LineProgress, Piece, build_bars, choose_progress
from pytest_pods.engine.events import NoProgress


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no descriptor")


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONG"), [("value", "x"), ("v", "")])
    assert capsys.readouterr().out == "A       LONG\nvalue   x\nv\n"


def test_escape_sequences_of_images_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME",), [("\033[31mred\r\nx",)])
    assert "\033" not in capsys.readouterr().out
    assert printable("a\x1b[0m\tb") == "a\\x1b[0m\tb"
    print_error("bad \033[2J thing\nmore", hint="do \x07 this")
    assert capsys.readouterr().err == "Error: bad \\x1b[2J thing\n  more\nhint: do \\x07 this\n"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_follows_terminal_and_environment(
    environment: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert uses_colour(Screen()) is wanted
    assert not uses_colour(io.StringIO())


def test_coloured_cells_are_aligned_by_what_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_table(("STATE", "X"), [("ok", "1")], colours={"ok": GOOD})
    assert screen.getvalue().splitlines()[1] == "\033[1;32mok\033[0m      1"


def test_progress_is_bars_on_a_terminal_lines_elsewhere_nothing_when_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(choose_progress(quiet=False, stream=Screen()), BarProgress)
    assert isinstance(choose_progress(quiet=False, stream=io.StringIO()), LineProgress)
    assert isinstance(choose_progress(quiet=True, stream=Screen()), NoProgress)


def test_lines_tell_beginning_and_end_of_each_piece() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream)
    progress.message("pulling x")
    progress.started("a", 2_000_000, "layer a")
    progress.started("b", None, "layer b")
    progress.advanced("a", 1_000_000)
    progress.finished("b", "already there")
    progress.finished("a")
    assert stream.getvalue().splitlines() == [
        "pulling x", "layer a: 2MB", "layer b", "layer b: already there", "layer a: done",
    ]  # fmt: skip


def test_bars_are_redrawn_in_place_and_stay_when_all_is_done() -> None:
    screen = Screen()
    progress = BarProgress(screen)
    progress.started("a", 100, "layer a")
    progress.started("b", 100, "layer b")
    progress.finished("a")
    progress.finished("b")
    drawn = screen.getvalue()
    assert "\033[1F\033[J" in drawn
    assert "\033[2F\033[J" in drawn
    assert drawn.endswith("layer a done (100B)\nlayer b done (100B)\n")
    progress.started("c", 100, "layer c")
    assert screen.getvalue().removeprefix(drawn).startswith("layer c")


def test_bars_fit_the_terminal() -> None:
    pieces = [Piece(f"layer {number}", 100, 0.0, done=50) for number in range(30)]
    pieces[0].note = "done"
    lines = build_bars(pieces, 0.1, columns=60, rows=12)
    assert len(lines) == 10
    assert max(len(line) for line in lines) < 60
    assert "layer 29" in lines[-1]
    assert "[###############---------------]  50% 50B/100B" in build_bars(pieces[1:2], 0.1, columns=100, rows=12)[0]
