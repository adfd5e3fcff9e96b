"""FORWARD of UDP: each source has its own conversation, and is forgotten when it is silent."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.native.network import bind_in, forward, pin_network
from tests.native.sandbox import Session, wait_until
from tests.native.wire import Tag

DATAGRAM = socket.SOCK_DGRAM


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagrams_go_both_ways(session: Session, host: str) -> None:
    netns = pin_network(session)
    with bind_in(session, netns, host) as service:
        made = forward(session, netns, [service.getsockname()[:2]], kind=DATAGRAM, host=host)
        with made.sender() as client:
            client.send(b"request")
            content, source = service.recvfrom(100)
            assert content == b"request"
            service.sendto(b"answer", source)
            assert client.recv(100) == b"answer"


def test_sources_are_kept_apart(session: Session) -> None:
    with bind_in(session, None) as service:
        made = forward(session, None, [service.getsockname()], kind=DATAGRAM)
        clients = [made.sender() for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(bytes([number]))
        flows = {}
        for _ in clients:
            content, source = service.recvfrom(100)
            flows[content[0]] = source
        assert len(set(flows.values())) == 50
        for number, source in flows.items():
            service.sendto(bytes([number, number]), source)
        for number, client in enumerate(clients):
            assert client.recv(100) == bytes([number, number])
            client.close()


def test_boundaries_and_empty_datagrams_are_kept(session: Session) -> None:
    sizes = [0, 1, 1400, 9000, 60_000, 0]
    with bind_in(session, None) as service:
        made = forward(session, None, [service.getsockname()], kind=DATAGRAM)
        with made.sender() as client:
            for size in sizes:
                client.send(b"x" * size)
                content, source = service.recvfrom(65536)
                assert len(content) == size
                service.sendto(content, source)
                assert len(client.recv(65536)) == size


@pytest.mark.parametrize(("bound", "asked"), [("0.0.0.0", "127.0.0.2"), ("::", "::1")])
def test_answer_comes_from_the_address_that_was_asked(session: Session, bound: str, asked: str) -> None:
    with bind_in(session, None) as service:
        made = forward(session, None, [service.getsockname()], kind=DATAGRAM, host=bound)
        # A connected socket hears nothing from any other address.
        with made.sender(asked) as client:
            client.send(b"x")
            service.sendto(b"y", service.recvfrom(100)[1])
            assert client.recv(100) == b"y"


def test_dual_stack_socket_answers_ipv4(session: Session) -> None:
    with bind_in(session, None) as service:
        made = forward(session, None, [service.getsockname()], kind=DATAGRAM, host="::")
        with socket.socket(type=DATAGRAM) as client:
            client.settimeout(30)
            client.connect(("127.0.0.1", made.port))
            client.send(b"x")
            service.sendto(b"y", service.recvfrom(100)[1])
            assert client.recv(100) == b"y"


def test_address_that_refuses_is_passed_over_without_loss(session: Session) -> None:
    with bind_in(session, None) as closed:
        refusing = closed.getsockname()
    with bind_in(session, None, "::1") as service:
        made = forward(session, None, [refusing, service.getsockname()[:2]], kind=DATAGRAM)
        with made.sender() as client:
            client.send(b"only once")
            content, source = service.recvfrom(100)
            assert content == b"only once"
            service.sendto(b"y", source)
            assert client.recv(100) == b"y"


def test_service_that_comes_late_is_reached(session: Session) -> None:
    with bind_in(session, None) as closed:
        address = closed.getsockname()
    made = forward(session, None, [address], kind=DATAGRAM)
    with made.sender() as client:
        before = count_unwanted(session)
        client.send(b"lost")
        client.send(b"lost too")
        wait_until(lambda: count_unwanted(session) == before + 2, "both have arrived at a port where nobody is")
        with made_service(session, address) as service:
            client.send(b"heard")
            assert service.recv(100) == b"heard"


def count_unwanted(session: Session) -> int:
    """UDP's NoPorts counter of the session's network namespace."""
    lines = Path(f"/proc/{session.init}/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("NoPorts")])


def made_service(session: Session, address: tuple[str, int]) -> socket.socket:
    from tests.native.network import socket_in

    made = socket_in(session, None, socket.AF_INET, DATAGRAM)
    made.bind(address)
    return made


def test_silent_source_is_forgotten(session: Session) -> None:
    with bind_in(session, None) as service:
        made = forward(session, None, [service.getsockname()], kind=DATAGRAM, more=[(Tag.LEASE, 1)])
        idle = session.descriptors()
        clients = [made.sender() for _ in range(5)]
        for client in clients:
            client.send(b"x")
            service.recv(100)
        assert session.descriptors() == idle + 5
        wait_until(lambda: session.descriptors() == idle, "the flows are over")
        clients[0].send(b"again")
        assert service.recv(100) == b"again"
        for client in clients:
            client.close()


def test_number_of_sources_is_bounded_and_the_oldest_makes_room(session: Session) -> None:
    with bind_in(session, None) as service:
        made = forward(session, None, [service.getsockname()], kind=DATAGRAM)
        before = session.descriptors()
        for _ in range(1100):
            with made.sender() as client:
                client.send(b"x")
                service.recv(100)
        assert session.descriptors() == before + 1024


def test_ended_forward_closes_its_sockets(session: Session) -> None:
    with bind_in(session, None) as service:
        before = session.descriptors()
        made = forward(session, None, [service.getsockname()], kind=DATAGRAM)
        with made.sender() as client:
            client.send(b"x")
            service.recv(100)
            made.end()
            assert session.descriptors() == before
            with pytest.raises(ConnectionRefusedError):
                client.send(b"x")
                client.recv(1)
