"""A test and its containers on one clock."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from pytest_pods.engine.events import ContainerEvent
from pytest_pods.engine.events import ContainerEventKind as K
from pytest_pods.engine.runtime.logs import LogLine
from pytest_pods.report.timeline import Moment, build_container_moments, build_timeline, colour_timeline
from tests.support.looks import NOON, make_event, make_health, make_line, make_look, make_state


@pytest.fixture(autouse=True)
def clock_of_london(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_moments_of_all_are_in_the_order_of_time_with_labels_of_one_width() -> None:
    moments = [
        Moment(NOON + 0.2, "db", "life", "ready (port 5432, after 0.16 s)"),
        Moment(NOON + 0.3004, "worker", "stderr", "no queue"),
        Moment(NOON, "test", "phase", "setup begins"),
        Moment(NOON + 0.1, "db", "stdout", "starting"),
    ]
    assert build_timeline(moments) == [
        "12:00:00.000  test    setup begins",
        "12:00:00.100  db      | starting",
        "12:00:00.200  db      ready (port 5432, after 0.16 s)",
        "12:00:00.300  worker  ! no queue",
    ]


def test_moments_of_one_time_stay_in_their_order() -> None:
    moments = [Moment(NOON, "db", "stdout", text) for text in "cab"]
    assert [line[-1] for line in build_timeline(moments)] == ["c", "a", "b"]


def test_times_are_cut_and_not_rounded_so_that_they_grow() -> None:
    assert build_timeline([Moment(NOON + 59.9999, "db", "stdout", "")])[0].startswith("12:00:59.999")


def test_nothing_happened() -> None:
    assert build_timeline([]) == []


def test_long_label_keeps_its_end_which_tells_it_apart() -> None:
    (line,) = build_timeline([Moment(NOON, "a-very-long-name-of-a-container-1", "stdout", "x")])
    assert line == "12:00:00.000  …me-of-a-container-1  | x"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param("\x1b[31;1mred\x1b[0m", "red", id="colours"),
        pytest.param("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J", id="title and clearing"),
        pytest.param("10%\r20%\r", r"10%\r20%", id="progress of a terminal"),
        pytest.param("a\tb", "a    b", id="tab"),
        pytest.param("\u202etxt.exe", r"\u202etxt.exe", id="direction"),
        pytest.param("a\u2028b\x85c\x9b31m", r"a\u2028b\x85c\x9b31m", id="line ends and C1"),
        pytest.param("grüße 😀", "grüße 😀", id="letters"),
        pytest.param("\ud800", r"\ud800", id="half a character"),
    ],
)
def test_what_would_do_something_to_a_terminal_is_written_out(written: str, shown: str) -> None:
    assert build_timeline([Moment(NOON, "db", "stdout", written)]) == [f"12:00:00.000  db  | {shown}"]


def test_hostile_label_is_written_out_too() -> None:
    assert build_timeline([Moment(NOON, "d\x1b[2Jb", "stdout", "x")]) == [r"12:00:00.000  d\x1b[2Jb  | x"]


def test_very_long_line_keeps_its_ends_and_costs_nothing() -> None:
    (line,) = build_timeline([Moment(NOON, "db", "stdout", "a" * 300 + "\x1b" * 1_000_000 + "z" * 80)])
    assert line.endswith("a [… 1000000 characters …] " + "z" * 80)
    assert len(line) < 500


def test_container_tells_its_life_and_what_it_wrote() -> None:
    look = make_look(
        state=make_state(code=137, ended_after_s=0.4, oom_killed=True),
        memory=16 << 20,
        lines=(make_line(0.2, "hello"), make_line(0.3, "oops", "stderr")),
        events=(
            make_event(K.CREATED, 0),
            make_event(K.STARTED, 0.1),
            make_event(K.READY, 0.25, took_s=0.15, text="port 80"),
            make_event(K.AWAITED, 0.26, took_s=0.01, text="file /x"),
            make_event(K.REMOVING, 0.5),
        ),
    )
    assert build_timeline(build_container_moments(look, "db")) == [
        "12:00:00.100  db  started",
        "12:00:00.200  db  | hello",
        "12:00:00.250  db  ready (port 80, after 0.15 s)",
        "12:00:00.260  db  awaited file /x, 0.01 s",
        "12:00:00.300  db  ! oops",
        "12:00:00.400  db  exited with exit code 137 (SIGKILL), out of memory (limit 16 MiB)",
    ]


def test_end_stands_behind_the_last_words_though_the_clock_of_files_is_coarse() -> None:
    state = make_state(code=1, ended_after_s=0.998)
    look = make_look(state=state, lines=(make_line(1.0, "bye"),), events=(make_event(K.KILLED, 1.001, text="SIGKILL"),))
    assert [line.split("  ")[2] for line in build_timeline(build_container_moments(look, "db"))] == [
        "| bye",
        "got signal SIGKILL",
        "exited with exit code 1",
    ]


def test_end_of_an_earlier_start_stays_where_it_was() -> None:
    look = make_look(state=make_state(code=0, ended_after_s=1.0), lines=(make_line(5.0, "of another process"),))
    assert "exited" in build_timeline(build_container_moments(look, "db"))[0]


@pytest.mark.parametrize(
    ("omitted", "note"),
    [(1, "… 1 earlier line left out"), (512, "… 512 earlier lines left out"), (None, "… earlier lines left out")],
)
def test_lines_that_are_not_shown_are_counted(omitted: int | None, note: str) -> None:
    look = make_look(lines=(make_line(1, "last"),), omitted=omitted)
    assert build_timeline(build_container_moments(look, "db")) == [
        f"12:00:01.000  db  {note}",
        "12:00:01.000  db  | last",
    ]


def test_line_whose_time_cannot_be_read_stands_with_the_one_before() -> None:
    look = make_look(lines=(make_line(1, "good"), LogLine("2026-99-99T99:99:99+00:00", "stdout", "bad")))
    assert build_timeline(build_container_moments(look, "db"))[1] == "12:00:01.000  db  | bad"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (make_event(K.NOT_READY, 0, took_s=0.3, text="port 80; last seen: x"),
         "not ready after 0.30 s: port 80; last seen: x"),
        (make_event(K.NOT_SEEN, 0, took_s=0.3, text="file /x"), "awaited file /x, in vain, 0.30 s"),
        (make_event(K.STARTED, 0, text="again, by itself"), "started again, by itself"),
        (make_event(K.ENDED, 0, text="exit code 3"), "ended: exit code 3"),
        (make_event(K.PAUSED, 0), "paused"),
        (make_event(K.REMOVED, 0), "removed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_events_read_well(event: ContainerEvent, text: str) -> None:
    assert build_timeline(build_container_moments(make_look(events=(event,)), "db")) == [f"12:00:00.000  db  {text}"]


def strip_colours(text: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", text)


def test_colours_change_nothing_else_and_tell_containers_and_faults_apart() -> None:
    text = "\n".join(
        build_timeline(
            [
                Moment(NOON, "test", "phase", "setup begins"),
                Moment(NOON, "db", "stdout", "one"),
                Moment(NOON, "web", "stderr", "two"),
                Moment(NOON, "db", "life", "exited with exit code 0"),
                Moment(NOON, "web", "failure", "exited with exit code 10"),
                Moment(NOON, "web", "stdout", "call failed: says the container"),
                Moment(NOON, "test", "failure", "call failed: assert False"),
            ]
        )
    )
    coloured = colour_timeline(text)
    assert strip_colours(coloured) == text
    red = [strip_colours(line) for line in coloured.split("\n") if "\x1b[31m" in line]
    assert [line.split("  ")[2].strip() for line in red] == [
        "! two",
        "exited with exit code 10",
        "call failed: assert False",
    ]
    assert len(set(re.findall(r"(\x1b\[3[2-6]m)(?:db|web)", coloured))) == 2


def test_line_that_is_none_of_ours_is_not_coloured() -> None:
    assert colour_timeline("something else") == "something else"


def test_health_checks_that_failed_during_the_test_are_told() -> None:
    state = make_state(health=make_health("unhealthy", after_s=2))
    line = "12:00:02.000  db  health check failed: exit code 1: refused"
    assert build_timeline(build_container_moments(make_look(state=state), "db")) == [line]
    assert build_timeline(build_container_moments(make_look(state=state, since=NOON + 3), "db")) == []
    well = make_state(health=make_health("healthy"))
    assert build_timeline(build_container_moments(make_look(state=well), "db")) == []
