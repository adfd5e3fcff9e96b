"""What netavark is told, and what it says when it fails."""

from __future__ import annotations

import pytest

from pytest_pods.engine.network.netavark import build_request, parse_failure
from pytest_pods.engine.network_records import InterfaceRecord, NetworkRecord
from pytest_pods.engine.specs.networks import NetworkSpec, SubnetSpec

OWNER = "c" * 64
BRIDGE = "podsffffffffff"
FOUR = SubnetSpec("10.99.0.0/24", "10.99.0.1", "10.99.0.128/25")
SIX = SubnetSpec("fd00::/64", "fd00::1")
INTERFACE = InterfaceRecord(
    "n", "f" * 64, "eth1", ("10.99.0.7/24", "fd00::7/64"), ("10.99.0.1",), "02:50:0a:63:00:07", ("db",)
)


def request_of(spec: NetworkSpec) -> dict[str, object]:
    return build_request(NetworkRecord("f" * 64, spec, BRIDGE, 0.0), INTERFACE, owner=OWNER)


def test_request_has_the_place_and_the_network() -> None:
    assert request_of(NetworkSpec("n", subnets=(FOUR, SIX))) == {
        "container_id": OWNER,
        "container_name": OWNER[:12],
        "networks": {
            BRIDGE: {
                "interface_name": "eth1",
                "static_ips": ["10.99.0.7", "fd00::7"],
                "static_mac": "02:50:0a:63:00:07",
            }
        },
        "network_info": {
            BRIDGE: {
                "name": BRIDGE,
                "id": "f" * 64,
                "driver": "bridge",
                "network_interface": BRIDGE,
                "subnets": [
                    {"subnet": "10.99.0.0/24", "gateway": "10.99.0.1"},
                    {"subnet": "fd00::/64", "gateway": "fd00::1"},
                ],
                "ipv6_enabled": True,
                "internal": False,
                "dns_enabled": False,
                "ipam_options": {"driver": "host-local"},
                "options": {},
            }
        },
    }


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (NetworkSpec("n", subnets=(FOUR,), mtu=1400, vlan=7, metric=50), {"mtu": "1400", "vlan": "7", "metric": "50"}),
        (NetworkSpec("n", subnets=(FOUR,), isolate="yes"), {"isolate": "true"}),
        (NetworkSpec("n", subnets=(FOUR,), isolate="strict"), {"isolate": "strict"}),
        (NetworkSpec("n", subnets=(FOUR,), default_route=False), {"no_default_route": "true"}),
        (NetworkSpec("n", driver="ipvlan", subnets=(FOUR,), parent="eth0", mode="l3"), {"mode": "l3"}),
    ],
)
def test_options_are_texts(spec: NetworkSpec, options: dict[str, str]) -> None:
    info = request_of(spec)["network_info"]
    assert isinstance(info, dict)
    assert info[BRIDGE]["options"] == options


def test_interface_of_a_network_on_the_host_is_its_parent() -> None:
    info = request_of(NetworkSpec("n", driver="macvlan", subnets=(FOUR,), parent="eth0"))["network_info"]
    assert isinstance(info, dict)
    assert (info[BRIDGE]["driver"], info[BRIDGE]["network_interface"]) == ("macvlan", "eth0")


@pytest.mark.parametrize(
    ("output", "errors", "said"),
    [
        ('{"error":"IO error: no"}', "", "IO error: no"),
        ("", "thread 'main' panicked\n", "thread 'main' panicked"),
        ("not json", "", "not json"),
        ("[]", "", "[]"),
        ("", "", "it says nothing"),
    ],
)
def test_failure_is_told_in_netavarks_words(output: str, errors: str, said: str) -> None:
    assert parse_failure(output, errors) == said
