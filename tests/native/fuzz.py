"""Messages that are wrong in every way, and valid ones that are hardly so: the same ones for the same seed.

The sandbox of a test that runs as root sees the host's files. So nothing here names a path that is there, except in the
session's own directory and a few that nothing can change; and no path is so short that it could become one of these by
a change of two bytes.
"""

from __future__ import annotations

import os
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.native.traffic import Parcel
from tests.native.wire import FIELD, HEADER, MOST_BYTES, Content, Kind, Tag, encode, pack

Field = tuple[int, Content]

NUMBERS = (0, 1, 3, 4, 7, 8, 0x7F, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
NOBODY = 0x7FFFFF00
"""No process has this pid, nor one of the numbers that differ from it in two bytes."""
MOST_SENT_BYTES = MOST_BYTES + 20_000
"""More than the sandbox takes, less than the kernel refuses."""
NAMESPACE_BITS = (0x40000000, 0x08000000, 0x04000000, 0x4C000000, 0x10000000, 0)
DESCRIPTOR_COUNTS = (1, 1, 1, 2, 3, 15, 16, 17, 18, 64, 253)


@dataclass(frozen=True)
class Descriptors:
    every: list[int]
    forwardable: list[int]


class Fuzz:
    """Valid messages of every kind, and what becomes of them."""

    def __init__(self, seed: int, directory: Path, descriptors: Descriptors) -> None:
        self.random = random.Random(seed)
        self.deep = str(directory / "deep" / "er" / "than" / "any" / "change")
        os.makedirs(self.deep, exist_ok=True)
        Path(self.deep, "file").write_text("content")
        with suppress(FileExistsError):
            os.mkfifo(Path(self.deep, "fifo"))
        self.descriptors = descriptors
        self.builders: dict[Kind, Callable[[], list[Field]]] = {
            Kind.SPAWN: self._spawn,
            Kind.SIGNAL: self._signal,
            Kind.MOUNT: self._mount,
            Kind.UNMOUNT: self._unmount,
            Kind.PIN: self._pin,
            Kind.OPEN: self._open,
            Kind.SOCKET: self._socket,
            Kind.FORWARD: self._forward,
            Kind.KEEP: self._keep,
            Kind.SHUTDOWN: list,
        }

    def parcels(self, count: int, kinds: tuple[Kind, ...]) -> Iterator[Parcel]:
        """Messages of these kinds, valid and not; never one whose header could pass for another kind's request."""
        made = 0
        while made < count:
            packet, descriptors = self._parcel(self.random.choice(kinds))
            if len(packet) >= HEADER.size and HEADER.unpack_from(packet)[1] in set(Kind) - set(kinds):
                continue
            made += 1
            yield packet, descriptors

    def _parcel(self, kind: Kind) -> Parcel:
        message_id = 0 if self.random.random() < 0.02 else self.random.getrandbits(64)
        fields = self.builders[kind]()
        descriptors = self._passed(kind, fields)
        for change in self.random.choices(self._field_changes(), k=self.random.choice((0, 0, 0, 0, 0, 1, 2))):
            change(fields)
        packet = bytearray(pack(kind, message_id, fields))
        for alter in self.random.choices(self._packet_changes(), k=self.random.choice((0, 0, 0, 0, 0, 1, 2))):
            alter(packet)
        return bytes(packet[:MOST_SENT_BYTES]), descriptors

    def _passed(self, kind: Kind, fields: list[Field]) -> list[int]:
        """Mostly as many as the message takes."""
        if self.random.random() < 0.1:
            return self.random.choices(self.descriptors.every, k=self.random.choice(DESCRIPTOR_COUNTS))
        if kind == Kind.SPAWN:
            targets = sum(tag == Tag.TARGET_DESCRIPTOR for tag, _ in fields)
            return self.random.choices(self.descriptors.every, k=targets)
        if kind == Kind.FORWARD and any(tag == Tag.ADDRESS for tag, _ in fields):
            return [self.random.choice(self.descriptors.forwardable)]
        return []

    # ---- valid messages ----

    def _some(self, *fields: Field) -> list[Field]:
        return [one for one in fields if self.random.random() < 0.5]

    def _number(self) -> int:
        return self.random.choice((*NUMBERS, self.random.getrandbits(32)))

    def _path(self) -> str:
        if self.random.random() < 0.7:
            return self.deep
        return self.deep + self.random.choice(("/file", "/fifo", "/new", "/file/not", "/../change/file", "/" * 4000))

    def _word(self) -> str:
        return self.random.choice(("", "a", "ü", "A=1", "=", "version", "x" * 300, "y" * 5000, "z" * 20_000))

    def _network(self) -> Field:
        own = "/proc/self/ns/net"
        return Tag.NETWORK_NAMESPACE, self.random.choice((own, own, own, "/proc/self/ns/ipc", self._path()))

    def _spawn(self) -> list[Field]:
        program = "/bin/true" if self.random.random() < 0.8 else self.random.choice((self._path(), "true"))
        fields: list[Field] = [(Tag.ARGUMENT, program)]
        fields += [(Tag.ARGUMENT, self._word()) for _ in range(self.random.choice((0, 1, 3)))]
        fields += [(Tag.ENVIRONMENT, self._word())] * self.random.choice((0, 1, 1, 1, 500))
        fields += self._some((Tag.DIRECTORY, self._path()), (Tag.FLAGS, self.random.randrange(17)))
        if self.random.random() < 0.2:
            own = "/proc/self/ns/net"
            fields.append((Tag.NAMESPACE, self.random.choice((own, own, "/proc/self/ns/user", self._path()))))
        if self.random.random() < 0.1:
            fields.append((Tag.CGROUP, self._path()))
        for number in range(self.random.choice((0, 0, 0, 1, 1, 2, 16, 17))):
            target = self._number() if self.random.random() < 0.1 else number
            fields.append((Tag.TARGET_DESCRIPTOR, target))
        return fields

    def _signal(self) -> list[Field]:
        # A small pid, 1 for example, could become the stem's.
        return [(Tag.PID, self.random.choice((NOBODY, 0x80000001))), (Tag.SIGNAL, self._number())]

    def _mount(self) -> list[Field]:
        fields: list[Field] = [(Tag.TARGET, self._path()), (Tag.FLAGS, self.random.choice((1, 1, 2, 6, 8, 16, 20, 64)))]
        options = self.random.choices(("size=4k", "mode=700", "nonsense", "=", "a=", "huge=" + "x" * 4000, "ro"), k=2)
        fields += self._some(*((Tag.OPTION, option) for option in options))
        if self.random.random() < 0.8:
            fields.append((Tag.FILESYSTEM, self.random.choice(("tmpfs", "tmpfs", "overlay", ""))))
        return fields + self._some(
            (Tag.SOURCE, self._path()),
            (Tag.ATTRIBUTES, self.random.choice((0, 1, 2, 0x10, 0x70, 0xFFFF, 2**63))),
            (Tag.DATA, self.random.choice(("", "size=4k", "x" * 5000))),
            (Tag.DIRECTORY, self._path()),
            (Tag.PROPAGATION, self.random.choice((0x40000, 0x44000, 0x80000, 0x100000, 0, 0xFFFFFFFF))),
        )

    def _unmount(self) -> list[Field]:
        return [(Tag.TARGET, self._path()), *self._some((Tag.FLAGS, self._number()))]

    def _pin(self) -> list[Field]:
        bits = self.random.choice(NAMESPACE_BITS)
        return [(Tag.TARGET, self._path()), (Tag.NAMESPACES, bits), *self._some((Tag.HOSTNAME, self._word()))]

    def _open(self) -> list[Field]:
        if self.random.random() < 0.2:
            return [(Tag.PID, self.random.choice((0, 1, NOBODY, 0xFFFFFFFF)))]
        if self.random.random() < 0.5:
            plain: list[Field] = [(Tag.PATH, self._path()), (Tag.OPEN_FLAGS, os.O_RDONLY)]
            return plain + self._some((Tag.ROOT, "/"), self._network())
        flags = self.random.choice((0, os.O_RDWR, os.O_WRONLY | os.O_CREAT, os.O_PATH, os.O_TMPFILE | os.O_RDWR))
        fields: list[Field] = [(Tag.PATH, self._path()), (Tag.OPEN_FLAGS, self.random.choice((flags, self._number())))]
        return fields + self._some((Tag.MODE, self._number()), (Tag.ROOT, self.deep))

    def _socket(self) -> list[Field]:
        kind = self.random.choice((1, 1, 2, 2, 5, 2 | socket.SOCK_NONBLOCK, self._number()))
        fields: list[Field] = [(Tag.DOMAIN, self.random.choice((1, 2, 10, 2, 10, 16, 9999))), (Tag.TYPE, kind)]
        return fields + self._some((Tag.PROTOCOL, self.random.choice((0, 0, 6, 17, 0xFFFFFFFF))), self._network())

    def _forward(self) -> list[Field]:
        if self.random.random() < 0.2:
            return [(Tag.FORWARD, self.random.getrandbits(64))]
        addresses = ("127.0.0.1 1", "::1 65535", "127.0.0.1 0", "1.2.3.4", "::1 ", "x" * 100 + " 1", "127.0.0.1 1 ")
        fields: list[Field] = [(Tag.ADDRESS, self.random.choice((*addresses[:2] * 3, *addresses)))]
        return fields + self._some((Tag.ADDRESS, addresses[0]), self._network(), (Tag.LEASE, self._number()))

    def _keep(self) -> list[Field]:
        # No change of two bytes makes this lease short.
        return [(Tag.LEASE, 0x0101010101010101), *self._some((Tag.PATH, self._path()), (Tag.FLAGS, 2))]

    # ---- changes ----

    def _field_changes(self) -> list[Callable[[list[Field]], None]]:
        return [self._drop, self._repeat, self._swap, self._lengthen, self._shorten_number, self._retag, self._put_nul]

    def _index(self, fields: list[Field]) -> int | None:
        return self.random.randrange(len(fields)) if fields else None

    def _drop(self, fields: list[Field]) -> None:
        if (index := self._index(fields)) is not None:
            del fields[index]

    def _repeat(self, fields: list[Field]) -> None:
        if (index := self._index(fields)) is not None:
            fields.insert(self.random.randrange(len(fields) + 1), fields[index])

    def _swap(self, fields: list[Field]) -> None:
        self.random.shuffle(fields)

    def _lengthen(self, fields: list[Field]) -> None:
        if (index := self._index(fields)) is not None:
            tag, content = fields[index]
            fields[index] = tag, encode(tag, content) + b"/" * self.random.choice((1, 4, 100, 70_000))

    def _shorten_number(self, fields: list[Field]) -> None:
        if (index := self._index(fields)) is not None and isinstance(fields[index][1], int):
            tag, content = fields[index]
            fields[index] = tag, encode(tag, content)[: self.random.randrange(4)]

    def _retag(self, fields: list[Field]) -> None:
        if (index := self._index(fields)) is not None:
            tag, content = fields[index]
            other = self.random.choice((0, *Tag, 35, 63, 64, 65535))
            # No path may become what is written to or executed, and no number another number.
            if not isinstance(content, int) or other not in set(Tag):
                fields[index] = other, encode(tag, content)

    def _put_nul(self, fields: list[Field]) -> None:
        if (index := self._index(fields)) is not None:
            tag, content = fields[index]
            raw = encode(tag, content)
            place = self.random.randrange(len(raw) + 1)
            fields[index] = tag, raw[:place] + b"\0" + raw[place:]

    def _packet_changes(self) -> list[Callable[[bytearray], None]]:
        return [self._cut, self._extend, self._flip_byte, self._corrupt_header, self._corrupt_length, self._noise]

    def _cut(self, packet: bytearray) -> None:
        del packet[self.random.randrange(len(packet) + 1) :]

    def _extend(self, packet: bytearray) -> None:
        packet += self.random.randbytes(self.random.choice((1, 7, 8, 1000, MOST_BYTES)))

    def _flip_byte(self, packet: bytearray) -> None:
        if packet:
            packet[self.random.randrange(len(packet))] ^= self.random.randrange(1, 256)

    def _corrupt_header(self, packet: bytearray) -> None:
        if len(packet) >= HEADER.size:
            version, kind, count, message_id = HEADER.unpack_from(packet)
            version = self.random.choice((version, 0, 2, 65535))
            kind = self.random.choice((kind, 0, 11, 33, 260, 65535))
            count = self.random.choice((count, 0, count ^ 1, 16383, 16384, 0xFFFFFFFF))
            HEADER.pack_into(packet, 0, version, kind, count, message_id)

    def _corrupt_length(self, packet: bytearray) -> None:
        if len(packet) >= HEADER.size + FIELD.size:
            length = self.random.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFF8, 0xFFFFFFFF, len(packet)))
            struct.pack_into("<I", packet, HEADER.size + 4, length)

    def _noise(self, packet: bytearray) -> None:
        keep = self.random.choice((0, 2, HEADER.size))
        packet[keep:] = self.random.randbytes(self.random.choice((0, 8, 16, 24, 200)))


def open_descriptors(stack: ExitStack) -> Descriptors:
    """One of each sort that could be passed, closed by the stack."""
    listening, bound = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    files = [os.open("/dev/null", os.O_RDWR), os.open("/", os.O_PATH), *os.pipe()]
    for file in files:
        stack.callback(os.close, file)
    for one in (listening, bound, *pair):
        stack.enter_context(one)
    forwardable = [listening.fileno(), bound.fileno()]
    return Descriptors([*files, *forwardable, *(one.fileno() for one in pair)], forwardable)
