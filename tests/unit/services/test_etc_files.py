"""hosts, hostname and resolv.conf of a container, by what it is on and what was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_pods.engine.services.etc_files import EtcRequest, EtcTexts, build_etc_texts
from pytest_pods.engine.specs.networks import NetworkMode

HOST_RESOLV = "# by hand\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch example.org corp\noptions ndots:2\n"
HOST_HOSTS = "127.0.0.1 localhost\n10.0.0.9 build\n"


def texts_of(mode: NetworkMode, **more: Any) -> EtcTexts:
    given: dict[str, Any] = {
        "mode": mode,
        "ip": "10.86.1.0",
        "names": ("box", "web"),
        "host_hosts": HOST_HOSTS,
        "host_resolv_conf": HOST_RESOLV,
        **more,
    }
    return build_etc_texts(EtcRequest(**given))


def test_hostname_is_the_first_name() -> None:
    assert texts_of(NetworkMode.PRIVATE).hostname == "box\n"


def test_hosts_have_the_own_names_once_and_lead_to_the_host_where_something_does() -> None:
    lines = texts_of(NetworkMode.PRIVATE, gateway="10.86.0.2", names=("box", "web", "box")).hosts.splitlines()
    assert lines == [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "10.86.0.2\thost.containers.internal host.docker.internal",
        "10.86.1.0\tbox web",
    ]


def test_hosts_without_a_network_have_no_way_to_the_host() -> None:
    hosts = texts_of(NetworkMode.NONE, ip="").hosts
    assert "host.containers.internal" not in hosts
    assert "127.0.1.1\tbox web" in hosts


def test_added_hosts_stand_before_the_own_names() -> None:
    hosts = texts_of(
        NetworkMode.PRIVATE, gateway="10.86.0.2", added={"db": "10.0.0.1", "web": "10.0.0.2", "me": "host-gateway"}
    ).hosts.splitlines()
    assert hosts[2:5] == ["10.0.0.1\tdb", "10.0.0.2\tweb", "10.86.0.2\tme"]
    assert hosts.index("10.86.1.0\tbox web") > 4


@pytest.mark.parametrize("mode", [NetworkMode.HOST, NetworkMode.NONE])
def test_host_gateway_is_the_loopback_where_there_is_no_other(mode: NetworkMode) -> None:
    assert "127.0.0.1\tme" in texts_of(mode, added={"me": "host-gateway"}).hosts


def test_on_the_hosts_network_its_files_are_used() -> None:
    texts = texts_of(NetworkMode.HOST, ip="127.0.0.1")
    assert texts.resolv_conf == HOST_RESOLV
    assert texts.hosts == "127.0.0.1 localhost\n10.0.0.9 build\n127.0.1.1\tbox web\n"


def test_on_the_hosts_network_what_was_asked_for_takes_the_place_of_its_lines() -> None:
    texts = texts_of(NetworkMode.HOST, dns=("198.51.100.1",), options=("rotate",))
    assert texts.resolv_conf == "nameserver 198.51.100.1\nsearch example.org corp\noptions rotate\n"


def test_way_out_asks_its_name_server_and_searches_as_the_host() -> None:
    texts = texts_of(NetworkMode.PRIVATE, servers=("10.86.0.3",))
    assert texts.resolv_conf == "nameserver 10.86.0.3\nsearch example.org corp\noptions ndots:2\n"


def test_networks_with_names_are_searched_first() -> None:
    texts = texts_of(NetworkMode.NAMED, servers=("10.89.0.1", "fd00::1"))
    assert texts.resolv_conf.splitlines() == [
        "nameserver 10.89.0.1",
        "nameserver fd00::1",
        "search dns.podman example.org corp",
        "options ndots:2",
    ]


def test_search_and_options_that_were_asked_for_take_the_place_of_the_hosts() -> None:
    texts = texts_of(NetworkMode.NAMED, servers=("10.89.0.1",), search=("shop.test",), options=("ndots:5", "rotate"))
    assert texts.resolv_conf.splitlines()[1:] == ["search dns.podman shop.test", "options ndots:5 rotate"]


def test_nobody_to_ask_is_an_empty_file() -> None:
    assert texts_of(NetworkMode.NONE).resolv_conf == ""
