"""Figures of networks: names, plugging, many containers, and what goes through a published port."""

from __future__ import annotations

import itertools
import selectors
import socket
import statistics
import threading
import time
from contextlib import ExitStack

from benchmarks.harness import Case
from benchmarks.podman import Podman
from pytest_pods import Container, Engine

SLEEP = ["sleep", "600"]
MEGABYTES = 256
ROUND_TRIPS = 2000
CONNECTIONS = 1000
CONTAINERS = 100
_CHUNK = 1 << 20


def build_network_cases(pods: Engine, podman: Podman, image: str) -> list[Case]:
    """In the order of the table."""
    return [
        two_with_names(pods, podman, image),
        plugging(pods, image),
        many(pods, image),
        throughput(pods, image),
        latency(pods, image),
        connections(pods, image),
    ]


def two_with_names(pods: Engine, podman: Podman, image: str) -> Case:
    numbers = itertools.count()

    def ours() -> None:
        network = pods.create_network(f"bench{next(numbers)}")
        pods.run(image, SLEEP, name="db", networks=[network])
        web = pods.run(image, SLEEP, networks=[network])
        web.exec(["nslookup", "db"], check=True)
        network.remove(force=True)

    def theirs() -> None:
        name = f"bench{next(numbers)}"
        podman.run("network", "create", name)
        podman.run("run", "-d", "--name", "db", "--network", name, image, *SLEEP)
        web = podman.run("run", "-d", "--network", name, image, *SLEEP).strip()
        podman.run("exec", web, "nslookup", "db")
        podman.run("rm", "-f", "-t", "0", web, "db")
        podman.run("network", "rm", name)

    return Case("two containers on a network of their own, one asks for the other by name, removed", 0.25, ours, theirs,
                rounds=10)  # fmt: skip


def plugging(pods: Engine, image: str) -> Case:
    made: list[Container] = []

    def between() -> None:
        pods.network("default")
        if not made:
            made.append(pods.run(image, SLEEP, network="default"))
        for container in made[1:]:
            container.remove()
        del made[1:]

    return Case(
        "a container on a live network, and one without network", 5.0,
        lambda: made.append(pods.run(image, SLEEP, network="default")),
        lambda: made.append(pods.run(image, SLEEP, network="none")),
        between=between, difference=True, rounds=40,
    )  # fmt: skip


def many(pods: Engine, image: str) -> Case:
    def ours() -> float:
        network = pods.create_network("many")
        pods.run(image, SLEEP, networks=[network])
        took = []
        for _ in range(CONTAINERS):
            began = time.perf_counter()
            pods.run(image, SLEEP, networks=[network])
            took.append(time.perf_counter() - began)
        network.remove(force=True)
        return statistics.median(took[-10:]) / statistics.median(took[:10])

    return Case(f"{CONTAINERS} containers on one network: the last ten to the first ten", 1.3, ours, unit="times",
                rounds=3)  # fmt: skip


class _Server:
    """A container that runs a program for each connection; reached by its published port, and without."""

    def __init__(self, pods: Engine, image: str, *program: str) -> None:
        self._pods, self._image = pods, image
        self._command = ["nc", "-ll", "-p", "9000", "-e", *program]
        self._container: Container | None = None

    def start(self) -> None:
        if self._container is None:
            self._container = self._pods.run(
                self._image, self._command, ports=[9000], network="none",
                wait=lambda container: 9000 in container.listening(),
            )  # fmt: skip

    def published(self) -> socket.socket:
        assert self._container is not None
        return socket.create_connection(self._container.address(9000), timeout=60)

    def straight(self) -> socket.socket:
        """The container's own loopback: what there is to compare with."""
        assert self._container is not None
        return self._container.connect(9000, timeout=60)


def throughput(pods: Engine, image: str) -> Case:
    server = _Server(pods, image, "cat", "/dev/zero")

    def read(connection: socket.socket) -> None:
        left = MEGABYTES * 1024 * 1024
        buffer = bytearray(_CHUNK)
        with connection:
            while left > 0:
                left -= connection.recv_into(buffer)

    return Case(
        f"{MEGABYTES} MiB through a published port, to the same over the container's loopback", 2.0,
        lambda: read(server.published()), lambda: read(server.straight()), between=server.start, rounds=5,
    )  # fmt: skip


def latency(pods: Engine, image: str) -> Case:
    server = _Server(pods, image, "cat")

    def bounce(connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(ROUND_TRIPS):
                connection.sendall(b"x")
                connection.recv(1)

    return Case(
        f"{ROUND_TRIPS} round trips through a published port, to the same over the container's loopback", 3.0,
        lambda: bounce(server.published()), lambda: bounce(server.straight()), between=server.start, rounds=5,
    )  # fmt: skip


def connections(pods: Engine, image: str) -> Case:
    echo: list[_Echo] = []

    def start() -> None:
        if not echo:
            echo.append(_Echo(pods, pods.run(image, SLEEP, ports=[9000], network="none")))

    def ours() -> float:
        lost = 0
        with ExitStack() as stack:
            address = echo[0].container.address(9000)
            opened = [stack.enter_context(socket.create_connection(address, 60)) for _ in range(CONNECTIONS)]
            for number, connection in enumerate(opened):
                connection.sendall(f"{number:08}".encode())
            for number, connection in enumerate(opened):
                lost += _read_exactly(connection, 8) != f"{number:08}".encode()
        return lost

    return Case(f"{CONNECTIONS} connections at once through a published port: lost", 0.0, ours, between=start,
                unit="lost", rounds=3)  # fmt: skip


class _Echo:
    """Sends back what comes, from inside a container's network namespace: no image has a server with a long queue."""

    def __init__(self, pods: Engine, container: Container) -> None:
        self.container = container
        namespace = pods._session.layout.container(container.id).namespace("net")
        self._listener = pods._session.start().socket(
            socket.AF_INET, socket.SOCK_STREAM, network_namespace=namespace
        )
        self._listener.bind(("0.0.0.0", 9000))
        self._listener.listen(1024)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._listener:
                        selector.register(self._listener.accept()[0], selectors.EVENT_READ)
                        continue
                    connection = key.fileobj
                    assert isinstance(connection, socket.socket)
                    if content := connection.recv(4096):
                        connection.sendall(content)
                    else:
                        selector.unregister(connection)
                        connection.close()


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        chunk = connection.recv(size - len(content))
        if not chunk:
            break
        content += chunk
    return content
