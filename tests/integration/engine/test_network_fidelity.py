"""A namespace that the engine plugs is as one that netavark sets up from the same input."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_pods.engine.api import Engine
from pytest_pods.engine.host.pipes import MemoryFile, Pipe
from pytest_pods.engine.host.programs import find_program, get_program
from pytest_pods.engine.host.sandbox import NamespaceKind
from pytest_pods.engine.network import links
from pytest_pods.engine.network.names import NameEntry
from pytest_pods.engine.network.netavark import Netavark, build_request
from pytest_pods.engine.network.subnets import select_gateways
from pytest_pods.engine.network_handle import Network
from pytest_pods.engine.network_records import InterfaceRecord
from tests.support.name_client import NameClient

OWNER = "c" * 64
OTHER = "d" * 64

NETWORKS = {
    "plain": {},
    "dual stack": {"ipv6": True, "subnet": ["10.77.0.0/24", "fd77::/64"]},
    "IPv6": {"subnet": "fd77::/64"},
    "MTU": {"mtu": 1380},
    "another gateway": {"subnet": "10.77.0.0/24", "gateway": "10.77.0.77"},
    "internal": {"internal": True},
    "several subnets": {"subnet": ["10.77.0.0/24", "10.78.0.0/16"]},
}


@contextmanager
def namespace(engine: Engine, directory: Path) -> Iterator[Path]:
    directory.mkdir()
    sandbox = engine._session.start()
    sandbox.pin(directory, NamespaceKind.NETWORK)
    yield directory / "net"
    sandbox.unmount(directory / "net")
    (directory / "net").unlink()


def ask_ip(engine: Engine, inside: Path, *arguments: str) -> Any:
    with Pipe() as pipe:
        process = engine._session.start().spawn(
            [str(get_program("ip")), "-json", *arguments],
            env={},
            descriptors={1: pipe.writing},
            namespaces=[inside],
        )
        pipe.close_writing()
        text = pipe.read_tail(timeout_s=10, most=1 << 20)
        process.wait(10)
    return json.loads(text or "[]")


def describe(engine: Engine, inside: Path) -> dict[str, Any]:
    """Addresses, routes, MTU, MAC and state, without what the kernel numbers itself."""
    link = find_link(engine, inside)
    addresses = [
        {key: one[key] for key in ("family", "local", "prefixlen", "scope", "broadcast", "label") if key in one}
        for one in link["addr_info"]
        if one["scope"] == "global"
    ]
    routes = [
        {key: route.get(key) for key in ("dst", "gateway", "dev", "protocol", "scope", "prefsrc", "metric")}
        for family in ("-4", "-6")
        for route in ask_ip(engine, inside, family, "route")
        if not str(route["dst"]).startswith("fe80")
    ]
    return {
        "name": link["ifname"],
        "mtu": link["mtu"],
        "mac": link["address"],
        "state": link["operstate"],
        "flags": sorted(link["flags"]),
        "addresses": sorted(addresses, key=str),
        "routes": sorted(routes, key=str),
    }


def reaches(engine: Engine, inside: Path, gateway: str) -> bool:
    """Whether a neighbour answers: a closed port refuses, a missing neighbour does not."""
    family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
    with engine._session.start().socket(family, socket.SOCK_STREAM, network_namespace=inside) as connection:
        connection.settimeout(10)
        return connection.connect_ex((gateway, 9)) == errno.ECONNREFUSED


def find_link(engine: Engine, inside: Path) -> Any:
    """The interface, once the kernel has noticed that its other end is up too."""
    for _ in range(2000):
        (link,) = (one for one in ask_ip(engine, inside, "address") if one["ifname"] != "lo")
        if link["operstate"] == "UP":
            return link
    raise AssertionError("the interface does not come up")


def build_interface(network: Network) -> InterfaceRecord:
    """The same place for both: the address .50 of each subnet, and one default route a family."""
    addresses = tuple(f"{net[0x50 if net.version == 6 else 50]}/{net.prefixlen}" for net in network.record.nets)
    return InterfaceRecord(
        network=network.name,
        network_id=network.id,
        interface="eth0",
        addresses=addresses,
        gateways=() if network.internal else select_gateways(network.record),
        mac="02:50:aa:bb:cc:07",
        names=("plugged",),
    )


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS.keys())
def test_plugged_namespace_is_as_netavark_makes_it(engine: Engine, tmp_path: Path, options: dict[str, Any]) -> None:
    network = engine.create_network("backend", **options)
    networks = engine._service.networks
    networks.ensure_up(network.record)
    interface = build_interface(network)
    sandbox = engine._session.start()
    with namespace(engine, tmp_path / "by-netavark") as inside:
        netavark = Netavark(sandbox, engine._session.layout)
        netavark.set_up(build_request(network.record, interface, owner=OTHER), inside, subject="the model")
        wanted = describe(engine, inside)
        assert all(reaches(engine, inside, gateway) for gateway in network.gateways)
        # A further container's tear-down: the bridge stays for the anchor.
        netavark.tear_down(build_request(network.record, interface, owner=OTHER), inside)
    with namespace(engine, tmp_path / "by-us") as inside:
        links.plug(sandbox, network.record, interface, owner=OWNER, namespace=inside)
        assert describe(engine, inside) == wanted
        assert all(reaches(engine, inside, gateway) for gateway in network.gateways)
    assert len(wanted["addresses"]) == len(network.subnets)
    assert wanted["state"] == "UP"


def ask_all(engine: Engine, inside: Path, server: str) -> dict[str, Any]:
    questions = ("web", "WEB", "web.dns.podman", "front", "nobody", "nobody.dns.podman")
    with engine._session.start().socket(socket.AF_INET, socket.SOCK_DGRAM, network_namespace=inside) as connection:
        connection.settimeout(1)
        connection.connect((server, 53))
        client = NameClient(connection)
        return {f"{name} {six}": client.ask(name, six=six) for name in questions for six in (False, True)}


def test_names_resolve_as_those_that_netavark_tells_aardvark_dns(image_store: Path, tmp_path: Path) -> None:
    # Internal: else the question for a name that nobody has goes upstream.
    options = {"subnet": ["10.77.0.0/24", "fd77::/64"], "internal": True}
    answers = []
    for by_us in (True, False):
        with (
            Engine.open(root=image_store) as engine,
            namespace(engine, tmp_path / f"{'us' if by_us else 'netavark'}") as inside,
        ):
            network = engine.create_network("backend", **options)
            interface = build_interface(network)
            gateway = network.gateways[0]
            if by_us:
                networks = engine._service.networks
                networks.layout(network.record).leases_dir.mkdir(parents=True)
                networks.ensure_up(network.record)
                links.plug(engine._session.start(), network.record, interface, owner=OWNER, namespace=inside)
                networks._change_names(
                    [interface], lambda one, _: NameEntry(OWNER, one.ips, ("web", "front")), owner=OWNER
                )
            else:
                request = build_request(network.record, interface, owner=OWNER)
                request["container_name"] = "web"
                request["networks"][network.record.bridge]["aliases"] = ["front"]
                request["network_info"][network.record.bridge]["dns_enabled"] = True
                run_netavark_with_names(engine, request, inside)
            answers.append(ask_until_known(engine, inside, gateway))
    assert answers[0] == answers[1]
    assert answers[0]["front True"] == (0, ["fd77::50"])


def run_netavark_with_names(engine: Engine, request: dict[str, Any], inside: Path) -> None:
    config = engine._session.layout.directory / "by-netavark"
    config.mkdir()
    argv = [str(get_program("netavark")), "--config", str(config), "-a", str(get_program("aardvark-dns"))]
    # Without systemd-run, by which netavark starts aardvark-dns where there is one: its bus is not in the session.
    programs = config / "bin"
    programs.mkdir()
    for name in ("iptables", "ip6tables", "nft", "sysctl"):
        if (found := find_program(name)) is not None:
            (programs / name).symlink_to(found)
    with Pipe() as pipe, MemoryFile(json.dumps(request).encode()) as given:
        process = engine._session.start().spawn(
            [*argv, "setup", str(inside)],
            env={"PATH": str(programs)},
            descriptors={0: given, 1: pipe.writing, 2: pipe.writing},
        )
        pipe.close_writing()
        said = pipe.read_tail(timeout_s=30)
        assert process.wait(30) == 0, said


def ask_until_known(engine: Engine, inside: Path, server: str) -> dict[str, Any]:
    """aardvark-dns says that it is ready a little before it is."""
    for _ in range(2000):
        try:
            return ask_all(engine, inside, server)
        except OSError:
            continue
    raise AssertionError("the name server does not answer")
