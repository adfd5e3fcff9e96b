"""Asks the name server of a network as a program in a container would, from the container's own network namespace."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.network.names import build_question

NO_ERROR = 0
NAME_ERROR = 3
_RECORD_TYPES = {1: socket.AF_INET, 28: socket.AF_INET6}


class NameClient:
    """Sends one question after the other on one socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._number = 0

    def ask(self, name: str, *, six: bool = False) -> tuple[int, list[str]]:
        """The response code and the addresses. Raises OSError, TimeoutError if the question is lost."""
        self._number = self._number % 0xFFFF + 1
        self._connection.send(build_question(name, self._number, six=six))
        answer = self._connection.recv(4096)
        assert answer[:2] == self._number.to_bytes(2, "big")
        return answer[3] & 0xF, parse_addresses(answer)

    def addresses(self, name: str) -> list[str]:
        """The addresses of a name that has to exist."""
        code, found = self.ask(name)
        assert code == NO_ERROR, f"{name}: response code {code}"
        return found

    def knows(self, name: str) -> bool:
        return self.ask(name)[0] == NO_ERROR


def parse_addresses(answer: bytes) -> list[str]:
    """What the A and AAAA records of an answer say."""
    questions, records = (int.from_bytes(answer[n : n + 2], "big") for n in (4, 6))
    position = 12
    for _ in range(questions):
        position = _skip_name(answer, position) + 4
    found = []
    for _ in range(records):
        position = _skip_name(answer, position)
        kind, length = (int.from_bytes(answer[position + n : position + n + 2], "big") for n in (0, 8))
        position += 10
        if kind in _RECORD_TYPES:
            found.append(socket.inet_ntop(_RECORD_TYPES[kind], answer[position : position + length]))
        position += length
    return found


def _skip_name(packet: bytes, position: int) -> int:
    while packet[position]:
        if packet[position] >= 0xC0:
            return position + 2
        position += packet[position] + 1
    return position + 1


@contextmanager
def name_client(engine: Engine, container: Container, *, timeout: float = 5.0) -> Iterator[NameClient]:
    """A client that asks the first name server of the container's resolv.conf."""
    lines = container.read("/etc/resolv.conf").decode().splitlines()
    server = next(line.split()[1] for line in lines if line.startswith("nameserver"))
    namespace = engine.store.session(engine.session_id).container(container.id).namespace("net")
    with client_of(engine, server, namespace, timeout=timeout) as client:
        yield client


@contextmanager
def client_of(engine: Engine, server: str, namespace: Path, *, timeout: float = 5.0) -> Iterator[NameClient]:
    """A client in a network namespace that asks the name server at an address."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with engine._session.start().socket(family, socket.SOCK_DGRAM, network_namespace=namespace) as connection:
        connection.settimeout(timeout)
        connection.connect((server, 53))
        yield NameClient(connection)
