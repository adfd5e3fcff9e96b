"""FORWARD of TCP: ports of the host lead to services that only a network namespace can reach."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.native.network import Forward, forward, is_reset, listen_in, pin_network, receive_exactly
from tests.native.sandbox import PATIENCE_S, HelperError, Session, wait_until
from tests.native.wire import Content, Kind, Tag

Refused = Callable[..., HelperError]

SPARE_DESCRIPTORS = 2 * 16
"""What init may keep open between connections: pipes for the next ones."""


def unused_port(session: Session, netns: Path | None) -> int:
    with listen_in(session, netns) as made:
        return int(made.getsockname()[1])


def connect_pair(made: Forward, service: socket.socket) -> tuple[socket.socket, socket.socket]:
    """A client's connection through the forward, and the service's end of it."""
    client = made.connect()
    server, _ = service.accept()
    server.settimeout(client.gettimeout())
    return client, server


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "session"])
def test_reaches_a_service_that_listens_on_loopback_only(session: Session, host: str, pinned: bool) -> None:
    netns = pin_network(session) if pinned else None
    service = listen_in(session, netns, host)
    made = forward(session, netns, [(host, service.getsockname()[1])])
    client, server = connect_pair(made, service)
    with service, client, server:
        client.sendall(b"request")
        assert receive_exactly(server, 7) == b"request"
        server.sendall(b"answer")
        assert receive_exactly(client, 6) == b"answer"


def test_half_close_is_passed_on_in_both_directions(session: Session) -> None:
    service = listen_in(session, None)
    made = forward(session, None, [service.getsockname()])
    for first_is_client in (True, False):
        client, server = connect_pair(made, service)
        first, second = (client, server) if first_is_client else (server, client)
        with client, server:
            first.sendall(b"last words")
            first.shutdown(socket.SHUT_WR)
            assert receive_exactly(second, 10) == b"last words"
            assert second.recv(1) == b""
            second.sendall(b"still here")
            assert receive_exactly(first, 10) == b"still here"
            second.shutdown(socket.SHUT_WR)
            assert first.recv(1) == b""
    service.close()


def test_client_that_says_all_before_the_service_is_reached_loses_nothing(session: Session) -> None:
    netns = pin_network(session)
    refusing = unused_port(session, netns)
    service = listen_in(session, netns)
    made = forward(session, netns, [("127.0.0.1", refusing), service.getsockname()])
    with made.connect() as client:
        client.sendall(b"all of it")
        client.shutdown(socket.SHUT_WR)
        server, _ = service.accept()
        with server:
            assert receive_exactly(server, 9) == b"all of it"
            assert server.recv(1) == b""
    service.close()


def test_addresses_are_tried_in_order(session: Session) -> None:
    netns = pin_network(session)
    first, second = listen_in(session, netns), listen_in(session, netns, "::1")
    refusing = ("127.0.0.1", unused_port(session, netns))
    made = forward(session, netns, [refusing, first.getsockname(), second.getsockname()[:2]])
    client, server = connect_pair(made, first)
    client.close()
    server.close()
    first.close()
    client, server = connect_pair(made, second)
    for one in (client, server, second):
        one.close()


def test_connection_is_reset_if_nobody_listens(session: Session) -> None:
    netns = pin_network(session)
    made = forward(session, netns, [("127.0.0.1", unused_port(session, netns)), ("203.0.113.1", 9)])
    before = session.descriptors()
    # The reset may come before the connection is even looked at.
    with contextlib.suppress(ConnectionResetError), made.connect() as client:
        assert is_reset(client)
    wait_until(lambda: session.descriptors() <= before, "the descriptors are closed")


@pytest.mark.parametrize("who", ["client", "service"])
def test_reset_is_passed_on(session: Session, who: str) -> None:
    service = listen_in(session, None)
    made = forward(session, None, [service.getsockname()])
    before = session.descriptors()
    # So often that what one of them kept would be more than the pipes that wait for the next.
    for _ in range(SPARE_DESCRIPTORS + 1):
        client, server = connect_pair(made, service)
        breaking, other = (client, server) if who == "client" else (server, client)
        breaking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        breaking.close()
        assert is_reset(other)
        other.close()
    service.close()
    wait_until(lambda: session.descriptors() <= before + SPARE_DESCRIPTORS, "the descriptors are closed")


def test_answer_of_a_service_that_does_not_read_on_arrives(session: Session) -> None:
    """A server may answer and leave in the middle of a request that it does not want."""
    service = listen_in(session, None)
    made = forward(session, None, [service.getsockname()])
    client, server = connect_pair(made, service)
    client.sendall(b"beginning")
    assert receive_exactly(server, 9) == b"beginning"
    server.sendall(b"no, thank you")
    server.shutdown(socket.SHUT_WR)
    assert receive_exactly(client, 13) == b"no, thank you"
    assert client.recv(1) == b""
    server.close()
    with pytest.raises(OSError, match=r"reset|pipe"):
        while True:
            client.sendall(b"x" * 65536)
    client.close()
    service.close()


def transfer(sender: socket.socket, receiver: socket.socket, content: bytes) -> None:
    def send() -> None:
        sender.sendall(content)
        sender.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    received = receive_exactly(receiver, len(content))
    assert receiver.recv(1) == b""
    thread.join()
    assert received == content


def test_much_data_arrives_whole_in_both_directions_at_the_same_time(session: Session) -> None:
    content = random.Random(1).randbytes(8 << 20)
    service = listen_in(session, None)
    made = forward(session, None, [service.getsockname()])
    client, server = connect_pair(made, service)
    there = threading.Thread(target=transfer, args=(client, server, content))
    there.start()
    transfer(server, client, content[::-1])
    there.join()
    for one in (client, server, service):
        one.close()


def test_slow_reader_holds_up_nobody_and_loses_nothing(session: Session) -> None:
    service = listen_in(session, None)
    made = forward(session, None, [service.getsockname()])
    slow_client, slow_server = connect_pair(made, service)
    slow_client.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += slow_client.send(b"s" * 65536)
    for _ in range(10):
        client, server = connect_pair(made, service)
        transfer(client, server, b"quick" * 10_000)
        client.close()
        server.close()
    slow_client.shutdown(socket.SHUT_WR)
    assert receive_exactly(slow_server, sent) == b"s" * sent
    assert slow_server.recv(1) == b""
    for one in (slow_client, slow_server, service):
        one.close()


def test_two_hundred_connections_at_the_same_time(session: Session) -> None:
    service = listen_in(session, None)
    made = forward(session, None, [service.getsockname()])
    before = session.descriptors()
    with ExitStack() as stack:
        clients, servers = [], {}
        for number in range(200):
            client = stack.enter_context(made.connect())
            client.sendall(number.to_bytes(4, "little"))
            clients.append(client)
        for _ in range(200):
            server = stack.enter_context(closing(service.accept()[0]))
            servers[int.from_bytes(receive_exactly(server, 4), "little")] = server
        order = list(range(200))
        random.Random(2).shuffle(order)
        for number in order:
            servers[number].sendall(bytes([number]) * 10_000)
        for number in range(200):
            assert receive_exactly(clients[number], 10_000) == bytes([number]) * 10_000
    service.close()
    wait_until(lambda: session.descriptors() <= before + SPARE_DESCRIPTORS, "the descriptors are closed")


def test_idle_connections_take_no_pipes(session: Session) -> None:
    service = listen_in(session, None)
    made = forward(session, None, [service.getsockname()])
    with ExitStack() as stack:
        for _ in range(300):
            client, server = connect_pair(made, service)
            stack.enter_context(client)
            stack.enter_context(server)
            client.sendall(b"x")
            receive_exactly(server, 1)
        assert session.descriptors() < 300 * 2 + 60
    service.close()


@pytest.mark.parametrize("free", [20, 21])
def test_more_connections_than_descriptors_wait_until_some_are_given_back(session: Session, free: int) -> None:
    """All that is left goes into connections, so that none is for a pipe, and with an odd one half a connection."""
    service = listen_in(session, None)
    made = forward(session, None, [service.getsockname()])
    _, hard = resource.prlimit(session.init, resource.RLIMIT_NOFILE)
    resource.prlimit(session.init, resource.RLIMIT_NOFILE, (session.descriptors() + free, hard))
    with ExitStack() as stack:
        clients = [stack.enter_context(made.connect()) for _ in range(30)]
        for number, client in enumerate(clients):
            client.sendall(bytes([number]))
        served = set()
        for _ in range(30):
            server, _ = service.accept()
            with server:
                server.settimeout(PATIENCE_S)
                number = receive_exactly(server, 1)[0]
                server.sendall(b"!")
            with clients[number] as client:
                assert receive_exactly(client, 1) == b"!"
                assert client.recv(1) == b""
            served.add(number)
        assert served == set(range(30))
    service.close()


def test_receiver_that_takes_nothing_holds_up_nobody_without_descriptors(session: Session) -> None:
    service = listen_in(session, None)
    made = forward(session, None, [service.getsockname()])
    with ExitStack() as stack:
        deaf = [stack.enter_context(closing(one)) for one in connect_pair(made, service)]
        other = [stack.enter_context(closing(one)) for one in connect_pair(made, service)]
        _, hard = resource.prlimit(session.init, resource.RLIMIT_NOFILE)
        resource.prlimit(session.init, resource.RLIMIT_NOFILE, (session.descriptors(), hard))
        deaf[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                deaf[0].send(b"s" * 65536)
        # The pipe that is full of what nobody takes is lost with its connection; one is left all the same.
        for one in deaf:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        transfer(other[0], other[1], b"quick" * 10_000)
    service.close()


def test_ended_forward_frees_the_port_and_closes_its_connections(session: Session, refused: Refused) -> None:
    service = listen_in(session, None)
    kept = forward(session, None, [service.getsockname()])
    before = session.descriptors()
    made = forward(session, None, [service.getsockname()])
    client, server = connect_pair(made, service)
    made.end()
    assert client.recv(1) == b""
    assert server.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        made.connect()
    assert session.descriptors() == before
    assert refused(made.end).errno == errno.ENOENT
    for one in (*connect_pair(kept, service), client, server, service):
        one.close()


def test_forward_outlives_the_path_of_its_namespace(session: Session) -> None:
    netns = pin_network(session)
    service = listen_in(session, netns)
    made = forward(session, netns, [service.getsockname()])
    session.connection.ask(Kind.UNMOUNT, [(Tag.TARGET, str(netns)), (Tag.FLAGS, 2)])
    for one in (*connect_pair(made, service), service):
        one.close()


def test_small_answers_are_not_delayed(session: Session) -> None:
    """Without TCP_NODELAY a second small packet waits 40 ms for the other side's acknowledgement."""
    service = listen_in(session, None)
    made = forward(session, None, [service.getsockname()])
    client, server = connect_pair(made, service)
    nodelay = f"/proc/{session.init}/fd"
    options = []
    for name in os.listdir(nodelay):
        if os.readlink(f"{nodelay}/{name}").startswith("socket:"):
            options.append(name)
    assert options
    for _ in range(20):
        client.sendall(b"a")
        receive_exactly(server, 1)
        server.sendall(b"b")
        server.sendall(b"c")
        assert receive_exactly(client, 2) == b"bc"
    for one in (client, server, service):
        one.close()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([], errno.EBADMSG),
        ([(Tag.ADDRESS, "127.0.0.1 80"), (Tag.FORWARD, 1)], errno.EBADMSG),
        ([(Tag.FORWARD, 1)], errno.EBADMSG),
        ([(Tag.ADDRESS, "127.0.0.1")], errno.EINVAL),
        ([(Tag.ADDRESS, "localhost 80")], errno.EINVAL),
        ([(Tag.ADDRESS, "127.0.0.1 0")], errno.EINVAL),
        ([(Tag.ADDRESS, "127.0.0.1 65536")], errno.EINVAL),
        ([(Tag.ADDRESS, "127.0.0.1 +1")], errno.EINVAL),
        ([(Tag.ADDRESS, "127.0.0.1 80"), (Tag.NETWORK_NAMESPACE, "/nowhere")], errno.ENOENT),
        ([(Tag.ADDRESS, "127.0.0.1 80"), (Tag.NETWORK_NAMESPACE, "/etc/passwd")], errno.EINVAL),
    ],
)
def test_forward_that_makes_no_sense_is_refused_and_leaves_nothing(
    session: Session, refused: Refused, fields: list[tuple[int, Content]], code: int
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        before = session.descriptors()
        assert refused(session.connection.ask, Kind.FORWARD, fields, [listener.fileno()]).errno == code
        wait_until(lambda: session.descriptors() <= before, "the descriptors are closed")


def test_only_a_listening_tcp_or_bound_udp_socket_can_be_forwarded(session: Session, refused: Refused) -> None:
    plain, unix, connected = socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(type=socket.SOCK_DGRAM)
    connected.connect(("127.0.0.1", 9))
    unbound = socket.socket(type=socket.SOCK_DGRAM)
    file = os.open("/etc/passwd", os.O_RDONLY)
    unix.bind("")
    unix.listen()
    for descriptor in (plain.fileno(), unix.fileno(), connected.fileno(), unbound.fileno(), file):
        before = session.descriptors()
        error = refused(session.connection.ask, Kind.FORWARD, [(Tag.ADDRESS, "127.0.0.1 80")], [descriptor])
        assert error.errno == errno.EINVAL
        assert session.descriptors() == before
    os.close(file)
    for one in (plain, unix, connected, unbound):
        one.close()
