"""Reads a pcapng file as strictly as its specification has it, as far as ours has something to be read."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Captured:
    interface: str
    at_ns: int
    content: bytes


@dataclass(frozen=True)
class File:
    packets: list[Captured]
    dropped: int

    def holds(self, text: bytes) -> bool:
        return any(text in packet.content for packet in self.packets)


def read(path: Path) -> File:
    content = path.read_bytes()
    assert struct.unpack_from("<IIIHH", content) == (0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0)
    names: list[str] = []
    packets: list[Captured] = []
    place, dropped = 28, 0
    while place < len(content):
        kind, size = struct.unpack_from("<II", content, place)
        body = content[place + 8 : place + size - 4]
        assert size % 4 == 0
        assert struct.unpack_from("<I", content, place + size - 4) == (size,)
        if kind == 1:
            assert struct.unpack_from("<H", body) == (1,)
            options = read_options(body[8:])
            assert options[9] == b"\x09"
            names.append(options[2].decode())
        elif kind == 5:
            dropped = struct.unpack("<Q", read_options(body[12:])[5])[0]
        else:
            assert kind == 6
            number, high, low, kept, length = struct.unpack_from("<5I", body)
            assert kept <= length
            packets.append(Captured(names[number], high << 32 | low, body[20 : 20 + kept]))
        place += size
    return File(packets, dropped)


def read_options(content: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    place = 0
    while True:
        code, size = struct.unpack_from("<HH", content, place)
        if code == 0:
            return found
        found[code] = content[place + 4 : place + 4 + size]
        place += 4 + size + -size % 4
