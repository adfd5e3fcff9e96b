"""The wire form of the sandbox's protocol (native/README.md): messages of tagged fields, packed and unpacked.

Pure: sockets are `sandbox`'s business.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ProtocolError
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 1
MOST_BYTES = 131_072
MOST_DESCRIPTORS = 16

_HEADER = struct.Struct("<HHIQ")
_FIELD = struct.Struct("<HHI")


class Kind(enum.IntEnum):
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


class Tag(enum.IntEnum):
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


class Message:
    """A message that is being written; `pack()` gives the packet."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._fields: list[bytes] = []

    def add(self, tag: Tag, content: bytes) -> Message:
        self._fields.append(_FIELD.pack(tag, 0, len(content)) + content)
        return self

    def text(self, tag: Tag, text: str) -> Message:
        """Adds a string; file names keep their bytes (surrogateescape)."""
        return self.add(tag, text.encode("utf-8", "surrogateescape"))

    def u32(self, tag: Tag, number: int) -> Message:
        return self.add(tag, number.to_bytes(4, "little"))

    def u64(self, tag: Tag, number: int) -> Message:
        return self.add(tag, number.to_bytes(8, "little"))

    def pack(self, message_id: int) -> bytes:
        """The packet. A packet above MOST_BYTES is refused by the sandbox; `enter` orders have no limit."""
        return _HEADER.pack(VERSION, self.kind, len(self._fields), message_id) + b"".join(self._fields)


@frozen
class Answer:
    """A message from the sandbox."""

    kind: int
    id: int
    fields: tuple[tuple[int, bytes], ...]

    def number(self, tag: Tag) -> int:
        """The integer of a field; raises ProtocolError if the answer lacks it."""
        for found, content in self.fields:
            if found == tag:
                return int.from_bytes(content, "little")
        raise ProtocolError(f"the sandbox's answer {self.kind} lacks the field {tag.name}")

    def find_text(self, tag: Tag) -> str:
        """The text of a field, empty if the answer lacks it."""
        for found, content in self.fields:
            if found == tag:
                return content.decode("utf-8", "surrogateescape")
        return ""


def _fields(packet: bytes) -> Iterator[tuple[int, bytes]]:
    position = _HEADER.size
    while position < len(packet):
        if len(packet) - position < _FIELD.size:
            raise ProtocolError("a field of the sandbox's answer is cut")
        tag, _, length = _FIELD.unpack_from(packet, position)
        position += _FIELD.size
        if length > len(packet) - position:
            raise ProtocolError("a field of the sandbox's answer is longer than the answer")
        yield tag, packet[position : position + length]
        position += length


def parse_answer(packet: bytes) -> Answer:
    """Reads a packet of the sandbox; raises ProtocolError."""
    if len(packet) < _HEADER.size:
        raise ProtocolError(f"the sandbox's answer has only {len(packet)} bytes")
    version, kind, count, message_id = _HEADER.unpack_from(packet)
    if version != VERSION:
        raise ProtocolError(f"the sandbox speaks protocol {version}, not {VERSION}", hint="reinstall pytest-pods")
    fields = tuple(_fields(packet))
    if len(fields) != count:
        raise ProtocolError(f"the sandbox's answer promises {count} fields and has {len(fields)}")
    return Answer(kind, message_id, fields)
