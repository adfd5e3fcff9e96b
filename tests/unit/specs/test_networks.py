"""What people write of networks becomes specifications, or an error that names the argument."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_pods.engine.errors import InvalidInputError
from pytest_pods.engine.specs.container import build_container_spec
from pytest_pods.engine.specs.networks import (
    Attachment,
    NetworkMode,
    NetworkSpec,
    SubnetSpec,
    build_network_spec,
    parse_added_hosts,
    parse_mac,
    parse_network,
    parse_networks,
)


def test_name_alone_leaves_everything_to_the_engine() -> None:
    assert build_network_spec("backend") == NetworkSpec("backend")


def test_every_argument_reaches_its_field() -> None:
    spec = build_network_spec(
        "backend",
        subnet=["10.99.0.0/24", "fd00:99::/64"],
        gateway="10.99.0.254",
        ip_range="10.99.0.128/25",
        internal=True,
        dns=False,
        dns_servers="192.0.2.53",
        isolate="strict",
        default_route=False,
        mtu=1400,
        vlan=7,
        metric=50,
        labels={"a": "b"},
    )
    assert spec == NetworkSpec(
        "backend",
        subnets=(SubnetSpec("10.99.0.0/24", "10.99.0.254", "10.99.0.128/25"), SubnetSpec("fd00:99::/64")),
        internal=True,
        dns=False,
        dns_servers=("192.0.2.53",),
        isolate="strict",
        default_route=False,
        mtu=1400,
        vlan=7,
        metric=50,
        labels={"a": "b"},
    )


@pytest.mark.parametrize(("given", "isolate"), [(True, "yes"), (False, "no"), ("strict", "strict")])
def test_isolation_is_a_flag_or_strict(given: object, isolate: str) -> None:
    assert build_network_spec("n", isolate=given).isolate == isolate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subnets": "10.99.0.0/24"}, "unknown argument 'subnets' of a network"),
        ({"subnet": "10.99.0.7/24"}, "subnet '10.99.0.7/24' is not a subnet"),
        ({"subnet": "nonsense"}, "subnet 'nonsense' is not a subnet"),
        ({"subnet": "10.99.0.0/30"}, "has no room"),
        ({"subnet": "fd00::/127"}, "has no room"),
        ({"subnet": "127.0.1.0/24"}, "of a kind that cannot be used"),
        ({"subnet": "224.0.1.0/24"}, "of a kind that cannot be used"),
        ({"subnet": "fe80::/64"}, "of a kind that cannot be used"),
        ({"subnet": ["10.99.0.0/24", "10.99.0.128/25"]}, "subnets 10.99.0.0/24 and 10.99.0.128/25 overlap"),
        ({"subnet": "10.99.0.0/24", "gateway": "10.98.0.1"}, "gateway 10.98.0.1 is no address of subnet"),
        ({"subnet": "10.99.0.0/24", "gateway": "10.99.0.0"}, "gateway 10.99.0.0 is no address of subnet"),
        ({"subnet": "10.99.0.0/24", "gateway": "10.99.0.255"}, "gateway 10.99.0.255 is no address of subnet"),
        ({"gateway": "10.99.0.1"}, "gateway '10.99.0.1' has no subnet"),
        ({"subnet": "10.99.0.0/24", "ip_range": "10.99.1.0/25"}, "ip_range 10.99.1.0/25 is not in subnet"),
        ({"subnet": "10.99.0.0/24", "ip_range": "fd00::/64"}, "ip_range fd00::/64 is not in subnet"),
        ({"ip_range": "10.99.1.0/25"}, "ip_range '10.99.1.0/25' has no subnet"),
        ({"driver": "overlay"}, "driver: 'overlay' is none of bridge, macvlan, ipvlan"),
        ({"isolate": "much"}, "isolate has to be True, False or 'strict'"),
        ({"mtu": 10}, "mtu has to be a number from 68"),
        ({"mtu": True}, "mtu has to be a number from 68"),
        ({"vlan": 4095}, "vlan has to be a number from 1 to 4094"),
        ({"internal": "yes"}, "internal"),
        ({"dns_servers": ["dns.example"]}, "dns_servers 'dns.example' is not an IP address"),
        ({"parent": "eth0"}, "parent belongs to macvlan and ipvlan"),
        ({"mode": "l2"}, "mode belongs to macvlan and ipvlan"),
        ({"driver": "macvlan", "subnet": "10.99.0.0/24"}, "macvlan needs parent"),
        ({"driver": "macvlan", "parent": "eth0"}, "macvlan needs a subnet"),
        ({"driver": "ipvlan", "parent": "eth0", "subnet": "10.99.0.0/24", "mode": "vepa"}, "unknown mode 'vepa'"),
        ({"driver": "ipvlan", "parent": "eth0", "subnet": "10.99.0.0/24", "vlan": 3}, "vlan belongs to a bridge"),
    ],
)
def test_wrong_argument_of_a_network_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        build_network_spec("n", **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["host", "none", "private", "container", "bridge", "a b", "../x", "", ".hidden"])
def test_name_that_means_something_else_or_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        build_network_spec(name)


def test_smallest_subnets_have_room_for_a_container() -> None:
    spec = build_network_spec("n", subnet=["10.99.0.0/29", "fd00::/126"])
    assert [subnet.subnet for subnet in spec.subnets] == ["10.99.0.0/29", "fd00::/126"]


class Handle:
    name = "backend"


@pytest.mark.parametrize(
    ("given", "mode", "attachments"),
    [
        ("private", NetworkMode.PRIVATE, ()),
        ("none", NetworkMode.NONE, ()),
        (NetworkMode.HOST, NetworkMode.HOST, ()),
        ("backend", NetworkMode.NAMED, (Attachment("backend"),)),
        (Handle(), NetworkMode.NAMED, (Attachment("backend"),)),
    ],
)
def test_network_is_a_mode_a_name_or_a_handle(
    given: object, mode: NetworkMode, attachments: tuple[Attachment, ...]
) -> None:
    assert parse_network("network", given) == (mode, attachments)


def test_networks_are_a_list_of_names_and_handles_or_a_mapping_to_options() -> None:
    assert parse_networks("networks", ["one", Handle()]) == (Attachment("one"), Attachment("backend"))
    place = {"aliases": ["db"], "ip": "10.99.0.7", "mac": "02-50-00-00-00-AB", "interface": "in0"}
    assert parse_networks("networks", {Handle(): place, "two": {}}) == (
        Attachment("backend", ("db",), ("10.99.0.7",), "02:50:00:00:00:ab", "in0"),
        Attachment("two"),
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("one", "networks has to be a list or a mapping"),
        (["one", "one"], "networks has one twice"),
        ([7], "networks: 7 is neither a network nor the name of one"),
        ([f"n{number}" for number in range(17)], "17 networks are more than 16"),
        ({"one": ["db"]}, "networks one: ['db'] is not a mapping"),
        ({"one": {"alias": "db"}}, "networks one: unknown argument 'alias'"),
        ({"one": {"aliases": ["not a name"]}}, "'not a name' is no host name"),
        ({"one": {"ip": "10.99.0"}}, "'10.99.0' is not an IP address"),
        ({"one": {"interface": "much-too-long-for-one"}}, "is no name of an interface"),
        ({"one": {"interface": "lo"}}, "is no name of an interface"),
        ({"one": {"interface": "a/b"}}, "is no name of an interface"),
    ],
)
def test_wrong_place_on_a_network_is_named(given: object, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_networks("networks", given)
    assert message in str(caught.value)


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "02:50:00", "02:50:00:00:00:0g", ""])
def test_mac_of_a_group_or_no_mac_is_refused(mac: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_mac("mac", mac)


def test_entries_of_the_hosts_file_are_texts_or_a_mapping() -> None:
    expected = {"db": "10.0.0.1", "six": "fd00::1", "me": "host-gateway"}
    assert parse_added_hosts("add_hosts", ["db:10.0.0.1", "six:[fd00::1]", "me:host-gateway"]) == expected
    assert parse_added_hosts("add_hosts", expected) == expected
    for wrong in (["db"], ["db:nowhere"], {"a b": "10.0.0.1"}, {"db": "10.0.0.1\n6.6.6.6 evil"}):
        with pytest.raises(InvalidInputError):
            parse_added_hosts("add_hosts", wrong)


def test_container_has_one_way_to_say_its_networks() -> None:
    assert build_container_spec("image", networks=["one"]).network is NetworkMode.NAMED
    assert build_container_spec("image", network="one").networks == (Attachment("one"),)
    for wrong in (
        {"network": "none", "networks": ["one"]},
        {"network": "one", "networks": ["two"]},
        {"aliases": ["db"]},
        {"network": "host", "ports": [80]},
        {"network": "container"},
    ):
        with pytest.raises(InvalidInputError):
            build_container_spec("image", **wrong)
