"""Our packed messages, as pyroute2 reads them."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from pytest_pods.engine.network.link_messages import Link, pack_address, pack_default_route, pack_link


def read(kind: type[Any], body: bytes) -> Any:
    message = kind(struct.pack("=IHHII", 16 + len(body), 0, 0, 0, 0) + body)
    message.decode()
    return message


def test_veth_says_all_of_both_ends() -> None:
    peer = Link(name="eth0", mac="02:aa:00:00:00:07", namespace=9, mtu=1400)
    link = read(ifinfmsg, pack_link(Link(name="v1", up=True, mtu=1500, master=7, kind="veth", peer=peer)))
    assert (link["flags"], link["change"], link["index"]) == (1, 1, 0)
    assert {name: link.get_attr(f"IFLA_{name}") for name in ("IFNAME", "MTU", "MASTER")} == {
        "IFNAME": "v1", "MTU": 1500, "MASTER": 7,
    }  # fmt: skip
    other = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA", "VETH_INFO_PEER")
    assert link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "veth"
    assert {name: other.get_attr(f"IFLA_{name}") for name in ("IFNAME", "MTU", "ADDRESS", "NET_NS_FD")} == {
        "IFNAME": "eth0", "MTU": 1400, "ADDRESS": "02:aa:00:00:00:07", "NET_NS_FD": 9,
    }  # fmt: skip
    assert other["flags"] == 0


def test_link_without_wishes_only_names_itself() -> None:
    link = read(ifinfmsg, pack_link(Link(index=12)))
    assert (link["index"], link["flags"], link["change"], link["attrs"]) == (12, 0, 0, [])


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.89.0.2/24", {"IFA_ADDRESS": "10.89.0.2", "IFA_LOCAL": "10.89.0.2", "IFA_BROADCAST": "10.89.0.255"}),
        ("10.8.255.7/17", {"IFA_ADDRESS": "10.8.255.7", "IFA_LOCAL": "10.8.255.7", "IFA_BROADCAST": "10.8.255.255"}),
        ("fd00::5/64", {"IFA_ADDRESS": "fd00::5", "IFA_LOCAL": "fd00::5", "IFA_FLAGS": 2}),
    ],
)  # fmt: skip
def test_address_comes_with_its_prefix_and_broadcast(address: str, expected: dict[str, object]) -> None:
    message = read(ifaddrmsg, pack_address(3, address))
    assert (message["index"], message["prefixlen"]) == (3, int(address.partition("/")[2]))
    assert dict(message["attrs"]) == expected


@pytest.mark.parametrize(("gateway", "family"), [("10.89.0.1", 2), ("fd00::2", 10)])
@pytest.mark.parametrize("metric", [0, 100])
def test_default_route_goes_by_the_gateway(gateway: str, family: int, metric: int) -> None:
    message = read(rtmsg, pack_default_route(gateway, index=4, metric=metric))
    assert (message["family"], message["dst_len"], message["table"], message["type"]) == (family, 0, 254, 1)
    assert dict(message["attrs"]) == {
        "RTA_GATEWAY": gateway, "RTA_OIF": 4, **({"RTA_PRIORITY": metric} if metric else {}),
    }  # fmt: skip
