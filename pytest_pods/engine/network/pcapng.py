"""The blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian, as tcpdump and Wireshark read it. Pure."""

from __future__ import annotations

import struct

ETHERNET, RAW_IP = 1, 101
_LINK_TYPES = {1: ETHERNET, 772: ETHERNET, 65534: RAW_IP}
"""By ARPHRD_…: loopback has an Ethernet header as well."""

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_MAGIC = 0x1A2B3C4D
_NAME, _RESOLUTION, _DROPPED, _FLAGS = 2, 9, 5, 2
_NANOSECONDS = b"\x09"
_INBOUND, _OUTBOUND = 1, 2


def find_link_type(hardware: int) -> int | None:
    """What the packets of an interface begin with, None for what is not written down."""
    return _LINK_TYPES.get(hardware)


def build_section() -> bytes:
    """What a file begins with."""
    return _build_block(_SECTION, struct.pack("<IHHq", _MAGIC, 1, 0, -1))


def build_interface(link_type: int, name: str) -> bytes:
    """The first of these is interface 0, and so on."""
    options = _build_option(_NAME, name.encode()) + _build_option(_RESOLUTION, _NANOSECONDS) + _build_option(0, b"")
    return _build_block(_INTERFACE, struct.pack("<HHI", link_type, 0, 0) + options)


def build_packet(interface: int, at_ns: int, content: bytes, *, length: int, outgoing: bool) -> bytes:
    """`length` is what the packet had before it was cut."""
    head = struct.pack("<IIIII", interface, at_ns >> 32, at_ns & 0xFFFFFFFF, len(content), length)
    direction = struct.pack("<I", _OUTBOUND if outgoing else _INBOUND)
    return _build_block(_PACKET, head + _pad(content) + _build_option(_FLAGS, direction) + _build_option(0, b""))


def build_statistics(interface: int, at_ns: int, *, dropped: int) -> bytes:
    """How many packets are missing."""
    head = struct.pack("<III", interface, at_ns >> 32, at_ns & 0xFFFFFFFF)
    return _build_block(_STATISTICS, head + _build_option(_DROPPED, struct.pack("<Q", dropped)) + _build_option(0, b""))


def _build_block(kind: int, body: bytes) -> bytes:
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def _build_option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _pad(value)


def _pad(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)
