"""What every protocol of netlink(7) has in common: headers, several messages in a packet, errors."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = 0x1
DUMP = 0x300
ERROR = 2
DONE = 3
MOST_BYTES = 1 << 16
HEADER = struct.Struct("=IHHII")
"""`nlmsghdr`: length with the header, kind, flags, sequence number, port."""
_ERRNO = struct.Struct("=i")


def pack_request(body: bytes, *, kind: int, flags: int, sequence: int) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST, sequence, 0) + body


def split(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """The kinds and the messages of a packet, each with its header; the next one begins at a multiple of four."""
    position = 0
    while position + HEADER.size <= len(packet):
        length, kind = HEADER.unpack_from(packet, position)[:2]
        yield kind, packet[position : position + length]
        position += (max(length, HEADER.size) + 3) & ~3


def read_errno(message: bytes) -> int:
    """Of a message of kind ERROR; 0 acknowledges."""
    return -int(_ERRNO.unpack_from(message, HEADER.size)[0])
