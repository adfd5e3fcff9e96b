"""Names change while others ask: what is new is known soon, and no question is lost meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from pytest_pods.engine.api import Engine
from pytest_pods.engine.errors import NetworkError, PodsError, SystemCallError
from pytest_pods.engine.network.name_server import NameServer
from pytest_pods.engine.services import spare_networks
from tests.support.fixtures_store import BUSYBOX
from tests.support.name_client import NO_ERROR, client_of, name_client
from tests.support.session_links import remove_link

SLEEP = ["sleep", "1000"]


class Asker:
    """Asks for a name again and again on a thread, and counts what became of it."""

    def __init__(self, ask: object) -> None:
        self._ask = ask
        self._stop = threading.Event()
        self.answered = 0
        self.faults: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        assert callable(self._ask)
        while not self._stop.is_set():
            try:
                code, addresses = self._ask("db")
            except OSError as error:
                self.faults.append(repr(error))
                continue
            if code != NO_ERROR or not addresses:
                self.faults.append(f"response code {code}, {addresses}")
            self.answered += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)


def test_no_question_is_lost_while_containers_come_and_go(engine: Engine) -> None:
    engine.create_network("backend", ipv6=True)
    engine.create_network("other")
    engine.run(BUSYBOX, SLEEP, name="db", networks=["backend"])
    web = engine.run(BUSYBOX, SLEEP, networks=["backend"])
    with name_client(engine, web) as one, name_client(engine, web) as other:
        askers = [Asker(one.ask), Asker(other.ask)]
        for number in range(25):
            made = engine.create(BUSYBOX, SLEEP, networks=["backend" if number % 3 else "other"])
            if number % 2:
                made.remove()
        for asker in askers:
            asker.stop()
    assert [fault for asker in askers for fault in asker.faults] == []
    assert all(asker.answered > 500 for asker in askers)


def test_name_is_known_as_soon_as_its_container_is_there(engine: Engine) -> None:
    network = engine.create_network("backend", internal=True)
    web = engine.run(BUSYBOX, SLEEP, networks=[network])
    with name_client(engine, web) as client:
        for number in range(10):
            container = engine.create(BUSYBOX, SLEEP, name=f"db{number}", networks=[network])
            assert client.addresses(f"db{number}") == [container.ip]
            network.disconnect(container)
            assert not client.knows(f"db{number}")


def test_no_question_to_any_of_many_networks_is_lost_when_names_change(engine: Engine) -> None:
    networks = [engine.create_network(f"net{number}", internal=True, ipv6=True) for number in range(8)]
    web = engine.run(BUSYBOX, SLEEP, name="web", networks=networks)
    other = engine.create(BUSYBOX, SLEEP)
    namespace = engine.store.session(engine.session_id).container(web.id).namespace("net")
    with ExitStack() as stack:
        clients = [
            stack.enter_context(client_of(engine, gateway, namespace))
            for network in networks
            for gateway in network.gateways
        ]
        for number in range(20):
            if number % 2:
                networks[0].disconnect(other)
            else:
                networks[0].connect(other)
            # Right away, and the last ones first: a server listens at one address after the other.
            assert [client.ask("web")[0] for client in reversed(clients)] == [NO_ERROR] * len(clients)


def test_network_that_is_taken_down_while_names_change_is_in_nobodys_way(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spare_networks, "_MOST", 0)
    going, staying = (engine.create_network(name, internal=True) for name in ("going", "staying"))
    engine.run(BUSYBOX, SLEEP, networks=[going]).remove()
    web = engine.run(BUSYBOX, SLEEP, name="web", networks=[staying])
    faults: list[BaseException] = []

    def remove() -> None:
        try:
            going.remove()
        except BaseException as error:
            faults.append(error)

    remover = threading.Thread(target=remove)
    original = NameServer._start

    def start(self: NameServer, *given: Any, **named: Any) -> Any:
        if remover.ident is None:
            # What the new server is to know is settled, and the network that goes is in it.
            remover.start()
            while remover.is_alive() and not is_awaited(engine._session.layout.name_server_lock):
                time.sleep(0.001)
        return original(self, *given, **named)

    monkeypatch.setattr(NameServer, "_start", start)
    db = engine.run(BUSYBOX, SLEEP, name="db", networks=[staying])
    remover.join(60)
    assert (faults, engine.networks()) == ([], [staying])
    with name_client(engine, web) as client:
        assert client.addresses("db") == [db.ip]


def is_awaited(lock: Path) -> bool:
    """Whether somebody waits for a lock that somebody has (proc(5), /proc/locks)."""
    inode = str(lock.stat().st_ino)
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and line.split()[-3].rpartition(":")[2] == inode for line in lines)


def test_network_without_its_bridge_does_not_keep_names_from_changing_elsewhere(engine: Engine) -> None:
    broken, staying = (engine.create_network(name, internal=True) for name in ("broken", "staying"))
    engine.run(BUSYBOX, SLEEP, networks=[broken])
    web = engine.run(BUSYBOX, SLEEP, name="web", networks=[staying])
    remove_link(engine._session.start(), broken.record.bridge)
    db = engine.run(BUSYBOX, SLEEP, name="db", networks=[staying])
    with name_client(engine, web) as client:
        assert client.addresses("db") == [db.ip]
    with pytest.raises(NetworkError, match="network broken has lost its bridge"):
        engine.run(BUSYBOX, SLEEP, networks=[broken])


def test_killed_name_server_is_replaced_with_the_next_change(engine: Engine) -> None:
    import json

    network = engine.create_network("backend")
    web = engine.run(BUSYBOX, SLEEP, name="web", networks=[network])
    for _ in range(2):
        servers = json.loads(engine._session.layout.name_server_file.read_text())
        for server in servers:
            # One that was killed before may still have been there when the file was written.
            with suppress(SystemCallError):
                engine._session.start().signal(server["pid"], 9)
        engine.create(BUSYBOX, SLEEP, networks=[network])
        with name_client(engine, web) as client:
            assert client.addresses("web") == [web.ip]


def test_threads_that_make_containers_on_one_network_at_once(engine: Engine) -> None:
    engine.create_network("backend")
    names = [f"worker{number}" for number in range(12)]
    faults: list[PodsError] = []

    def make(name: str) -> None:
        try:
            engine.run(BUSYBOX, SLEEP, name=name, networks=["backend"])
        except PodsError as error:
            faults.append(error)

    threads = [threading.Thread(target=make, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert faults == []
    containers = {container.name: container for container in engine.containers()}
    assert len({container.ip for container in containers.values()}) == len(names)
    with name_client(engine, containers[names[0]]) as client:
        for name in names:
            assert client.addresses(name) == [containers[name].ip]
