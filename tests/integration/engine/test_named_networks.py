"""Networks with names: who reaches whom, under which addresses and names, and what is refused."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import (
    AddressInUseError,
    ConflictError,
    InUseError,
    InvalidSpecError,
    NameInUseError,
    NetworkError,
    NetworkNotFoundError,
    SubnetInUseError,
    WrongStateError,
)
from pytest_pods.engine.host.pipes import Pipe
from pytest_pods.engine.network import links
from pytest_pods.engine.network.link_messages import Link
from pytest_pods.engine.network.netlink import Netlink
from tests.support.fixtures_store import BUSYBOX
from tests.support.hello_service import serve_hello
from tests.support.name_client import NAME_ERROR, name_client
from tests.support.session_links import remove_link

SLEEP = ["sleep", "1000"]


def serve(engine: Engine, word: str, *, port: int = 7000, **options: object) -> Container:
    """A container that sends a word to whoever connects."""
    command = ["nc", "-ll", "-p", str(port), "-e", "echo", word]
    return engine.run(BUSYBOX, command, wait=lambda container: port in container.listening(), **options)


def hear(container: Container, address: str, port: int = 7000) -> str:
    """What a connection from the container to an address brings; empty if there is none."""
    return container.exec(["sh", "-c", f"nc -w 2 {address} {port} </dev/null"], timeout=20).stdout.strip()


# reaching each other


def test_containers_of_a_network_find_each_other_by_name_alias_and_id(engine: Engine) -> None:
    # Internal: else the question for a name that nobody has goes upstream.
    engine.create_network("backend", internal=True)
    db = serve(engine, "tables", name="db", networks={"backend": {"aliases": ["database", "Primary"]}})
    web = engine.run(BUSYBOX, SLEEP, networks=["backend"])
    with name_client(engine, web) as client:
        for name in ("db", "DB", "db.dns.podman", "database", "primary", db.short_id):
            assert client.addresses(name) == [db.ip]
        assert client.ask("nobody")[0] == NAME_ERROR
    assert hear(web, db.ip) == "tables"
    assert "search dns.podman" in web.read("/etc/resolv.conf").decode()


def test_address_resolves_to_the_name(engine: Engine) -> None:
    engine.create_network("backend")
    db = engine.run(BUSYBOX, SLEEP, name="db", networks=["backend"])
    assert "name = db" in db.exec(["nslookup", db.ip]).stdout


def test_alias_of_several_containers_resolves_to_all_of_them(engine: Engine) -> None:
    engine.create_network("backend")
    workers = [engine.run(BUSYBOX, SLEEP, networks={"backend": {"aliases": ["worker"]}}) for _ in range(3)]
    with name_client(engine, workers[0]) as client:
        assert sorted(client.addresses("worker")) == sorted(worker.ip for worker in workers)


def test_removed_container_is_not_found_any_more(engine: Engine) -> None:
    engine.create_network("backend", internal=True)
    db = engine.run(BUSYBOX, SLEEP, name="db", networks=["backend"])
    web = engine.run(BUSYBOX, SLEEP, networks=["backend"])
    with name_client(engine, web) as client:
        assert client.knows("db")
        db.remove()
        assert client.ask("db")[0] == NAME_ERROR


def test_names_belong_to_their_network(engine: Engine) -> None:
    engine.create_network("one", internal=True)
    engine.create_network("two", internal=True)
    engine.run(BUSYBOX, SLEEP, name="db", networks=["one"])
    stranger = engine.run(BUSYBOX, SLEEP, networks=["two"])
    both = engine.run(BUSYBOX, SLEEP, networks=["two", "one"])
    with name_client(engine, stranger) as client:
        assert not client.knows("db")
    with name_client(engine, both) as client:
        assert client.knows("db")


def test_default_network_is_made_when_it_is_used(engine: Engine) -> None:
    assert engine.networks() == []
    db = engine.run(BUSYBOX, SLEEP, name="db", network="default")
    web = engine.run(BUSYBOX, SLEEP, networks=["default"])
    assert [network.name for network in engine.networks()] == ["default"]
    with name_client(engine, web) as client:
        assert client.addresses("db") == [db.ip]


def test_published_port_of_a_container_on_a_network(engine: Engine) -> None:
    engine.create_network("backend", internal=True)
    db = serve(engine, "tables", networks=["backend"], ports=[7000])
    with socket.create_connection(db.address(7000), timeout=10) as connection:
        assert connection.recv(100) == b"tables\n"


@pytest.mark.parametrize("options", [{}, {"ipv6": True}, {"subnet": "fd77::/64"}], ids=["v4", "dual", "v6"])
def test_containers_reach_each_other_over_every_family(engine: Engine, options: dict[str, object]) -> None:
    network = engine.create_network("backend", **options)
    server = engine.run(
        BUSYBOX,
        ["sh", "-c", "mkdir /www; echo tables > /www/index.html; exec httpd -f -p 80 -h /www"],
        name="db",
        networks=["backend"],
        wait=lambda container: 80 in container.listening(),
    )
    web = engine.run(BUSYBOX, SLEEP, networks=["backend"])
    place = server.networks["backend"]
    assert len(place.ips) == len(network.subnets)
    for ip in place.ips:
        host = f"[{ip}]" if ":" in ip else ip
        assert web.exec(["wget", "-q", "-O", "-", f"http://{host}/"]).stdout == "tables\n"
    with name_client(engine, web) as client:
        for version in (4, 6):
            wanted = [place.find_ip(version)] if place.find_ip(version) else []
            assert client.ask("db", six=version == 6)[1] == wanted


# what leads out


def test_container_on_a_network_reaches_the_test_process(engine: Engine) -> None:
    engine.create_network("backend")
    web = engine.run(BUSYBOX, SLEEP, networks=["backend"], add_hosts={"tests": "host-gateway"})
    hosts = [line.split() for line in web.read("/etc/hosts").decode().splitlines()]
    gateway = next(words[0] for words in hosts if "host.containers.internal" in words)
    assert [gateway, "tests"] in hosts
    with serve_hello() as port:
        assert hear(web, gateway, port) == "hello"


def test_internal_network_does_not_lead_out(engine: Engine) -> None:
    engine.create_network("inside", internal=True)
    web = engine.run(BUSYBOX, SLEEP, networks=["inside"])
    other = serve(engine, "tables", name="db", networks=["inside"])
    assert "default" not in web.exec(["ip", "route"]).stdout
    assert "host.containers.internal" not in web.read("/etc/hosts").decode()
    assert hear(web, other.ip) == "tables"
    with serve_hello() as port:
        assert hear(web, "10.86.0.2", port) == ""
    with name_client(engine, web) as client:
        assert client.knows("db")


def test_network_without_default_route(engine: Engine) -> None:
    engine.create_network("side", default_route=False)
    web = engine.run(BUSYBOX, SLEEP, networks=["side"])
    assert "default" not in web.exec(["ip", "route"]).stdout


def test_networks_reach_each_other_unless_they_are_isolated(engine: Engine) -> None:
    for name, isolate in (("one", False), ("two", False), ("three", True), ("four", True)):
        engine.create_network(name, isolate=isolate)
    two = serve(engine, "two", networks=["two"])
    four = serve(engine, "four", networks=["four"])
    assert hear(engine.run(BUSYBOX, SLEEP, networks=["one"]), two.ip) == "two"
    assert hear(engine.run(BUSYBOX, SLEEP, networks=["three"]), four.ip) == ""


def test_own_name_servers_of_a_network_are_asked_for_other_names(engine: Engine) -> None:
    engine.create_network("upstream")
    server = engine.run(BUSYBOX, SLEEP, networks={"upstream": {"ip": "10.89.0.77"}})
    engine.create_network("backend", dns_servers=[server.ip])
    web = engine.run(BUSYBOX, SLEEP, networks=["backend"])
    namespace = engine.store.session(engine.session_id).container(server.id).namespace("net")
    with (
        engine._session.start().socket(socket.AF_INET, socket.SOCK_DGRAM, network_namespace=namespace) as upstream,
        name_client(engine, web) as client,
    ):
        upstream.settimeout(10)
        upstream.bind(("0.0.0.0", 53))

        def answer() -> None:
            question, address = upstream.recvfrom(4096)
            end = question.index(b"\0", 12) + 5
            upstream.sendto(
                question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:end]
                + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton("192.0.2.7"),
                address,
            )

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert client.addresses("www.example.org") == ["192.0.2.7"]
        thread.join(10)


def test_name_settings_of_a_container(engine: Engine) -> None:
    engine.create_network("quiet", dns=False)
    web = engine.run(
        BUSYBOX,
        SLEEP,
        networks=["quiet"],
        dns=["192.0.2.1", "2001:db8::1"],
        dns_search=["shop.test"],
        dns_options=["ndots:3"],
        add_hosts={"legacy": "192.0.2.9"},
    )
    lines = web.read("/etc/resolv.conf").decode().splitlines()
    assert [line for line in lines if line.startswith("nameserver")] == [
        "nameserver 192.0.2.1",
        "nameserver 2001:db8::1",
    ]
    assert any(line.startswith("search") and "shop.test" in line for line in lines)
    assert "options ndots:3" in lines
    assert "192.0.2.9\tlegacy" in web.read("/etc/hosts").decode()


# addresses


def test_given_address_mac_and_interface(engine: Engine) -> None:
    engine.create_network("backend", subnet=["10.77.0.0/24", "fd77::/64"], gateway=["10.77.0.9"], mtu=1380)
    web = engine.run(
        BUSYBOX,
        SLEEP,
        networks={"backend": {"ip": ["10.77.0.50", "fd77::50"], "mac": "02-aa-00-00-00-07", "interface": "lan0"}},
    )
    shown = web.exec(["ip", "addr", "show", "lan0"]).stdout
    assert "inet 10.77.0.50/24" in shown
    assert "inet6 fd77::50/64" in shown
    assert "02:aa:00:00:00:07" in shown
    assert "mtu 1380" in shown
    assert "default via 10.77.0.9 dev lan0" in web.exec(["ip", "route"]).stdout
    assert web.ip == "10.77.0.50"


def test_address_is_free_again_after_its_container_and_not_given_away_at_once(engine: Engine) -> None:
    engine.create_network("backend")
    first = engine.run(BUSYBOX, SLEEP, networks=["backend"])
    first.remove()
    second = engine.run(BUSYBOX, SLEEP, networks=["backend"])
    assert second.ip != first.ip
    third = engine.run(BUSYBOX, SLEEP, networks={"backend": {"ip": first.ip}})
    assert third.ip == first.ip


def test_address_in_use_is_refused_and_nothing_is_left(engine: Engine) -> None:
    engine.create_network("backend")
    holder = engine.run(BUSYBOX, SLEEP, networks=["backend"])
    with pytest.raises(AddressInUseError, match=holder.ip):
        engine.run(BUSYBOX, SLEEP, name="late", networks={"backend": {"ip": holder.ip}})
    assert engine.containers() == [holder]
    engine.run(BUSYBOX, SLEEP, name="late", networks=["backend"])


def test_no_address_left(engine: Engine) -> None:
    network = engine.create_network("tiny", subnet="10.77.0.0/29")
    # Of eight, the first and the last are not addresses, one is the gateway's and one the anchor's.
    made = [engine.run(BUSYBOX, SLEEP, networks=["tiny"]) for _ in range(4)]
    assert len({one.ip for one in made}) == 4
    with pytest.raises(NetworkError, match=r"no address of 10\.77\.0\.0/29 is left"):
        engine.run(BUSYBOX, SLEEP, networks=["tiny"])
    assert len(engine.containers()) == 4
    made[1].remove()
    assert engine.run(BUSYBOX, SLEEP, networks=[network]).ip == made[1].ip


def test_only_addresses_of_the_range_are_given(engine: Engine) -> None:
    engine.create_network("backend", subnet="10.77.0.0/24", ip_range="10.77.0.128/30")
    ips = {engine.run(BUSYBOX, SLEEP, networks=["backend"]).ip for _ in range(3)}
    assert all(ipaddress.ip_address(ip) in ipaddress.ip_network("10.77.0.128/30") for ip in ips)


def test_address_outside_of_the_subnets_is_refused(engine: Engine) -> None:
    engine.create_network("backend", subnet="10.77.0.0/24")
    with pytest.raises(InvalidSpecError, match=r"10\.78\.0\.5 is in no subnet of network backend"):
        engine.run(BUSYBOX, SLEEP, networks={"backend": {"ip": "10.78.0.5"}})
    assert engine.containers() == []


# joining and leaving


def test_running_container_joins_and_leaves_a_network(engine: Engine) -> None:
    one, two = engine.create_network("one"), engine.create_network("two", internal=True)
    db = serve(engine, "tables", name="db", networks=[two])
    web = engine.run(BUSYBOX, SLEEP, name="web", networks=[one])
    two.connect(web, aliases=["front"], ip="10.89.1.44")
    assert set(web.networks) == {"one", "two"}
    assert web.networks["two"].find_ip(4) == "10.89.1.44"
    assert hear(web, db.ip) == "tables"
    with name_client(engine, db) as client:
        assert client.addresses("front") == ["10.89.1.44"]
    with name_client(engine, web) as client:
        assert client.knows("db")
    with pytest.raises(ConflictError, match="is on network two already"):
        two.connect(web)
    two.disconnect(web)
    assert set(web.networks) == {"one"}
    assert "10.89.1.44" not in web.exec(["ip", "addr"]).stdout
    with name_client(engine, db) as client:
        assert not client.knows("front")
    with pytest.raises(NetworkNotFoundError, match="is not on network two"):
        two.disconnect(web)


def test_address_is_where_the_container_is_now(engine: Engine) -> None:
    one, two = engine.create_network("one"), engine.create_network("two")
    web = engine.run(BUSYBOX, SLEEP, networks=[one])
    first = web.ip
    beside = engine.run(BUSYBOX, SLEEP, network=f"container:{web.name}")
    two.connect(web)
    assert web.ip == beside.ip == first == web.networks["one"].find_ip(4)
    one.disconnect(web)
    assert web.ip == beside.ip == web.networks["two"].find_ip(4)
    assert web.ip in web.succeed("ip addr")
    two.disconnect(web)
    assert web.ip == beside.ip == ""
    web.remove(force=True)
    assert web.ip == first


def test_container_with_a_private_network_can_join_one_with_names(engine: Engine) -> None:
    network = engine.create_network("backend")
    db = serve(engine, "tables", name="db", networks=[network])
    web = engine.run(BUSYBOX, SLEEP)
    network.connect(web)
    assert hear(web, db.ip) == "tables"
    with name_client(engine, web) as client:
        assert client.knows("db")


def test_container_without_a_network_cannot_join_one(engine: Engine) -> None:
    network = engine.create_network("backend")
    web = engine.run(BUSYBOX, SLEEP, network="none")
    with pytest.raises(WrongStateError, match="network='none'"):
        network.connect(web)
    assert network.containers() == []


def test_networks_stay_after_a_restart(engine: Engine) -> None:
    network = engine.create_network("backend")
    db = serve(engine, "tables", name="db", networks=[network])
    web = engine.run(BUSYBOX, SLEEP, networks=[network])
    db.restart()
    db.wait_ready(lambda container: 7000 in container.listening())
    assert hear(web, db.ip) == "tables"


# straight from the test


def test_test_reaches_containers_straight_by_name_and_address(engine: Engine) -> None:
    network = engine.create_network("backend", ipv6=True)
    db = serve(engine, "tables", name="db", port=5432, networks={"backend": {"aliases": ["database"]}})
    assert network.resolve("database") == db.ip
    with network.direct():
        for name in ("db", "DATABASE", db.ip):
            with socket.create_connection((name, 5432), timeout=10) as connection:
                assert connection.recv(100) == b"tables\n"
        plain = socket.socket()
        plain.settimeout(10)
        assert plain.connect_ex(("db", 5432)) == 0
        plain.close()
        with pytest.raises(socket.gaierror):
            socket.create_connection(("nobody.invalid", 5432), timeout=10)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("db.invalid", 5432)
    assert "connect" not in vars(socket.socket)
    with db.connect(5432, timeout=10) as connection:
        assert connection.recv(100) == b"tables\n"


def test_nobody_of_that_name(engine: Engine) -> None:
    network = engine.create_network("backend")
    engine.run(BUSYBOX, SLEEP, name="db", networks=[network])
    with pytest.raises(NetworkNotFoundError, match=r"nobody is called 'cache' .*there are: db"):
        network.resolve("cache")


# what is refused, and the end


def test_unknown_network_is_named_and_nothing_is_left(engine: Engine) -> None:
    engine.create_network("backend")
    with pytest.raises(NetworkNotFoundError, match=r"no network 'frontend' \(there are: backend\)"):
        engine.run(BUSYBOX, SLEEP, networks=["backend", "frontend"])
    assert engine.containers() == []
    assert engine.network("backend").containers() == []


def test_taken_name_and_taken_subnet_are_refused(engine: Engine) -> None:
    engine.create_network("backend", subnet="10.77.0.0/16")
    with pytest.raises(NameInUseError, match="backend"):
        engine.create_network("backend")
    with pytest.raises(SubnetInUseError, match=r"10.77.3.0/24 overlaps 10.77.0.0/16 of network backend"):
        engine.create_network("other", subnet="10.77.3.0/24")
    with pytest.raises(SubnetInUseError, match="the session's way out"):
        engine.create_network("other", subnet="10.86.0.0/24")
    assert [network.name for network in engine.networks()] == ["backend"]


def test_network_in_use_is_not_removed_but_by_force(engine: Engine) -> None:
    network = engine.create_network("backend")
    engine.run(BUSYBOX, SLEEP, name="db", networks=[network])
    with pytest.raises(InUseError, match="in use by db"):
        network.remove()
    network.remove(force=True)
    assert engine.networks() == []
    assert engine.containers() == []


def test_removed_networks_leave_nothing_but_a_few_spare_ones_in_the_session(engine: Engine) -> None:
    before = state_of_session(engine)
    for number in range(6):
        network = engine.create_network(f"backend{number}", subnet=f"10.77.{number}.0/24")
        engine.run(BUSYBOX, SLEEP, networks=[network])
    for network in engine.networks():
        network.remove(force=True)
    left = [line for line in state_of_session(engine) if line not in before]
    assert not any(subnet in line for line in left for subnet in ("10.77.4.", "10.77.5."))
    assert engine.networks() == []


def test_network_that_was_removed_serves_the_next_one_that_is_alike(engine: Engine) -> None:
    bridges = set()
    for name in ("one", "two", "three"):
        network = engine.create_network(name, internal=True)
        db = serve(engine, "tables", name="db", networks=[network])
        web = engine.run(BUSYBOX, SLEEP, networks={name: {"aliases": [f"only-{name}"]}})
        assert hear(web, db.ip) == "tables"
        with name_client(engine, web) as client:
            assert client.addresses("db") == [db.ip]
            assert [client.knows(f"only-{other}") for other in ("one", "two", "three")].count(True) == 1
        bridges.add(network.record.bridge)
        network.remove(force=True)
    assert len(bridges) == 1


def test_network_that_was_removed_is_not_in_the_way(engine: Engine) -> None:
    first = engine.create_network("first")
    engine.run(BUSYBOX, SLEEP, networks=[first])
    subnet = first.subnets[0]
    first.remove(force=True)
    for options in ({"internal": True}, {"mtu": 1380}, {"subnet": subnet, "gateway": subnet.replace("0/24", "9")}):
        network = engine.create_network("other", **options)
        web = engine.run(BUSYBOX, SLEEP, networks=[network])
        db = serve(engine, "tables", networks=[network])
        assert hear(web, db.ip) == "tables"
        network.remove(force=True)


def state_of_session(engine: Engine) -> list[str]:
    """Links, addresses and rules in the session's own network namespace."""
    with Pipe() as pipe:
        process = engine._session.start().spawn(
            ["/bin/sh", "-c", "ip -o link; ip -o addr; nft list ruleset"],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            descriptors={1: pipe.writing},
        )
        pipe.close_writing()
        text = pipe.read_tail(timeout_s=10, most=1 << 20)
        process.wait(10)
    # The way out and the table of names are the session's, not a network's.
    own = (" out", "tap0", "pods-out", "pytest_pods_names")
    return [line for line in text.splitlines() if not any(word in line for word in own)]


def test_netavark_that_fails_half_way_leaves_nothing(engine: Engine) -> None:
    network = engine.create_network("backend")
    # The bridge's name is taken by something that is no bridge.
    with Netlink(engine._session.start()) as session:
        session.add_link(Link(name=network.record.bridge, kind="veth", peer=Link(name="other")))
    with pytest.raises(NetworkError, match="setting up network backend: netavark failed"):
        engine.run(BUSYBOX, SLEEP, networks=[network])
    assert engine.containers() == []
    assert network.containers() == []
    remove_link(engine._session.start(), network.record.bridge)
    assert engine.run(BUSYBOX, SLEEP, networks=[network]).running


def test_network_is_up_once_its_own_addresses_can_be_used(engine: Engine) -> None:
    network = engine.create_network("backend", ipv6=True)
    engine.run(BUSYBOX, SLEEP, networks=[network])
    sandbox, record = engine._session.start(), network.record
    links.await_addresses(sandbox, record, patience_s=0)
    remove_link(sandbox, record.bridge)
    with pytest.raises(NetworkError, match=r"network backend: its address fd.*cannot be used"):
        links.await_addresses(sandbox, record, patience_s=0)
    with ThreadPoolExecutor(1) as others, Netlink(sandbox) as session:
        waiting = others.submit(links.await_addresses, sandbox, record)
        session.add_link(Link(name="later", up=True, kind="bridge"))
        later = session.find_link("later")
        assert later is not None
        (gateway,) = (one for one in record.gateways if one.version == 6)
        assert not waiting.done()
        session.add_address(later, f"{gateway}/64")
        waiting.result(timeout=60)


@pytest.mark.timeout(900)
def test_eight_processes_in_one_session_never_share_an_address(image_store: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pytest_pods.engine.api import Engine\n"
        "engine = Engine.attach(sys.argv[2], root=Path(sys.argv[1]))\n"
        "for _ in range(3):\n"
        f"    print(engine.create({BUSYBOX!r}, ['sleep', '1000'], networks=['backend']).ip, flush=True)\n"
        "engine.close()\n"
    )
    with Engine.open(root=image_store) as engine:
        engine.keep(300)
        try:
            engine.create_network("backend")
            argv = [sys.executable, "-c", script, str(image_store), engine.session_id]
            processes = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(8)]
            # Eight interpreters start, in a virtual machine one after the other.
            ips = [ip for process in processes for ip in process.communicate(timeout=600)[0].split()]
            assert len(ips) == len(set(ips)) == 24
        finally:
            engine.end()
