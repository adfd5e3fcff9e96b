"""What the sandbox answers to messages that it must not act on, and what is left of them: nothing."""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from contextlib import ExitStack

import pytest

from tests.native.conftest import Sessions
from tests.native.fuzz import Fuzz, open_descriptors
from tests.native.network import forward
from tests.native.sandbox import SandboxGoneError, Session, wait_readable
from tests.native.traffic import Heard, converse, wait_until_alone
from tests.native.wire import FIELD, HEADER, MOST_BYTES, Content, Kind, Tag, pack

Field = tuple[int, Content]

ID = 0x1122334455667788
SPAWN: list[Field] = [(Tag.ARGUMENT, "/bin/true")]
SIGNAL: list[Field] = [(Tag.PID, 0x7FFFFFFF), (Tag.SIGNAL, 0)]
FUZZED_MESSAGES = 1500
HARMLESS = tuple(kind for kind in Kind if Kind.SPAWN <= kind < Kind.KEEP)
"""Kinds that do not decide on the session's life."""
MOST_PASSED = 253
"""As many descriptors as the kernel lets pass with a packet."""


def with_header(version: int = 1, kind: int = Kind.SPAWN, count: int = 1, message_id: int = ID) -> bytes:
    """A good SPAWN behind this header."""
    return HEADER.pack(version, kind, count, message_id) + pack(Kind.SPAWN, ID, SPAWN)[HEADER.size :]


def with_field(tag: int, zero: int, length: int, content: bytes) -> bytes:
    """A good SPAWN and a field more, byte by byte."""
    first = pack(Kind.SPAWN, ID, SPAWN)[HEADER.size :]
    return HEADER.pack(1, Kind.SPAWN, 2, ID) + first + FIELD.pack(tag, zero, length) + content


ROOM = MOST_BYTES - len(with_field(Tag.ENVIRONMENT, 0, 0, b""))
"""For the content of with_field()."""

UNREADABLE_HEADERS = {
    "nothing": b"",
    "one byte": b"\1",
    "header that lacks a byte": pack(Kind.SHUTDOWN, ID, [])[:-1],
    "version 0": with_header(version=0),
    "version 2": with_header(version=2),
}

MALFORMED = {
    "kind 0": with_header(kind=0),
    "kind after the last request": with_header(kind=11),
    "highest kind": with_header(kind=0xFFFF),
    "orders of enter": pack(Kind.ENTER, ID, [*SPAWN, (Tag.PID, 1), (Tag.JOIN, 0)]),
    "OK": pack(Kind.OK, ID, []),
    "ERROR": pack(Kind.ERROR, ID, [(Tag.ERRNO, 1)]),
    "EXITED": pack(Kind.EXITED, ID, [(Tag.PID, 1), (Tag.STATUS, 0)]),
    "READY": pack(Kind.READY, ID, [(Tag.PID, 1)]),
    "fewer fields than there are": with_header(count=0),
    "more fields than there are": with_header(count=2),
    "as many fields as a message can have": with_header(count=(MOST_BYTES - HEADER.size) // FIELD.size),
    "more fields than a message can have": with_header(count=(MOST_BYTES - HEADER.size) // FIELD.size + 1),
    "most fields that can be said": with_header(count=0xFFFFFFFF),
    "message cut in a field's header": with_field(Tag.ENVIRONMENT, 0, 3, b"A=1")[: -3 - 1],
    "message cut in a field": with_field(Tag.ENVIRONMENT, 0, 3, b"A=1")[:-1],
    "byte behind the last field": pack(Kind.SPAWN, ID, SPAWN) + b"\0",
    "field longer than the message": with_field(Tag.ENVIRONMENT, 0, 4, b"A=1"),
    "longest field that can be said": with_field(Tag.ENVIRONMENT, 0, 0xFFFFFFFF, b"A=1"),
    "field whose end wraps around": with_field(Tag.ENVIRONMENT, 0, 0xFFFFFFF8, b"A=1"),
    "something in the place of zero": with_field(Tag.ENVIRONMENT, 1, 3, b"A=1"),
    "tag 0": with_field(0, 0, 0, b""),
    "tag after the last": with_field(64, 0, 0, b""),
    "highest tag": with_field(0xFFFF, 0, 0, b""),
    "another kind's tag": pack(Kind.SPAWN, ID, [*SPAWN, (Tag.LEASE, 0)]),
    "number that is too short": with_field(Tag.FLAGS, 0, 3, b"\0\0\0"),
    "number that is too long": with_field(Tag.FLAGS, 0, 5, b"\0\0\0\0\0"),
    "number of no bytes": with_field(Tag.FLAGS, 0, 0, b""),
    "wide number that is short": pack(Kind.KEEP, ID, [(Tag.LEASE, b"\0\0\0\0")]),
    "string with a NUL in it": with_field(Tag.ENVIRONMENT, 0, 5, b"A\0B=1"),
    "string with a NUL at its end": with_field(Tag.ENVIRONMENT, 0, 4, b"A=1\0"),
    "string that is a NUL": with_field(Tag.ENVIRONMENT, 0, 1, b"\0"),
    "tag twice": pack(Kind.SPAWN, ID, [*SPAWN, (Tag.DIRECTORY, "/"), (Tag.DIRECTORY, "/")]),
    "number twice": pack(Kind.SIGNAL, ID, [*SIGNAL, (Tag.SIGNAL, 0)]),
    "spawn of nothing": pack(Kind.SPAWN, ID, [(Tag.ENVIRONMENT, "A=1")]),
    "signal without a pid": pack(Kind.SIGNAL, ID, [(Tag.SIGNAL, 0)]),
    "signal without a number": pack(Kind.SIGNAL, ID, [(Tag.PID, 0x7FFFFFFF)]),
    "mount without flags": pack(Kind.MOUNT, ID, [(Tag.FILESYSTEM, "tmpfs"), (Tag.TARGET, "/nowhere")]),
    "mount without a target": pack(Kind.MOUNT, ID, [(Tag.FILESYSTEM, "tmpfs"), (Tag.FLAGS, 1)]),
    "unmount without a target": pack(Kind.UNMOUNT, ID, [(Tag.FLAGS, 0)]),
    "pin without a target": pack(Kind.PIN, ID, [(Tag.NAMESPACES, 0x40000000)]),
    "pin without namespaces": pack(Kind.PIN, ID, [(Tag.TARGET, "/nowhere")]),
    "socket without a domain": pack(Kind.SOCKET, ID, [(Tag.TYPE, 1)]),
    "socket without a type": pack(Kind.SOCKET, ID, [(Tag.DOMAIN, 2)]),
    "forward to nowhere": pack(Kind.FORWARD, ID, []),
    "keep without a lease": pack(Kind.KEEP, ID, []),
    "shutdown with a field": pack(Kind.SHUTDOWN, ID, [(Tag.LEASE, 0)]),
    "one byte more than the limit": with_field(Tag.ENVIRONMENT, 0, ROOM + 1, b"x" * (ROOM + 1)),
    "much more than the limit": with_field(Tag.ENVIRONMENT, 0, 150_000, b"x" * 150_000),
}

# What is good without the descriptors, or with another number of them.
WITH_DESCRIPTORS: dict[str, tuple[Kind, list[Field], int]] = {
    "signal": (Kind.SIGNAL, SIGNAL, 1),
    "mount": (Kind.MOUNT, [(Tag.FLAGS, 1), (Tag.FILESYSTEM, "tmpfs"), (Tag.TARGET, "/nowhere")], 1),
    "unmount": (Kind.UNMOUNT, [(Tag.TARGET, "/nowhere")], 1),
    "pin": (Kind.PIN, [(Tag.TARGET, "/nowhere"), (Tag.NAMESPACES, 0x40000000)], 1),
    "open": (Kind.OPEN, [(Tag.PATH, "/"), (Tag.OPEN_FLAGS, os.O_PATH)], 1),
    "socket": (Kind.SOCKET, [(Tag.DOMAIN, socket.AF_INET), (Tag.TYPE, socket.SOCK_STREAM)], 1),
    "forward of two": (Kind.FORWARD, [(Tag.ADDRESS, "127.0.0.1 1")], 2),
    "end of a forward": (Kind.FORWARD, [(Tag.FORWARD, 1)], 1),
    "keep": (Kind.KEEP, [(Tag.LEASE, 1)], 1),
    "shutdown": (Kind.SHUTDOWN, [], 1),
    "spawn without a target": (Kind.SPAWN, SPAWN, 1),
    "spawn with too few targets": (Kind.SPAWN, [*SPAWN, (Tag.TARGET_DESCRIPTOR, 1)], 2),
    "spawn with too many targets": (Kind.SPAWN, [*SPAWN, (Tag.TARGET_DESCRIPTOR, 1), (Tag.TARGET_DESCRIPTOR, 2)], 1),
    "spawn with a target twice": (Kind.SPAWN, [*SPAWN, (Tag.TARGET_DESCRIPTOR, 1), (Tag.TARGET_DESCRIPTOR, 1)], 2),
    "spawn with 17": (Kind.SPAWN, [*SPAWN, *((Tag.TARGET_DESCRIPTOR, number) for number in range(17))], 17),
    "spawn with 18": (Kind.SPAWN, [*SPAWN, *((Tag.TARGET_DESCRIPTOR, number) for number in range(18))], 18),
    "spawn with as many as can be sent": (
        Kind.SPAWN,
        [*SPAWN, *((Tag.TARGET_DESCRIPTOR, number) for number in range(MOST_PASSED))],
        MOST_PASSED,
    ),
}


def check_refusal(session: Session, packet: bytes, message_id: int, *descriptors: int) -> None:
    """With so many descriptors, the message is answered by EBADMSG, they are closed, and the connection goes on."""
    connection = session.connection
    before = session.descriptors()
    for count in descriptors:
        read, write = os.pipe()
        connection.send_packet(packet, [write] * count)
        os.close(write)
        answer = connection.receive()
        assert (answer.kind, answer.id) == (Kind.ERROR, message_id)
        assert (answer.number(Tag.ERRNO), answer.text(Tag.CALL)) == (errno.EBADMSG, "message")
        assert wait_readable(read)
        assert os.read(read, 1) == b""
        os.close(read)
    assert connection.run(["/bin/true"]).status == 0
    assert session.descriptors() == before


@pytest.mark.parametrize("packet", UNREADABLE_HEADERS.values(), ids=UNREADABLE_HEADERS)
def test_message_with_an_unreadable_header_is_refused_without_an_id(session: Session, packet: bytes) -> None:
    check_refusal(session, packet, 0, 0, 1, MOST_PASSED)


def test_request_without_an_id_is_refused(session: Session) -> None:
    check_refusal(session, with_header(message_id=0), 0, 0)


@pytest.mark.parametrize("packet", MALFORMED.values(), ids=MALFORMED)
def test_malformed_message_is_refused_by_its_id(session: Session, packet: bytes) -> None:
    check_refusal(session, packet, ID, 0, 1, 17, MOST_PASSED)


@pytest.mark.parametrize(("kind", "fields", "descriptors"), WITH_DESCRIPTORS.values(), ids=WITH_DESCRIPTORS)
def test_descriptors_that_a_request_does_not_take_are_refused_and_closed(
    session: Session, kind: Kind, fields: list[Field], descriptors: int
) -> None:
    check_refusal(session, pack(kind, ID, fields), ID, descriptors)


def test_largest_message_is_served_and_one_byte_more_is_not(session: Session) -> None:
    # The kernel takes single arguments up to 128 KiB, so the message is filled with several of them.
    fields: list[Field] = [*SPAWN, *((Tag.ENVIRONMENT, "x" * 30_000) for _ in range(4))]
    room = MOST_BYTES - len(pack(Kind.SPAWN, ID, fields)) - FIELD.size
    largest = pack(Kind.SPAWN, ID, [*fields, (Tag.ENVIRONMENT, "x" * room)])
    assert len(largest) == MOST_BYTES
    check_refusal(session, pack(Kind.SPAWN, ID, [*fields, (Tag.ENVIRONMENT, "x" * (room + 1))]), ID, 0)
    session.connection.send_packet(largest)
    assert session.connection.answer(ID).number(Tag.PID) > 1
    assert session.connection.exited(ID).number(Tag.STATUS) == 0


def test_message_of_as_many_fields_as_fit_is_served(session: Session) -> None:
    empty = (MOST_BYTES - HEADER.size - len("/bin/true")) // FIELD.size - 1
    session.connection.send_packet(pack(Kind.SPAWN, ID, [*SPAWN, *[(Tag.ENVIRONMENT, "")] * empty]))
    assert session.connection.answer(ID).number(Tag.PID) > 1
    assert session.connection.exited(ID).number(Tag.STATUS) == 0


def test_same_id_may_be_used_again_and_is_answered_each_time(session: Session) -> None:
    heard = converse(session.connection, [(pack(Kind.SPAWN, ID, SPAWN), ())] * 5)
    assert heard.ids(Kind.OK) == heard.ids(Kind.EXITED) == Counter({ID: 5})


def test_many_malformed_messages_are_answered_in_their_order(session: Session) -> None:
    parcels = [(HEADER.pack(1, 0, 0, number), ()) for number in range(1, 2001)]
    assert [answer.id for answer in converse(session.connection, parcels).answers] == list(range(1, 2001))


def expected_id(packet: bytes) -> int:
    if len(packet) < HEADER.size:
        return 0
    version, _, _, message_id = HEADER.unpack_from(packet)
    return int(message_id) if version == 1 else 0


def descriptors_in_use(session: Session) -> int:
    """Init's descriptors, with those that it makes at the first use of something and keeps."""
    session.connection.spawn(["anything", "version"], flags=4).wait()
    forward(session, None, [("127.0.0.1", 1)]).end()
    return session.descriptors()


def fuzz(session: Session, seed: int, count: int, kinds: tuple[Kind, ...]) -> Heard:
    """Every message is answered exactly once, under its id, every process that it starts ends, and nothing stays."""
    with ExitStack() as stack:
        descriptors = open_descriptors(stack)
        parcels = list(Fuzz(seed, session.directory, descriptors).parcels(count, kinds))
        heard = converse(session.connection, parcels)
        answered = heard.ids(Kind.OK, Kind.ERROR)
    assert answered == Counter(expected_id(packet) for packet, _ in parcels)
    for answer in heard.answers:
        if answer.kind == Kind.OK and Tag.FORWARD in answer.fields:
            session.connection.ask(Kind.FORWARD, [(Tag.FORWARD, answer.number(Tag.FORWARD))])
    return heard


@pytest.mark.parametrize("seed", range(3))
def test_fuzzed_requests_are_each_answered_once_and_leave_nothing(session: Session, seed: int) -> None:
    before = descriptors_in_use(session)
    heard = fuzz(session, seed, FUZZED_MESSAGES, HARMLESS)
    # A fuzz that is nearly always refused, or nearly never, tests little.
    good = heard.ids(Kind.OK).total()
    assert FUZZED_MESSAGES // 20 < good < FUZZED_MESSAGES // 2
    assert session.connection.shell("echo here") == "here\n"
    wait_until_alone(session)
    assert session.descriptors() == before


@pytest.mark.parametrize("kind", HARMLESS, ids=lambda kind: kind.name)
def test_fuzzed_requests_of_one_kind_are_each_answered_once(session: Session, kind: Kind) -> None:
    before = descriptors_in_use(session)
    fuzz(session, kind, FUZZED_MESSAGES // 5, (kind,))
    wait_until_alone(session)
    assert session.descriptors() == before


def test_fuzzed_keep_leaves_a_session_that_can_be_ended(session: Session) -> None:
    fuzz(session, 9, FUZZED_MESSAGES // 3, (Kind.KEEP,))
    before = session.descriptors()
    fuzz(session, 10, FUZZED_MESSAGES // 3, (Kind.KEEP,))
    assert session.descriptors() == before
    session.connection.ask(Kind.SHUTDOWN, [])
    session.wait()


def test_fuzzed_shutdown_ends_the_session_only_when_it_is_good(start: Sessions) -> None:
    for seed in range(3):
        session = start()
        with ExitStack() as stack:
            fuzzed = Fuzz(seed, session.directory, open_descriptors(stack)).parcels(1000, (Kind.SHUTDOWN,))
            for packet, descriptors in fuzzed:
                session.connection.send_packet(packet, descriptors)
                answer = session.connection.receive()
                assert answer.id == expected_id(packet)
                good = not descriptors and answer.id and packet == pack(Kind.SHUTDOWN, answer.id, [])
                assert answer.kind == (Kind.OK if good else Kind.ERROR)
                if good:
                    break
            else:
                pytest.fail("no shutdown was good")
        with pytest.raises(SandboxGoneError):
            session.connection.receive()
        session.wait()
