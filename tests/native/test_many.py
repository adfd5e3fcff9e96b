"""Many processes, many connections, and clients that do not read: everybody is served, and nothing is left."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.native.conftest import Sessions
from tests.native.sandbox import Connection, Fields, HelperError, SandboxGoneError, Session, wait_readable, wait_until
from tests.native.traffic import Parcel, converse, try_send, wait_until_alone
from tests.native.wire import Kind, Tag, pack

HOST_NETWORK, HELPER = 1, 4
PLACES = pytest.mark.parametrize("flags", [0, HOST_NETWORK], ids=["in the session's network", "in the host's network"])
MANY = 1000
MOST_TASKS = 4096
MOST_CONNECTIONS = 256
TURNS = 100
"""Requests of another client that are served while nothing is read from a slow one: init would have had the time."""


@pytest.fixture
def kept(session: Session) -> Iterator[Session]:
    """A session that also listens at `directory`/socket, and ends by being told to."""
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, 0), (Tag.PATH, str(session.directory / "socket"))])
    yield session
    if session.janitor.poll() is None:
        session.connection.ask(Kind.SHUTDOWN, [])


def connect(session: Session) -> Connection:
    return session.connect(session.directory / "socket")


def spawn_parcel(session: Session, number: int, argv: list[str], flags: int = 0, stdin: int | None = None) -> Parcel:
    fds = {} if stdin is None else {0: stdin}
    fields, descriptors = session.connection.spawn_message(argv, flags=flags, fds=fds)
    return pack(Kind.SPAWN, number, fields), descriptors


def harmless(number: int) -> bytes:
    """A request that is answered at once, by an ERROR."""
    return pack(Kind.UNMOUNT, number, [(Tag.TARGET, "/nowhere")])


@PLACES
def test_a_thousand_processes_at_the_same_time_are_each_answered_and_each_end_is_told(
    session: Session, flags: int
) -> None:
    before = session.descriptors()
    read, write = os.pipe()
    # They all wait for the same end of file, so that all run when the first one ends.
    parcels = [
        spawn_parcel(session, number, ["/bin/sh", "-c", "read _; exit $0", str(number % 256)], flags, read)
        for number in range(1, MANY + 1)
    ]
    started = converse(session.connection, parcels, wait_for_ends=False)
    os.close(read)
    assert started.ids(Kind.OK) == Counter(range(1, MANY + 1))
    pids = {answer.id: answer.number(Tag.PID) for answer in started.answers}
    assert len(set(pids.values())) == MANY
    os.close(write)
    for _ in range(MANY):
        answer = session.connection.receive()
        assert answer.kind == Kind.EXITED
        assert answer.number(Tag.PID) == pids.pop(answer.id)
        assert os.waitstatus_to_exitcode(answer.number(Tag.STATUS)) == answer.id % 256
    wait_until_alone(session)
    assert session.descriptors() == before


@PLACES
def test_a_thousand_short_processes_are_each_answered_before_their_end(session: Session, flags: int) -> None:
    before = session.descriptors()
    heard = converse(
        session.connection, (spawn_parcel(session, number, ["/bin/true"], flags) for number in range(1, MANY + 1))
    )
    assert heard.ids(Kind.OK) == heard.ids(Kind.EXITED) == Counter(range(1, MANY + 1))
    kinds: dict[int, list[Kind]] = {}
    for answer in heard.answers:
        kinds.setdefault(answer.id, []).append(answer.kind)
    assert set(map(tuple, kinds.values())) == {(Kind.OK, Kind.EXITED)}
    wait_until_alone(session)
    assert session.descriptors() == before


@PLACES
def test_many_processes_that_cannot_be_started_leave_nothing(session: Session, flags: int) -> None:
    before = session.descriptors()
    parcels = (spawn_parcel(session, number, ["/nowhere"], flags) for number in range(1, 301))
    heard = converse(session.connection, parcels)
    assert heard.ids(Kind.ERROR) == Counter(range(1, 301))
    assert {answer.number(Tag.ERRNO) for answer in heard.answers} == {errno.ENOENT}
    wait_until_alone(session)
    assert session.descriptors() == before


@pytest.fixture
def start_plain(plain_helper: Path, place: Path) -> Iterator[Sessions]:
    """For what would take minutes and gigabytes with the sanitizers."""
    sessions = Sessions(plain_helper, place)
    yield sessions
    sessions.end_all()
    sessions.check()


def test_one_process_more_than_a_connection_may_have_has_to_wait(start_plain: Sessions) -> None:
    session = start_plain()
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, 0), (Tag.PATH, str(session.directory / "socket"))])
    parcels = (spawn_parcel(session, number, ["pause", "pause"], HELPER) for number in range(1, MOST_TASKS + 1))
    started = converse(session.connection, parcels, wait_for_ends=False)
    assert started.ids(Kind.OK) == Counter(range(1, MOST_TASKS + 1))
    requests: list[tuple[Kind, Fields]] = [
        (Kind.SPAWN, [(Tag.ARGUMENT, "/bin/true")]),
        (Kind.SPAWN, [(Tag.ARGUMENT, "/bin/true"), (Tag.FLAGS, HOST_NETWORK)]),
        (Kind.PIN, [(Tag.TARGET, str(session.directory)), (Tag.NAMESPACES, 0x40000000)]),
    ]
    for kind, fields in requests:
        with pytest.raises(HelperError) as caught:
            session.connection.ask(kind, fields)
        assert (caught.value.errno, caught.value.call) == (errno.EAGAIN, "spawn")
    # Each connection has a number of its own, and what needs no process is served.
    assert connect(session).run(["/bin/true"]).status == 0
    first = started.answers[0]
    session.connection.ask(Kind.SIGNAL, [(Tag.PID, first.number(Tag.PID)), (Tag.SIGNAL, signal.SIGKILL)])
    session.connection.exited(first.id)
    assert session.connection.spawn(["/bin/true"]).wait() == 0
    session.connection.ask(Kind.SHUTDOWN, [])


def stuff(connection: Connection, other: Connection, packets: Iterator[bytes]) -> int:
    """Sends without reading until init has long stopped reading this; how many were taken."""
    sent = 0
    packet = next(packets)
    turns = 0
    while turns < TURNS:
        if try_send(connection, packet):
            sent += 1
            packet = next(packets)
            turns = 0
        else:
            turns += 1
            with pytest.raises(HelperError):
                other.ask(Kind.UNMOUNT, [(Tag.TARGET, "/nowhere")])
    return sent


def test_client_that_does_not_read_holds_up_nobody_and_gets_everything_in_order_later(kept: Session) -> None:
    slow = connect(kept)
    sent = stuff(slow, kept.connection, map(harmless, itertools.count(1)))
    assert kept.connection.run(["/bin/true"]).status == 0
    assert [slow.receive().id for _ in range(sent)] == list(range(1, sent + 1))
    assert not wait_readable(slow.socket.fileno(), 0)
    assert slow.run(["/bin/true"]).status == 0


def test_nothing_more_is_taken_from_a_client_that_does_not_read(kept: Session) -> None:
    slow = connect(kept)
    stuff(slow, kept.connection, map(harmless, itertools.count(1)))
    memory = resident_bytes(kept.init)
    for _ in range(1000):
        with pytest.raises(HelperError):
            kept.connection.ask(Kind.UNMOUNT, [(Tag.TARGET, "/nowhere")])
        assert not try_send(slow, harmless(1))
    # One answer a request would be 4 MB.
    assert resident_bytes(kept.init) - memory < 1_000_000


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_ends_of_processes_wait_for_a_client_that_does_not_read(kept: Session) -> None:
    before = kept.descriptors()
    slow = connect(kept)
    read, write = os.pipe()
    parcels = (spawn_parcel(kept, number, ["/bin/cat"], stdin=read) for number in range(1, 301))
    converse(slow, parcels, wait_for_ends=False)
    os.close(read)
    sent = stuff(slow, kept.connection, map(harmless, itertools.count(1001)))
    os.close(write)
    wait_until_alone(kept)
    answers = [slow.receive() for _ in range(sent + 300)]
    errors = [answer.id for answer in answers if answer.kind == Kind.ERROR]
    assert errors == list(range(1001, 1001 + sent))
    assert Counter(answer.id for answer in answers if answer.kind == Kind.EXITED) == Counter(range(1, 301))
    slow.close()
    assert kept.descriptors() == before


@pytest.mark.parametrize("asked", ["files", "processes"])
def test_descriptors_for_a_client_that_does_not_read_are_bounded_and_closed_when_it_goes(
    kept: Session, asked: str
) -> None:
    before = kept.descriptors()
    slow = connect(kept)
    fields: list[tuple[int, str | int]] = [(Tag.PATH, "/etc/passwd"), (Tag.OPEN_FLAGS, os.O_RDONLY)]
    if asked == "processes":
        fields = [(Tag.PID, 1)]
    stuff(slow, kept.connection, (pack(Kind.OPEN, number, list(fields)) for number in itertools.count(1)))
    # The connection, and the one answer that did not fit any more.
    assert kept.descriptors() <= before + 2
    slow.close()
    assert kept.descriptors() == before


def test_client_that_goes_without_reading_is_forgotten(kept: Session) -> None:
    before = kept.descriptors()
    slow = connect(kept)
    parcels = (spawn_parcel(kept, number, ["/bin/sh", "-c", "exit 3"]) for number in itertools.count(1))
    stuff(slow, kept.connection, (packet for packet, _ in parcels))
    slow.close()
    wait_until_alone(kept)
    wait_until(lambda: kept.descriptors() == before, "what was for the client is closed")
    assert kept.connection.run(["/bin/true"]).status == 0


@PLACES
def test_process_outlives_the_client_that_started_it(kept: Session, flags: int) -> None:
    before = kept.descriptors()
    client = connect(kept)
    read, write = os.pipe()
    out_read, out_write = os.pipe()
    process = client.spawn(["/bin/cat"], flags=flags, fds={0: read, 1: out_write})
    os.close(read)
    os.close(out_write)
    client.close()
    kept.settle()
    os.write(write, b"still here")
    assert os.read(out_read, 100) == b"still here"
    kept.connection.ask(Kind.SIGNAL, [(Tag.PID, process.pid), (Tag.SIGNAL, 0)])
    os.close(write)
    assert os.read(out_read, 1) == b""
    os.close(out_read)
    wait_until_alone(kept)
    assert kept.descriptors() == before


@PLACES
def test_client_that_goes_while_its_processes_start_leaves_nothing(kept: Session, flags: int) -> None:
    before = kept.descriptors()
    for _ in range(20):
        client = connect(kept)
        for number in range(1, 11):
            client.send_packet(*spawn_parcel(kept, number, ["/bin/true"], flags | 2))
        client.close()
    wait_until(lambda: kept.descriptors() == before, "the connections are closed")
    wait_until_alone(kept)
    assert kept.connection.run(["/bin/true"]).status == 0


def test_connections_are_served_side_by_side(kept: Session) -> None:
    clients = [connect(kept) for _ in range(20)]
    processes = [client.spawn(["/bin/sh", "-c", f"exit {number}"]) for number, client in enumerate(clients)]
    assert [process.wait() for process in processes] == list(range(20))


def test_connection_above_the_limit_is_closed_until_another_one_goes(kept: Session) -> None:
    before = kept.descriptors()
    clients = [connect(kept) for _ in range(MOST_CONNECTIONS - 1)]
    for client in clients:
        assert client.run(["/bin/true"]).status == 0
    with pytest.raises((SandboxGoneError, BrokenPipeError)):
        connect(kept).ask(Kind.UNMOUNT, [(Tag.TARGET, "/nowhere")])
    clients.pop().close()
    assert kept.descriptors() == before + len(clients)
    assert connect(kept).run(["/bin/true"]).status == 0


def test_client_that_has_said_its_last_word_is_let_go(kept: Session) -> None:
    before = kept.descriptors()
    # Many, because the end may come while init reads what was before it.
    for _ in range(100):
        client = connect(kept)
        for number in range(1, 4):
            client.send_packet(harmless(number))
        client.socket.shutdown(socket.SHUT_WR)
        assert [client.receive().id for _ in range(3)] == [1, 2, 3]
        with pytest.raises(SandboxGoneError):
            client.receive()
        client.close()
    assert kept.descriptors() == before


def test_kept_sessions_of_the_same_place_do_not_meet(start: Sessions) -> None:
    sessions = [start() for _ in range(3)]
    for session in sessions:
        session.connection.ask(Kind.KEEP, [(Tag.LEASE, 0), (Tag.PATH, str(session.directory / "socket"))])
    namespaces = {connect(session).shell("readlink /proc/self/ns/pid") for session in sessions}
    assert len(namespaces) == 3
    for session in sessions:
        session.connection.ask(Kind.SHUTDOWN, [])
