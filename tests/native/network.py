"""Services in a session's network namespaces, and forwards to them, for tests that play both sides themselves."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.native.sandbox import PATIENCE_S, Session
from tests.native.wire import Content, Kind, Tag

NETWORK = 0x40000000


def pin_network(session: Session, name: str = "pod") -> Path:
    """A new network namespace, by the path of its pin."""
    directory = session.directory / name
    directory.mkdir()
    session.connection.ask(Kind.PIN, [(Tag.TARGET, str(directory)), (Tag.NAMESPACES, NETWORK)])
    return directory / "net"


def socket_in(session: Session, netns: Path | None, domain: int, kind: int) -> socket.socket:
    fields: list[tuple[int, Content]] = [(Tag.DOMAIN, domain), (Tag.TYPE, kind)]
    if netns is not None:
        fields.append((Tag.NETWORK_NAMESPACE, str(netns)))
    made = socket.socket(fileno=session.connection.ask(Kind.SOCKET, fields).descriptors[0])
    made.settimeout(PATIENCE_S)
    return made


def listen_in(session: Session, netns: Path | None, host: str = "127.0.0.1", *, backlog: int = 512) -> socket.socket:
    """A TCP service that listens on this address of the namespace alone."""
    domain = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket_in(session, netns, domain, socket.SOCK_STREAM)
    made.bind((host, 0))
    made.listen(backlog)
    return made


def bind_in(session: Session, netns: Path | None, host: str = "127.0.0.1") -> socket.socket:
    """A UDP service."""
    domain = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket_in(session, netns, domain, socket.SOCK_DGRAM)
    made.bind((host, 0))
    return made


@dataclass(frozen=True)
class Forward:
    session: Session
    number: int
    host: str
    port: int

    def connect(self) -> socket.socket:
        made = socket.create_connection((self.host, self.port), timeout=PATIENCE_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def sender(self, host: str | None = None) -> socket.socket:
        """A UDP socket that talks to the forward."""
        made = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_DGRAM)
        made.settimeout(PATIENCE_S)
        made.connect((host or self.host, self.port))
        return made

    def end(self) -> None:
        self.session.connection.ask(Kind.FORWARD, [(Tag.FORWARD, self.number)])


def forward(
    session: Session,
    netns: Path | None,
    addresses: Sequence[tuple[str, int]],
    *,
    kind: int = socket.SOCK_STREAM,
    host: str = "127.0.0.1",
    more: Sequence[tuple[int, Content]] = (),
) -> Forward:
    """Binds a port of the host and has init forward it."""
    fields: list[tuple[int, Content]] = [(Tag.ADDRESS, f"{ip} {port}") for ip, port in addresses]
    if netns is not None:
        fields.append((Tag.NETWORK_NAMESPACE, str(netns)))
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as bound:
        bound.bind((host, 0))
        if kind == socket.SOCK_STREAM:
            bound.listen(512)
        port = bound.getsockname()[1]
        answer = session.connection.ask(Kind.FORWARD, [*fields, *more], [bound.fileno()])
    return Forward(session, answer.number(Tag.FORWARD), host, port)


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        piece = connection.recv(count - len(received))
        assert piece, f"the connection ended after {len(received)} of {count} bytes"
        received += piece
    return bytes(received)


def is_reset(connection: socket.socket) -> bool:
    """Whether the connection ends with a reset, not with an orderly end."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False
