"""The texts that aardvark-dns and nft read."""

from __future__ import annotations

import pytest

from pytest_pods.engine.network.names import (
    NameEntry,
    build_direction,
    build_entries,
    build_question,
    build_server_file,
    build_table,
    is_positive,
    parse_entries,
)
from pytest_pods.engine.network_records import NetworkRecord
from pytest_pods.engine.specs.networks import NetworkSpec, SubnetSpec

SPEC = NetworkSpec("n", subnets=(SubnetSpec("10.99.0.0/24", "10.99.0.1"), SubnetSpec("fd00::/64", "fd00::1")))
RECORD = NetworkRecord("f" * 64, SPEC, "pods0", 0.0)
FOUR = NameEntry("a" * 64, ("10.99.0.2",), ("db", "aaaaaaaaaaaa"))
SIX = NameEntry("b" * 64, ("fd00::2",), ("cache",))
BOTH = NameEntry("c" * 64, ("10.99.0.3", "fd00::3"), ("web",), ("192.0.2.53", "192.0.2.54"))


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (FOUR, f"{'a' * 64} 10.99.0.2  db,aaaaaaaaaaaa"),
        (SIX, f"{'b' * 64}  fd00::2 cache"),
        (BOTH, f"{'c' * 64} 10.99.0.3 fd00::3 web 192.0.2.53,192.0.2.54"),
    ],
)
def test_entry_is_a_line_and_the_line_is_the_entry(entry: NameEntry, line: str) -> None:
    assert entry.to_line() == line
    assert NameEntry.from_line(line) == entry


def test_entries_survive_the_file() -> None:
    assert parse_entries(build_entries([FOUR, SIX, BOTH])) == [FOUR, SIX, BOTH]
    assert parse_entries("") == []


def test_file_of_a_network_has_its_addresses_its_upstream_and_its_generation() -> None:
    lines = build_server_file(RECORD, f"{FOUR.to_line()}\n", upstream=["192.0.2.53"], generation="generation-1")
    assert lines.splitlines() == [
        "10.99.0.1,fd00::1 192.0.2.53",
        f"{'0' * 64} 10.99.0.1 fd00::1 generation-1",
        FOUR.to_line(),
    ]


def test_network_without_a_way_out_asks_nobody() -> None:
    first = build_server_file(RECORD, "", upstream=(), generation="generation-1").splitlines()[0]
    assert first == "10.99.0.1,fd00::1"


def test_table_is_replaced_in_one_step_and_leads_both_families_by_maps() -> None:
    lines = build_table().splitlines()
    assert lines[:3] == [
        "table inet pytest_pods_names", "delete table inet pytest_pods_names", "table inet pytest_pods_names {",
    ]  # fmt: skip
    for family, name in (("ip", "servers"), ("ip6", "servers6")):
        assert f"  udp dport 53 udp dport set {family} daddr map @{name} notrack" in lines
        assert f"  tcp dport 53 redirect to :{family} daddr map @{name}" in lines


def test_direction_leads_each_gateway_to_the_port() -> None:
    assert build_direction(["10.99.0.1", "fd00::1", "10.99.1.1"], 20007).splitlines() == [
        "flush map inet pytest_pods_names servers",
        "add element inet pytest_pods_names servers { 10.99.0.1 : 20007, 10.99.1.1 : 20007 }",
        "flush map inet pytest_pods_names servers6",
        "add element inet pytest_pods_names servers6 { fd00::1 : 20007 }",
    ]


def test_direction_without_networks_leads_nobody() -> None:
    assert all(line.startswith("flush map ") for line in build_direction([], 0).splitlines())


def test_questions_are_a_and_aaaa() -> None:
    assert build_question("db", 7) == b"\x00\x07\x01\x00\x00\x01" + bytes(6) + b"\x02db\x00\x00\x01\x00\x01"
    assert build_question("a.b", 7, six=True)[12:] == b"\x01a\x01b\x00\x00\x1c\x00\x01"


@pytest.mark.parametrize(
    ("answer", "known"),
    [(b"\x00\x07\x81\x80" + bytes(8), True), (b"\x00\x07\x81\x83" + bytes(8), False), (b"\x00\x07", False)],
)
def test_answer_is_positive_if_it_is_whole_and_without_an_error(answer: bytes, known: bool) -> None:
    assert is_positive(answer) is known
