"""A second reading of the wire form in native/README.md, for the tests alone: it can also pack what is wrong."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

MOST_BYTES = 131_072
HEADER = struct.Struct("<HHIQ")
FIELD = struct.Struct("<HHI")

Content = bytes | str | int


class Kind(IntEnum):
    SPAWN = 1
    SIGNAL = 2
    MOUNT = 3
    UNMOUNT = 4
    PIN = 5
    OPEN = 6
    SOCKET = 7
    FORWARD = 8
    KEEP = 9
    SHUTDOWN = 10
    ENTER = 32
    OK = 256
    ERROR = 257
    EXITED = 258
    READY = 259


class Tag(IntEnum):
    ARGUMENT = 1
    ENVIRONMENT = 2
    DIRECTORY = 3
    TARGET_DESCRIPTOR = 4
    FLAGS = 5
    CGROUP = 6
    NAMESPACE = 7
    PID = 8
    SIGNAL = 9
    STATUS = 10
    FILESYSTEM = 11
    SOURCE = 12
    TARGET = 13
    OPTION = 14
    ATTRIBUTES = 15
    NAMESPACES = 16
    HOSTNAME = 17
    PATH = 18
    ROOT = 19
    OPEN_FLAGS = 20
    MODE = 21
    DOMAIN = 22
    TYPE = 23
    PROTOCOL = 24
    NETWORK_NAMESPACE = 25
    ADDRESS = 26
    FORWARD = 27
    LEASE = 28
    ERRNO = 29
    CALL = 30
    SUBJECT = 31
    MESSAGE = 32
    DATA = 33
    PROPAGATION = 34
    UID = 40
    GID = 41
    GROUP = 42
    CAPABILITIES = 43
    NO_NEW_PRIVILEGES = 44
    SECCOMP = 45
    RLIMIT = 46
    OOM_SCORE = 47
    JOIN = 48
    UMASK = 49
    TERMINAL = 50


_U64 = {Tag.ATTRIBUTES, Tag.FORWARD, Tag.LEASE}


def encode(tag: int, content: Content) -> bytes:
    """A field's content in its form: numbers as wide as the tag says."""
    if isinstance(content, int):
        return content.to_bytes(8 if tag in _U64 else 4, "little")
    return content.encode() if isinstance(content, str) else content


def pack(kind: int, message_id: int, fields: list[tuple[int, Content]]) -> bytes:
    """A packet."""
    parts = [HEADER.pack(1, kind, len(fields), message_id)]
    for tag, content in fields:
        raw = encode(tag, content)
        parts += [FIELD.pack(tag, 0, len(raw)), raw]
    return b"".join(parts)


@dataclass(frozen=True)
class Answer:
    """A packet of the sandbox, read strictly; `descriptors` are the reader's to close."""

    kind: Kind
    id: int
    fields: dict[Tag, bytes]
    descriptors: list[int] = field(default_factory=list)

    def number(self, tag: Tag) -> int:
        return int.from_bytes(self.fields[tag], "little")

    def text(self, tag: Tag) -> str:
        return self.fields.get(tag, b"").decode()


def unpack(packet: bytes, descriptors: list[int]) -> Answer:
    """Reads an answer; anything that is not as the protocol says raises."""
    version, kind, count, message_id = HEADER.unpack_from(packet)
    assert version == 1
    position = HEADER.size
    fields: dict[Tag, bytes] = {}
    for _ in range(count):
        tag, zero, length = FIELD.unpack_from(packet, position)
        position += FIELD.size
        assert zero == 0
        assert length <= len(packet) - position
        fields[Tag(tag)] = packet[position : position + length]
        position += length
    assert position == len(packet)
    return Answer(Kind(kind), message_id, fields, descriptors)
