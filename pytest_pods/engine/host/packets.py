"""Packets of a network namespace, out of a ring that the kernel fills (packet(7); kernel: networking/packet_mmap).

The socket comes from the sandbox, so that nobody has to enter the namespace, and no rights are needed to read it.
"""

from __future__ import annotations

import fcntl
import mmap
import select
import socket
import struct
from collections.abc import Iterator

from pytest_pods.frozen import frozen

_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_TPACKET_V3 = 2
_SIOCGIFNAME = 0x8910
ALL_PROTOCOLS = socket.htons(3)

_BLOCK_BYTES, _BLOCKS = 1 << 18, 16
_FRAME_BYTES = 1 << 11
RETIRE_S = 0.01
"""After this time the kernel hands over a block that is not full."""
_OF_USER = 1
_OUTGOING = 4
_LOOPBACK = 772


@frozen
class Packet:
    """`interface` is an index, `hardware` the type of that (ARPHRD_…); `length` is what it had on the wire."""

    at_ns: int
    interface: int
    hardware: int
    outgoing: bool
    length: int
    content: bytes


class PacketRing:
    """All packets of all interfaces from now on; of those of loopback, which pass twice, one. Not thread-safe."""

    def __init__(self, packets: socket.socket) -> None:
        """Takes over an AF_PACKET socket of the protocol `ALL_PROTOCOLS`; what it has received is not taken. Raises
        OSError."""
        self._socket = packets
        self._next = 0
        self._dropped = 0
        packets.setsockopt(_SOL_PACKET, _PACKET_VERSION, struct.pack("i", _TPACKET_V3))
        frames = _BLOCK_BYTES * _BLOCKS // _FRAME_BYTES
        request = (_BLOCK_BYTES, _BLOCKS, _FRAME_BYTES, frames, int(RETIRE_S * 1000), 0, 0)
        packets.setsockopt(_SOL_PACKET, _PACKET_RX_RING, struct.pack("7I", *request))
        self._ring = mmap.mmap(packets.fileno(), _BLOCK_BYTES * _BLOCKS)

    def fileno(self) -> int:
        """Readable when there is something to take."""
        return self._socket.fileno()

    def wait(self, wake: int) -> bool:
        """Until there is something to take; False if the descriptor `wake` is readable."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(wake, select.POLLIN)
        return all(descriptor != wake for descriptor, _ in poll.poll())

    def take(self) -> Iterator[Packet]:
        """What the kernel has handed over until now."""
        while True:
            start = self._next * _BLOCK_BYTES
            status, count, offset = struct.unpack_from("3I", self._ring, start + 8)
            if not status & _OF_USER:
                return
            try:
                yield from self._take_block(start, start + offset, count)
            finally:
                struct.pack_into("I", self._ring, start + 8, 0)
                self._next = (self._next + 1) % _BLOCKS

    def _take_block(self, start: int, place: int, count: int) -> Iterator[Packet]:
        for _ in range(count):
            following, seconds, nanoseconds, size, length = struct.unpack_from("5I", self._ring, place)
            (offset,) = struct.unpack_from("H", self._ring, place + 24)
            interface, hardware, kind = struct.unpack_from("iHB", self._ring, place + 48 + 4)
            if not (hardware == _LOOPBACK and kind == _OUTGOING):
                content = self._ring[place + offset : place + offset + size]
                at_ns = seconds * 1_000_000_000 + nanoseconds
                yield Packet(at_ns, interface, hardware, kind == _OUTGOING, length, content)
            place += following

    def count_dropped(self) -> int:
        """How many packets had no place in the ring so far."""
        _, dropped, _ = struct.unpack("3I", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12))
        self._dropped += dropped
        return self._dropped

    def find_name(self, interface: int) -> str:
        """What an interface is called in its namespace; empty if it is gone."""
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFNAME, struct.pack("16si20x", b"", interface))
        except OSError:
            return ""
        return answer[:16].partition(b"\0")[0].decode("utf-8", "replace")

    def close(self) -> None:
        self._ring.close()
        self._socket.close()
