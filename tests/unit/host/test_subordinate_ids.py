"""Which ids a user may map is read as shadow's own programs read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.host.subordinate_ids import (
    SubordinateIds,
    SubordinateRange,
    find_map_program,
    parse_subordinate_ids,
)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        pytest.param("ann:100000:65536\n", ((100000, 65536),), id="by name"),
        pytest.param("1000:200000:65536\n", ((200000, 65536),), id="by number"),
        pytest.param("ann:1:2\n1000:5:6", ((1, 2), (5, 6)), id="both, in the order of the file"),
        pytest.param("bob:100000:65536\n", (), id="somebody else's"),
        pytest.param("ann:100000\nann:x:1\nann:1:\nann:-1:5\n\n", (), id="malformed lines"),
        pytest.param("ann:100000:0", (), id="an empty range"),
        pytest.param("ann:4294967000:65536", (), id="a range past the last id"),
        pytest.param("annabel:1:2\nan:3:4", (), id="names that only look alike"),
    ],
)
def test_ranges_are_those_of_the_user(text: str, ranges: tuple[tuple[int, int], ...]) -> None:
    assert parse_subordinate_ids(text, owners=["1000", "ann"]) == tuple(SubordinateRange(*pair) for pair in ranges)


def test_ids_of_one_kind_alone_are_not_usable() -> None:
    ids = SubordinateIds((SubordinateRange(100000, 65536),), ())
    assert not ids.usable
    assert ids.count == 0


def test_count_is_that_of_the_kind_with_fewer() -> None:
    ids = SubordinateIds(
        (SubordinateRange(1, 10), SubordinateRange(100, 5)), (SubordinateRange(1, 12), SubordinateRange(100, 1))
    )
    assert ids.count == 13


def test_map_program_without_set_uid_bit_is_not_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "newuidmap"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_map_program("newuidmap")
    assert found.path == program
    assert not found.usable


def test_map_program_that_is_not_installed_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not find_map_program("no-such-program-of-ours").usable
