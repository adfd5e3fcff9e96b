"""Many requests on one connection: sent as fast as they are taken, while everything that comes back is read."""

from __future__ import annotations

import os
import select
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.native.sandbox import PATIENCE_S, Connection, Session, wait_until
from tests.native.wire import Answer, Kind, Tag

Parcel = tuple[bytes, Sequence[int]]
"""A packet and the descriptors that go with it."""


@dataclass
class Heard:
    """What the sandbox has said, in its order."""

    answers: list[Answer] = field(default_factory=list)
    started: int = 0
    exited: int = 0

    def add(self, answer: Answer) -> None:
        for descriptor in answer.descriptors:
            os.close(descriptor)
        self.answers.append(answer)
        self.started += answer.kind == Kind.OK and Tag.PID in answer.fields
        self.exited += answer.kind == Kind.EXITED

    def ids(self, *kinds: Kind) -> Counter[int]:
        return Counter(answer.id for answer in self.answers if answer.kind in kinds)

    @property
    def answered(self) -> int:
        return len(self.answers) - self.exited


def try_send(connection: Connection, packet: bytes, descriptors: Sequence[int] = ()) -> bool:
    """False if the connection takes no more for now."""
    timeout = connection.socket.gettimeout()
    connection.socket.settimeout(0)
    try:
        connection.send_packet(packet, descriptors)
    except BlockingIOError:
        return False
    finally:
        connection.socket.settimeout(timeout)
    return True


def converse(connection: Connection, parcels: Iterable[Parcel], *, wait_for_ends: bool = True) -> Heard:
    """Sends all; returns when each is answered and, unless this is not waited for, each started process has ended."""
    heard = Heard()
    waiting = iter(parcels)
    parcel = next(waiting, None)
    sent = 0
    poll = select.poll()
    poll.register(connection.socket)
    while parcel is not None or heard.answered < sent or (wait_for_ends and heard.exited < heard.started):
        poll.modify(connection.socket, select.POLLIN | (select.POLLOUT if parcel else 0))
        events = poll.poll(PATIENCE_S * 1000)
        assert events, f"{heard.answered} of {sent} answers have come, {heard.exited} of {heard.started} ends"
        if events[0][1] & ~select.POLLOUT:
            heard.add(connection.receive())
        while parcel is not None and try_send(connection, *parcel):
            sent += 1
            parcel = next(waiting, None)
    return heard


def children_of(pid: int) -> list[str]:
    """The names of a process's children, dead ones that nobody has waited for too."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                before, _, after = Path(f"/proc/{name}/stat").read_text().rpartition(")")
            except OSError:
                continue
            if int(after.split()[1]) == pid:
                found.append(before.partition("(")[2])
    return found


def wait_until_alone(session: Session) -> None:
    """Until init has no child but the stem: none that runs, and none that it has not waited for."""
    wait_until(lambda: children_of(session.init) == ["pods-stem"], "init has no children")
