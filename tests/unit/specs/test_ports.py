"""Published ports as people write them, ranges included."""

from __future__ import annotations

import pytest

from pytest_pods.engine.errors import InvalidInputError
from pytest_pods.engine.specs.ports import PortSpec, parse_port, parse_port_range, parse_ports


@pytest.mark.parametrize(
    ("given", "port"),
    [
        (6379, PortSpec(6379)),
        ("6379", PortSpec(6379)),
        ("6379/udp", PortSpec(6379, protocol="udp")),
        ("8080:80", PortSpec(80, 8080)),
        (":80", PortSpec(80)),
        ("0:80/tcp", PortSpec(80)),
        ("0.0.0.0:8080:80", PortSpec(80, 8080, "0.0.0.0")),
        ("127.0.0.1::80", PortSpec(80)),
        ("[::1]:8080:80/udp", PortSpec(80, 8080, "::1", "udp")),
        (PortSpec(7), PortSpec(7)),
    ],
)
def test_forms_of_one_port(given: object, port: PortSpec) -> None:
    assert parse_port(given) == port


@pytest.mark.parametrize(
    ("given", "pairs"),
    [
        ("80-82", [(80, 0), (81, 0), (82, 0)]),
        ("8080-8081:80-81", [(80, 8080), (81, 8081)]),
        ("127.0.0.1:8080-8081:80-81/udp", [(80, 8080), (81, 8081)]),
        ("0:80-81", [(80, 0), (81, 0)]),
        ("80-80", [(80, 0)]),
    ],
)
def test_range_is_a_port_for_each(given: str, pairs: list[tuple[int, int]]) -> None:
    assert [(port.container_port, port.host_port) for port in parse_port_range(given)] == pairs


def test_list_has_ports_and_ranges() -> None:
    found = parse_ports("ports", [6379, "80-81", "53/udp"])
    assert [(port.container_port, port.protocol) for port in found] == [
        (6379, "tcp"), (80, "tcp"), (81, "tcp"), (53, "udp"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("80/sctp", "SCTP cannot be published"),
        ("80/icmp", "protocol 'icmp' cannot be published"),
        ("8080-8082:80-81", "the ranges have 3 and 2 ports"),
        ("82-80", "invalid port range"),
        ("1-2000", "invalid port range"),
        ("0-3:80-83", "invalid port range"),
        ("80-", "invalid port"),
        ("-80", "invalid port"),
        ("0", "invalid port"),
        ("65536", "invalid port"),
        ("65530-65540", "invalid port"),
        ("８０", "invalid port"),
        ("host:80:80", "'host' is not an IP address"),
        ("[::1:80:80", "invalid port"),
        (True, "invalid port"),
        (None, "invalid port"),
        ("", "invalid port"),
    ],
)
def test_wrong_port_is_named(given: object, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_port_range(given)
    assert message in str(caught.value)


def test_range_is_refused_where_one_port_is_wanted() -> None:
    with pytest.raises(InvalidInputError, match="is a range"):
        parse_port("80-81")


@pytest.mark.parametrize("given", [80, "80", None])
def test_one_port_is_no_list(given: object) -> None:
    with pytest.raises(InvalidInputError, match="has to be a list"):
        parse_ports("ports", given)
