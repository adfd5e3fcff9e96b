"""Containers in the network of another: what they have of it, who finds them, and who has to go first."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_pods import waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import (
    CommandNotFoundError,
    ContainerNotFoundError,
    InUseError,
    InvalidSpecError,
    NotFoundError,
)
from tests.support.fixtures_store import BUSYBOX
from tests.support.name_client import name_client

SLEEP = ["sleep", "1000"]


def serve(word: str, *, port: int = 7000) -> list[str]:
    return ["nc", "-ll", "-p", str(port), "-e", "echo", word]


def namespace_of(container: Container) -> str:
    return container.succeed("readlink /proc/self/ns/net").strip()


def test_container_is_in_the_network_of_another_and_has_the_rest_to_itself(engine: Engine) -> None:
    db = engine.run(BUSYBOX, serve("tables"), name="db", wait=waits.listening(7000), add_hosts={"old": "192.0.2.9"})
    sidecar = engine.run(BUSYBOX, serve("metrics", port=9000), name="sidecar", network="container:db", ports=[9000])
    sidecar.wait_ready(waits.listening(9000))
    assert namespace_of(sidecar) == namespace_of(db)
    for kind in ("uts", "ipc", "mnt"):
        path = f"readlink /proc/self/ns/{kind}"
        assert sidecar.succeed(path) != db.succeed(path)
    assert sidecar.ip == db.ip
    assert sidecar.succeed("nc -w 2 127.0.0.1 7000 </dev/null") == "tables\n"
    assert db.succeed("nc -w 2 sidecar 9000 </dev/null") == "metrics\n"
    assert "192.0.2.9\told" in sidecar.read("/etc/hosts").decode()
    assert sidecar.read("/etc/resolv.conf") == db.read("/etc/resolv.conf")
    with socket.create_connection(sidecar.address(9000), timeout=10) as connection:
        assert connection.recv(100) == b"metrics\n"
    with sidecar.connect(7000, timeout=10) as connection:
        assert connection.recv(100) == b"tables\n"
    assert sidecar.listening() >= {7000, 9000}
    assert sidecar.inspect()["HostConfig"]["NetworkMode"] == f"container:{db.id}"


def test_what_shares_a_network_is_on_all_that_it_joins_and_found_by_name(engine: Engine) -> None:
    back = engine.create_network("back", internal=True)
    client = engine.run(BUSYBOX, SLEEP, networks=[back])
    db = engine.run(BUSYBOX, SLEEP, name="db")
    one = engine.run(BUSYBOX, SLEEP, name="one", network=f"container:{db.short_id}")
    place = back.connect(one)
    assert db.networks["back"] == one.networks["back"] == place
    with name_client(engine, client) as names:
        assert names.addresses("db") == names.addresses("one") == [place.find_ip(4)]
        two = engine.run(BUSYBOX, SLEEP, name="two", network="container:one")
        assert names.addresses("two") == [place.find_ip(4)]
        assert {found.name for found in back.containers()} == {client.name, "db", "one", "two"}
        two.remove()
        assert not names.knows("two")
        assert names.knows("one")
    back.disconnect(db)
    assert one.networks == {}


@pytest.mark.parametrize("network", ["none", "host"])
def test_network_of_the_other_may_be_none_or_the_hosts(engine: Engine, network: str) -> None:
    db = engine.run(BUSYBOX, SLEEP, name="db", network=network)
    sidecar = engine.run(BUSYBOX, SLEEP, network="container:db")
    assert namespace_of(sidecar) == namespace_of(db)
    assert sidecar.exec(["true"], through_runtime=True).ok
    if network == "host":
        assert namespace_of(sidecar) == os.readlink("/proc/self/ns/net")
        assert sidecar.succeed("hostname") == db.succeed("hostname")
        with pytest.raises(InvalidSpecError, match="db is on the host's network: ports cannot be published"):
            engine.run(BUSYBOX, SLEEP, network="container:db", ports=[80])


def test_network_of_a_member_is_that_of_its_pod(engine: Engine) -> None:
    shop = engine.run_pod(name="shop", network="none", web={"image": BUSYBOX, "command": SLEEP})
    sidecar = engine.run(BUSYBOX, SLEEP, name="sidecar", network="container:shop-web")
    assert namespace_of(sidecar) == namespace_of(shop["web"])
    assert list(shop) == ["web"]
    shop["web"].remove()
    assert sidecar.running
    sidecar.stop()
    with pytest.raises(InUseError, match="network of pod shop is also that of sidecar"):
        shop.remove(force=False)
    shop.remove()
    assert engine.containers() == []


def test_network_is_there_while_the_other_is_started_again(engine: Engine) -> None:
    db = engine.run(BUSYBOX, serve("tables"), name="db", network="none")
    sidecar = engine.run(BUSYBOX, SLEEP, network="container:db")
    db.restart()
    db.wait_ready(waits.listening(7000))
    assert sidecar.succeed("nc -w 2 127.0.0.1 7000 </dev/null") == "tables\n"
    sidecar.restart()
    assert sidecar.succeed("nc -w 2 db 7000 </dev/null") == "tables\n"


def test_who_has_the_network_goes_last_or_by_force_with_all_others(engine: Engine) -> None:
    db = engine.create(BUSYBOX, SLEEP, name="db")
    sidecars = [engine.run(BUSYBOX, SLEEP, name=f"sidecar{number}", network="container:db") for number in range(2)]
    with pytest.raises(InUseError, match="network of container db is also that of sidecar0, sidecar1"):
        db.remove(force=False)
    # What was refused changed nothing.
    sidecars.append(engine.run(BUSYBOX, SLEEP, name="sidecar2", network="container:db"))
    sidecars[0].remove()
    db.remove()
    assert engine.containers() == []
    layout = engine.store.session(engine.session_id)
    for place in (layout.names_dir, layout.leases_dir, layout.containers_dir):
        assert os.listdir(place) == []
    with pytest.raises(NotFoundError):
        sidecars[1].start()


def test_sharer_that_cannot_be_made_leaves_nothing(engine: Engine) -> None:
    db = engine.run(BUSYBOX, SLEEP, name="db", network="none")
    before = db.read("/etc/hosts").count(b"\n127")
    with pytest.raises(CommandNotFoundError):
        engine.run(BUSYBOX, ["no-such"], name="sidecar", network="container:db")
    assert engine.containers() == [db]
    assert db.read("/etc/hosts").count(b"\n127") == before
    db.stop()
    db.remove(force=False)


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"network": "container:nobody"}, ContainerNotFoundError, "no container 'nobody'"),
        ({"network": "container:"}, InvalidSpecError, "'container:' names no container"),
        ({"network": "container"}, InvalidSpecError, "'container' needs more"),
        ({"network": "container:db", "networks": ["default"]}, InvalidSpecError, "were both given"),
        ({"network": "container:db", "pod": "shop"}, InvalidSpecError, "pod='shop' were both given"),
        ({"network": "container:db", "dns": ["192.0.2.1"]}, InvalidSpecError, "dns cannot be given"),
        ({"network": "container:db", "dns": "none"}, InvalidSpecError, "dns cannot be given"),
        ({"network": "container:db", "add_hosts": {"a": "192.0.2.1"}}, InvalidSpecError, "add_hosts cannot be given"),
        ({"network": "container:db", "aliases": ["a"]}, InvalidSpecError, "aliases need a network with names"),
    ],
)
def test_what_cannot_be_is_refused(
    engine: Engine, options: dict[str, object], kind: type[Exception], told: str
) -> None:
    db = engine.run(BUSYBOX, SLEEP, name="db", network="none")
    with pytest.raises(kind, match=told):
        engine.run(BUSYBOX, SLEEP, **options)
    assert engine.containers() == [db]


def test_pod_and_its_members_have_a_network_of_their_own(engine: Engine) -> None:
    engine.run(BUSYBOX, SLEEP, name="db", network="none")
    with pytest.raises(InvalidSpecError, match=r"a pod cannot be in the network of a container \(db\)"):
        engine.run_pod(network="container:db", a={"image": BUSYBOX})
    with pytest.raises(InvalidSpecError, match="its network is the pod's"):
        engine.run_pod(a={"image": BUSYBOX, "network": "container:db"})
    # Where they share none, a member may be in any.
    pod = engine.run_pod(share="ipc", a={"image": BUSYBOX, "command": SLEEP, "network": "container:db"})
    assert namespace_of(pod["a"]) == namespace_of(engine.container("db"))


@pytest.mark.timeout(600)
def test_processes_that_join_and_remove_at_once_leave_nobody_in_a_network_that_is_gone(image_store: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pytest_pods.engine.api import Engine\n"
        "from pytest_pods.engine.errors import PodsError\n"
        "engine = Engine.attach(sys.argv[2], root=Path(sys.argv[1]))\n"
        "try:\n"
        f"    engine.run({BUSYBOX!r}, ['sleep', '1000'], network='container:' + sys.argv[3])\n"
        "except PodsError as error:\n"
        "    print(type(error).__name__, error)\n"
        "engine.close()\n"
    )
    with Engine.open(root=image_store) as engine:
        engine.keep(300)
        try:
            db = engine.run(BUSYBOX, SLEEP, name="db")
            argv = [sys.executable, "-c", script, str(image_store), engine.session_id, db.id]
            processes = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(4)]
            db.wait_until(lambda: len(engine.containers()) > 1, timeout=60)
            db.remove()
            for process in processes:
                said = process.communicate(timeout=120)[0].decode()
                assert process.returncode == 0, said
                assert "Traceback" not in said
            assert engine.containers() == []
        finally:
            engine.end()
