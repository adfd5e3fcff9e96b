"""Pods on networks with names: found by the pod's name and by those of its members."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_pods import waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.errors import (
    CommandNotFoundError,
    ConflictError,
    InUseError,
    NetworkNotFoundError,
    PodNotFoundError,
    WrongStateError,
)
from tests.support.fixtures_store import BUSYBOX
from tests.support.name_client import name_client

SLEEP = ["sleep", "1000"]
MEMBER = {"image": BUSYBOX, "command": SLEEP}


def serve(word: str, *, port: int = 7000) -> list[str]:
    return ["nc", "-ll", "-p", str(port), "-e", "echo", word]


def server(word: str, *, port: int = 7000, **options: object) -> dict[str, object]:
    return dict(image=BUSYBOX, command=serve(word, port=port), wait=waits.listening(port), **options)


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


# joining and leaving


@pytest.mark.parametrize("options", [{}, {"networks": ["front"]}], ids=["private", "named"])
def test_running_pod_joins_and_leaves_a_network(engine: Engine, options: dict[str, object]) -> None:
    engine.create_network("front")
    back = engine.create_network("back", internal=True)
    db = engine.run(BUSYBOX, serve("tables"), name="db", networks=[back])
    shop = engine.run_pod(name="shop", **options, web=server("page", port=8000), other=MEMBER)
    place = back.connect(shop, aliases=["store"], ip=back.subnets[0].replace("0/24", "44"))
    assert set(shop.networks) == {"back", *(["front"] if options else [])}
    assert shop["web"].networks["back"] == shop.networks["back"] == place
    assert {one.name for one in back.containers()} == {"shop-web", "shop-other", "db"}
    with name_client(engine, db) as names:
        for name in ("shop", "web", "shop-web", "other", "store"):
            assert names.addresses(name) == [place.find_ip(4)]
    for member in shop.values():
        assert db.ip in member.succeed("nslookup db.")
        assert member.succeed(f"nc -w 2 {db.ip} 7000 </dev/null").strip() == "tables"
    assert db.succeed(f"nc -w 2 {place.find_ip(4)} 8000 </dev/null").strip() == "page"
    with shop.connect(8000, timeout=10) as connection:
        assert connection.recv(100) == b"page\n"
    assert shop.inspect()["Networks"] == list(shop.networks)
    assert shop["web"].inspect()["NetworkSettings"]["Networks"]["back"]["IPAddress"] == place.find_ip(4)

    back.disconnect(shop)
    assert "back" not in shop.networks
    assert str(place.find_ip(4)) not in shop["web"].succeed("ip addr")
    with name_client(engine, db) as names:
        for name in ("shop", "web", "store"):
            assert not names.knows(name)
    with pytest.raises(NetworkNotFoundError, match="pod shop is not on network back"):
        back.disconnect(shop)
    assert "default via" in shop["web"].succeed("ip route")


def test_address_of_a_pod_is_where_it_is_now(engine: Engine) -> None:
    front, back = engine.create_network("front"), engine.create_network("back")
    shop = engine.run_pod(networks=[front], web=MEMBER)
    back.connect(shop)
    assert shop.ip == shop["web"].ip == shop.networks["front"].find_ip(4)
    front.disconnect(shop)
    assert shop.ip == shop["web"].ip == shop.networks["back"].find_ip(4)


def test_pod_joins_and_leaves_by_one_of_its_members(engine: Engine) -> None:
    back = engine.create_network("back", internal=True)
    shop = engine.run_pod(name="shop", web=MEMBER, other=MEMBER)
    back.connect(shop["web"])
    assert set(shop.networks) == set(shop["other"].networks) == {"back"}
    with pytest.raises(ConflictError, match="pod shop is on network back already"):
        back.connect(shop["other"])
    back.disconnect(shop["other"])
    assert shop.networks == {}


def test_pod_that_joined_a_network_is_still_on_it_after_a_restart_and_a_reload(engine: Engine) -> None:
    back = engine.create_network("back", internal=True)
    db = engine.run(BUSYBOX, SLEEP, name="db", networks=[back])
    shop = engine.run_pod(name="shop", web=server("page", port=8000))
    place = back.connect(shop)
    shop.restart()
    shop["web"].reload_networks()
    shop["web"].wait_ready(waits.listening(8000))
    assert db.succeed(f"nc -w 2 {place.find_ip(4)} 8000 </dev/null").strip() == "page"
    with name_client(engine, db) as names:
        assert names.addresses("web") == names.addresses("shop") == [place.find_ip(4)]


def test_address_of_a_pod_that_joined_is_free_when_it_is_removed(engine: Engine) -> None:
    tiny = engine.create_network("tiny", subnet="10.77.0.0/29", internal=True)
    client = engine.run(BUSYBOX, SLEEP, networks=[tiny])
    for _ in range(5):
        shop = engine.run_pod(name="shop", a=MEMBER)
        tiny.connect(shop)
        shop.remove()
        assert tiny.containers() == [client]
        with name_client(engine, client) as names:
            assert not names.knows("shop")
            assert not names.knows("a")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"network": "none"}, "pod shop has network='none' and can join no other"),
        ({"network": "host"}, "pod shop has network='host' and can join no other"),
        ({"network": "none", "share": "ipc"}, "the members of pod shop share no network"),
    ],
)
def test_pod_that_cannot_join_is_told_so(engine: Engine, options: dict[str, object], told: str) -> None:
    back = engine.create_network("back", internal=True)
    shop = engine.run_pod(name="shop", a=MEMBER, **options)
    with pytest.raises(WrongStateError, match=told):
        back.connect(shop)
    assert back.containers() == []


def test_member_with_a_network_of_its_own_joins_alone(engine: Engine) -> None:
    back = engine.create_network("back", internal=True)
    shop = engine.run_pod(name="shop", share="ipc", a=MEMBER, b=MEMBER)
    back.connect(shop["a"])
    assert (set(shop["a"].networks), set(shop["b"].networks)) == ({"back"}, set())


def test_removed_pod_can_join_no_network(engine: Engine) -> None:
    back = engine.create_network("back", internal=True)
    shop = engine.run_pod(name="shop", a=MEMBER)
    shop.remove()
    with pytest.raises(PodNotFoundError, match=r"pod shop .* was removed"):
        back.connect(shop)
    assert back.containers() == []


# members that come and go


def test_member_that_joins_later_is_found_on_the_networks_of_the_pod_until_it_goes(engine: Engine) -> None:
    front, back = (engine.create_network(name, internal=True) for name in ("front", "back"))
    client = engine.run(BUSYBOX, SLEEP, networks=[front])
    shop = engine.run_pod(name="shop", networks=[front], aliases=["store"], web=MEMBER)
    place = back.connect(shop)
    with name_client(engine, client) as names:
        assert not names.knows("late")
        late = engine.run(BUSYBOX, SLEEP, pod="shop", name="late")
        assert names.addresses("late") == names.addresses("web") == [shop.ip]
        assert back.resolve("late") == place.find_ip(4)
        assert "127.0.0.1\tlate\n" in shop["web"].read("/etc/hosts").decode()
        late.remove()
        assert not names.knows("late")
        assert names.addresses("web") == names.addresses("store") == [shop.ip]
    with pytest.raises(NetworkNotFoundError, match="nobody is called 'late'"):
        back.resolve("late")
    assert late.name not in re.sub("(?m)^#.*", "", shop["web"].read("/etc/hosts").decode())


def test_member_of_the_beginning_that_is_removed_is_found_no_more(engine: Engine) -> None:
    front = engine.create_network("front", internal=True)
    client = engine.run(BUSYBOX, SLEEP, networks=[front])
    shop = engine.run_pod(name="shop", networks=[front], a=MEMBER, b=MEMBER)
    shop["a"].remove()
    with name_client(engine, client) as names:
        known = [name for name in ("a", "shop-a", "b", "shop-b", "shop") if names.knows(name)]
    assert known == ["b", "shop-b", "shop"]


def test_name_that_is_the_pods_too_stays_when_its_member_goes(engine: Engine) -> None:
    front = engine.create_network("front", internal=True)
    client = engine.run(BUSYBOX, SLEEP, networks=[front])
    shop = engine.run_pod(name="shop", networks=[front], aliases=["late"], a=MEMBER, add_hosts={"late": "127.0.0.1"})
    engine.run(BUSYBOX, SLEEP, pod="shop", name="late").remove()
    with name_client(engine, client) as names:
        assert names.addresses("late") == [shop.ip]
    assert "127.0.0.1\tlate\n" in shop["a"].read("/etc/hosts").decode()


def test_member_whose_creation_fails_leaves_no_name(engine: Engine) -> None:
    front = engine.create_network("front", internal=True)
    client = engine.run(BUSYBOX, SLEEP, networks=[front])
    engine.run_pod(name="shop", networks=[front], a=MEMBER)
    with pytest.raises(CommandNotFoundError):
        engine.run(BUSYBOX, ["no-such"], pod="shop", name="late")
    with name_client(engine, client) as names:
        assert not names.knows("late")
        assert names.knows("a")


def test_members_that_come_and_go_at_once_leave_the_right_names(engine: Engine) -> None:
    front = engine.create_network("front", internal=True)
    client = engine.run(BUSYBOX, SLEEP, networks=[front])
    engine.run_pod(name="shop", networks=[front], a=MEMBER)

    def come(number: int) -> None:
        one = engine.run(BUSYBOX, SLEEP, pod="shop", name=f"late{number}")
        if number % 2:
            one.remove()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come, range(6)))
    with name_client(engine, client) as names:
        assert [names.knows(f"late{number}") for number in range(6)] == [True, False] * 3
