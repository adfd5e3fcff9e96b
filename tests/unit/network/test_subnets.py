"""Which subnets networks get, and which addresses of them containers."""

from __future__ import annotations

import ipaddress

import pytest

from pytest_pods.engine.errors import InvalidInputError, NetworkError, SubnetInUseError
from pytest_pods.engine.network.subnets import (
    assign_static,
    build_mac,
    choose_address,
    complete_subnets,
    find_anchor_address,
    parse_routes,
)
from pytest_pods.engine.network_records import NetworkRecord
from pytest_pods.engine.specs.networks import NetworkSpec, SubnetSpec, build_network_spec

SMALL = SubnetSpec("10.99.0.0/29", "10.99.0.1")


def record_of(*subnets: SubnetSpec) -> NetworkRecord:
    return NetworkRecord("f" * 64, NetworkSpec("n", subnets=subnets), "pods0", 0.0)


def test_free_subnet_is_the_first_that_nobody_has() -> None:
    taken = [(ipaddress.ip_network("10.89.0.0/24"), "one"), (ipaddress.ip_network("10.89.1.128/25"), "the host")]
    (subnet,) = complete_subnets(NetworkSpec("n"), taken=taken)
    assert (subnet.subnet, subnet.gateway) == ("10.89.2.0/24", "10.89.2.1")


def test_wider_pool_is_used_when_the_first_is_full_and_its_end_is_an_error() -> None:
    full = (ipaddress.ip_network("10.89.0.0/16"), "somebody")
    assert complete_subnets(NetworkSpec("n"), taken=[full])[0].subnet == "10.128.0.0/24"
    with pytest.raises(NetworkError, match="no free subnet is left"):
        complete_subnets(NetworkSpec("n"), taken=[full, (ipaddress.ip_network("10.128.0.0/9"), "else")])


def test_ipv6_adds_a_random_unique_local_subnet() -> None:
    four, six = complete_subnets(NetworkSpec("n", ipv6=True), taken=[])
    net = ipaddress.ip_network(six.subnet)
    assert ipaddress.ip_network(four.subnet).version == 4
    assert net.subnet_of(ipaddress.IPv6Network("fd00::/8"))  # type: ignore[arg-type]
    assert net.prefixlen == 64
    assert six.subnet != complete_subnets(NetworkSpec("n", ipv6=True), taken=[])[1].subnet


def test_ipv6_subnet_that_was_asked_for_is_enough() -> None:
    (six,) = complete_subnets(build_network_spec("n", ipv6=True, subnet="fd00:1::/64"), taken=[])
    assert six == SubnetSpec("fd00:1::/64", "fd00:1::1")


def test_subnet_of_somebody_else_is_refused_with_whose_it_is() -> None:
    taken = [(ipaddress.ip_network("10.99.0.0/16"), "network other")]
    with pytest.raises(SubnetInUseError, match=r"subnet 10\.99\.7\.0/24 overlaps 10\.99\.0\.0/16 of network other"):
        complete_subnets(build_network_spec("n", subnet="10.99.7.0/24"), taken=taken)


def test_routes_of_the_host_are_read_without_the_default_one() -> None:
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert parse_routes(table) == [ipaddress.ip_network("192.168.0.0/24")]


def test_addresses_are_given_in_turn_until_none_is_left() -> None:
    taken: list[str] = []
    last = None
    while (address := choose_address(SMALL, taken=taken, last=last)) is not None:
        last = str(address)
        taken.append(last)
    # .1 is the gateway's, .6 the anchor's.
    assert taken == ["10.99.0.2", "10.99.0.3", "10.99.0.4", "10.99.0.5"]


def test_address_that_was_given_back_rests_until_the_others_were_used() -> None:
    assert str(choose_address(SMALL, taken=[], last="10.99.0.3")) == "10.99.0.4"
    assert str(choose_address(SMALL, taken=[], last="10.99.0.5")) == "10.99.0.2"


def test_range_bounds_what_is_given() -> None:
    subnet = SubnetSpec("10.99.0.0/24", "10.99.0.1", "10.99.0.128/30")
    found: list[str] = []
    while (address := choose_address(subnet, taken=found, last=None)) is not None:
        found.append(str(address))
    assert found == ["10.99.0.128", "10.99.0.129", "10.99.0.130", "10.99.0.131"]


@pytest.mark.parametrize(
    ("subnet", "anchor"),
    [
        (SubnetSpec("10.99.0.0/24", "10.99.0.1"), "10.99.0.254"),
        (SubnetSpec("10.99.0.0/24", "10.99.0.254"), "10.99.0.253"),
        (SubnetSpec("fd00::/64", "fd00::1"), "fd00::ffff:ffff:ffff:ffff"),
    ],
)
def test_anchor_is_out_of_the_way_at_the_end(subnet: SubnetSpec, anchor: str) -> None:
    assert str(find_anchor_address(subnet)) == anchor


def test_asked_for_addresses_go_to_their_subnets() -> None:
    record = record_of(SubnetSpec("10.99.0.0/24", "10.99.0.1"), SubnetSpec("fd00::/64", "fd00::1"))
    assert assign_static(record, ["fd00::7", "10.99.0.7"]) == {0: "10.99.0.7", 1: "fd00::7"}


@pytest.mark.parametrize(
    ("addresses", "message"),
    [
        (["10.98.0.7"], "address 10.98.0.7 is in no subnet of network n"),
        (["10.99.0.2", "10.99.0.3"], "two addresses of one subnet"),
        (["10.99.0.1"], "is reserved"),
        (["10.99.0.6"], "is reserved"),
        (["10.99.0.0"], "is reserved"),
        (["10.99.0.7"], "is reserved"),
    ],
)
def test_address_that_cannot_be_given_is_refused(addresses: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        assign_static(record_of(SMALL), addresses)


def test_mac_belongs_to_the_ipv4_address_and_to_one_station() -> None:
    assert build_mac(["fd00::7", "10.99.0.7"]) == "02:50:0a:63:00:07"
    assert build_mac(["fd00::1:2"]) == "02:50:00:01:00:02"
