from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.runtime import logs
from pytest_pods.engine.runtime.logs import (
    Excerpt,
    HeldLog,
    LogLine,
    LogParser,
    LogPosition,
    LogReader,
    find_end,
    follow_lines,
    parse_timestamp,
    read_excerpt,
    read_lines,
    read_tail,
)

TIME = "2026-11-23T17:44:24.879183726+00:00"


def _record(text: str, stream: str = "stdout", flag: str = "F") -> bytes:
    return f"{TIME} {stream} {flag} {text}\n".encode()


def _append(path: Path, *records: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(records))


def _texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


def test_line_has_time_stream_and_text(tmp_path: Path) -> None:
    _append(tmp_path / "log", _record("hello  world "))
    (line,) = read_lines(tmp_path / "log")
    assert line == LogLine(TIME, "stdout", "hello  world ")
    assert line.time == datetime(2026, 11, 23, 17, 44, 24, 879183, UTC)
    assert line.output == "hello  world \n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T17:44:24.5+02:00", datetime(2026, 11, 23, 17, 44, 24, 500000, timezone(timedelta(hours=2)))),
        ("2026-11-23T17:44:24Z", datetime(2026, 11, 23, 17, 44, 24, tzinfo=UTC)),
    ],
)
def test_times_of_other_precision_are_read(text: str, expected: datetime) -> None:
    assert parse_timestamp(text) == expected


def test_pieces_are_joined_though_the_other_stream_comes_between(tmp_path: Path) -> None:
    _append(
        tmp_path / "log",
        _record("one ", flag="P"),
        _record("error", "stderr"),
        _record("two ", flag="P"),
        _record("half", "stderr", "P"),
        _record("three"),
    )
    lines = read_lines(tmp_path / "log")
    assert [(line.stream, line.text, line.complete) for line in lines] == [
        ("stderr", "error", True),
        ("stdout", "one two three", True),
        ("stderr", "half", False),
    ]
    assert "".join(line.output for line in lines) == "error\none two three\nhalf"


def test_character_that_is_cut_between_pieces_is_whole_again(tmp_path: Path) -> None:
    first, second = "ü".encode()[:1], "ü".encode()[1:]
    head = TIME.encode() + b" stdout "
    _append(tmp_path / "log", head + b"P " + first + b"\n", head + b"F " + second + b"\xff\n")
    assert _texts(read_lines(tmp_path / "log")) == ["ü\ufffd"]


@pytest.mark.parametrize(
    "garbage", [b"\n", b"half of a rec\n", b"2026 stdout F x\n", b"\0\0\0\n", TIME.encode() + b" stdwrong F x\n"]
)
def test_what_is_no_record_is_skipped(tmp_path: Path, garbage: bytes) -> None:
    _append(tmp_path / "log", _record("before"), garbage, _record("after"))
    assert _texts(read_lines(tmp_path / "log")) == ["before", "after"]


@given(st.lists(st.binary()))
def test_parser_survives_anything(records: list[bytes]) -> None:
    parser = LogParser()
    assert all(isinstance(line, LogLine) for line in [*parser.feed(records), *parser.rest()])


def test_reader_gives_each_line_once_and_waits_for_the_end_of_a_record(tmp_path: Path) -> None:
    log = tmp_path / "log"
    reader = LogReader(log)
    assert reader.read() == []
    _append(log, _record("one"), _record("two")[:-5])
    assert _texts(reader.read()) == ["one"]
    assert reader.read() == []
    _append(log, _record("two")[-5:], _record("open", flag="P"))
    assert _texts(reader.read()) == ["two"]
    assert [(line.text, line.complete) for line in reader.rest()] == [("open", False)]
    _append(log, _record(" end"))
    assert _texts(reader.read()) == ["open end"]
    assert reader.rest() == ()


def test_reader_starts_at_a_position(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert find_end(log) == LogPosition(0)
    _append(log, _record("old"))
    position = find_end(log)
    _append(log, _record("new"))
    assert _texts(LogReader(log, since=position).read()) == ["new"]
    assert _texts(read_lines(log, since=position)) == ["new"]


def test_end_is_between_records_even_while_one_is_written(tmp_path: Path) -> None:
    log = tmp_path / "log"
    _append(log, _record("old"), _record("x" * 200_000)[:-1])
    assert find_end(log) == LogPosition(len(_record("old")))


def test_reader_begins_again_when_the_log_was_replaced(tmp_path: Path) -> None:
    log = tmp_path / "log"
    _append(log, _record("a long first line"))
    reader = LogReader(log)
    reader.read()
    log.write_bytes(_record("new"))
    assert _texts(reader.read()) == ["new"]


def test_record_longer_than_a_block_is_read(tmp_path: Path) -> None:
    _append(tmp_path / "log", _record("x" * 3_000_000), _record("after"))
    assert [len(text) for text in _texts(read_lines(tmp_path / "log"))] == [3_000_000, 5]


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, ["4999"]), (3, ["4997", "4998", "4999"])])
def test_tail_gives_the_last_lines(tmp_path: Path, count: int, expected: list[str]) -> None:
    _append(tmp_path / "log", *(_record(str(number)) for number in range(5000)))
    assert _texts(read_tail(tmp_path / "log", count)) == expected


def test_tail_of_more_than_there_is_gives_all(tmp_path: Path) -> None:
    _append(tmp_path / "log", *(_record(str(number)) for number in range(5000)))
    assert len(read_tail(tmp_path / "log", 10_000)) == 5000
    assert len(read_tail(tmp_path / "log", 4998)) == 4998
    assert read_tail(tmp_path / "none", 3) == []


def test_tail_respects_the_position(tmp_path: Path) -> None:
    log = tmp_path / "log"
    _append(log, _record("old"))
    position = find_end(log)
    _append(log, _record("new"))
    assert _texts(read_tail(log, 5, since=position)) == ["new"]


def test_tail_does_not_read_a_big_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        # A hole: reading a terabyte of it would not end.
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + b"".join(_record(str(number)) for number in range(5000)))
    assert _texts(read_tail(log, 2)) == ["4998", "4999"]


def test_following_gives_lines_as_they_come_and_ends_with_the_container(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    seen: list[str] = []
    reading, writing = os.pipe()
    try:
        follower = follow_lines(log, ended=reading, deadline=Deadline.after(20))

        def collect() -> None:
            for line in follower:
                seen.append(line.output)
                arrived.set()

        arrived = threading.Event()
        thread = threading.Thread(target=collect)
        thread.start()
        for text in ("one", "two"):
            arrived.clear()
            _append(log, _record(text))
            assert arrived.wait(10)
        _append(log, _record("rest", flag="P"))
        os.close(writing)
        writing = -1
        thread.join(10)
        assert seen == ["one\n", "two\n", "rest"]
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def test_following_ends_at_the_deadline(tmp_path: Path) -> None:
    _append(tmp_path / "log", _record("one"))
    reading, writing = os.pipe()
    try:
        lines = list(follow_lines(tmp_path / "log", ended=reading, deadline=Deadline.after(0.01)))
    finally:
        os.close(reading)
        os.close(writing)
    assert _texts(lines) == ["one"]


@pytest.mark.parametrize(
    ("count", "texts", "omitted"), [(5, ["2", "3", "4"], 0), (3, ["2", "3", "4"], 0), (1, ["4"], 2)]
)
def test_excerpt_has_the_last_lines_since_a_place_and_counts_those_before(
    tmp_path: Path, count: int, texts: list[str], omitted: int
) -> None:
    log = tmp_path / "log"
    _append(log, _record("0"), _record("1"))
    since = find_end(log)
    _append(log, _record("2"), _record("3"), _record("4"))
    found = read_excerpt(log, count, since=since)
    assert (_texts([*found.lines]), found.omitted) == (texts, omitted)


def test_excerpt_of_a_huge_log_is_of_its_end_and_counts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_EXCERPT_BYTES", 1000)
    log = tmp_path / "log"
    _append(log, *(_record(f"line {number}") for number in range(1000)))
    found = read_excerpt(log, 100)
    assert found.omitted is None
    assert [line.text for line in found.lines][-2:] == ["line 998", "line 999"]
    assert all(line.text.startswith("line ") for line in found.lines)


def test_excerpt_of_a_log_that_was_replaced_begins_anew(tmp_path: Path) -> None:
    log = tmp_path / "log"
    _append(log, _record("new"))
    assert _texts([*read_excerpt(log, 10, since=LogPosition(10_000)).lines]) == ["new"]


def test_excerpt_of_no_log_is_empty(tmp_path: Path) -> None:
    assert read_excerpt(tmp_path / "log", 10) == Excerpt(())


def test_held_log_can_be_read_when_its_file_is_gone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    _append(log, _record("one"))
    with HeldLog(log) as held:
        _append(log, _record("two"))
        log.unlink()
        assert _texts([*held.excerpt(10).lines]) == ["one", "two"]


def test_log_that_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HeldLog(tmp_path / "log")
