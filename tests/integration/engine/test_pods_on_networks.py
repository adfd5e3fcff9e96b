"""Pods on networks with names: found by the pod's name and by those of its members."""

from __future__ import annotations

import socket

import pytest

from pytest_pods import waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.errors import InUseError
from tests.support.fixtures_store import BUSYBOX
from tests.support.name_client import name_client

SLEEP = ["sleep", "1000"]


def server(word: str, *, port: int = 7000, **options: object) -> dict[str, object]:
    command = ["nc", "-ll", "-p", str(port), "-e", "echo", word]
    return dict(image=BUSYBOX, command=command, wait=waits.listening(port), **options)


def test_pod_is_found_by_its_name_and_those_of_its_members(engine: Engine) -> None:
    network = engine.create_network("backend")
    shop = engine.run_pod(
        name="shop", networks={"backend": {"aliases": ["store"]}}, db=server("tables"), web=server("page", port=8000)
    )
    client = engine.run(BUSYBOX, SLEEP, networks=[network])
    with name_client(engine, client) as names:
        for name in ("shop", "db", "web", "store"):
            assert names.addresses(name) == [shop.ip]
    for port, word in ((7000, "tables"), (8000, "page")):
        assert client.succeed(f"nc -w 2 {shop.ip} {port} </dev/null").strip() == word
    assert {one.name for one in network.containers()} == {"shop-db", "shop-web", client.name}
    with network.direct(), socket.create_connection(("web", 8000), timeout=10) as connection:
        assert connection.recv(100) == b"page\n"


def test_members_reach_others_on_every_network_of_the_pod(engine: Engine) -> None:
    front, back = engine.create_network("front"), engine.create_network("back", internal=True)
    db = engine.run(BUSYBOX, SLEEP, name="db", networks=[back])
    proxy = engine.run(BUSYBOX, SLEEP, name="proxy", networks=[front])
    shop = engine.run_pod(networks=[front, back], app={"image": BUSYBOX, "command": SLEEP})
    with name_client(engine, proxy) as names:
        assert names.addresses("app") == [shop.ip]
    for name, one in (("db", db), ("proxy", proxy)):
        assert one.ip in shop["app"].succeed(f"nslookup {name}.")


def test_removed_pod_is_found_no_more_and_its_address_is_free(engine: Engine) -> None:
    network = engine.create_network("tiny", subnet="10.77.0.0/29", internal=True)
    client = engine.run(BUSYBOX, SLEEP, networks=[network])
    for _ in range(5):
        pod = engine.run_pod(name="shop", networks=[network], a={"image": BUSYBOX, "command": SLEEP})
        with name_client(engine, client) as names:
            assert names.addresses("shop") == [pod.ip]
            pod.remove()
            assert not names.knows("shop")


def test_network_of_a_pod_is_in_use_and_goes_with_force(engine: Engine) -> None:
    network = engine.create_network("backend")
    engine.run_pod(name="shop", networks=[network], a={"image": BUSYBOX, "command": SLEEP})
    with pytest.raises(InUseError, match="in use by shop"):
        network.remove()
    network.remove(force=True)
    assert engine.pods() == []
    assert engine.networks() == []


def test_published_ports_of_a_pod_on_an_internal_network(engine: Engine) -> None:
    engine.create_network("inside", internal=True)
    web = server("page", port=8000, ports=[8000])
    shop = engine.run_pod(networks=["inside"], ports=[7000], db=server("tables"), web=web)
    for address, word in ((shop.address(7000), b"tables\n"), (shop["web"].address(8000), b"page\n")):
        with socket.create_connection(address, timeout=10) as connection:
            assert connection.recv(100) == word
