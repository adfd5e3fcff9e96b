"""Reads the headers of a tar stream: ustar, GNU long names, PAX. Strict: what is malformed is refused, never guessed.

Names and link targets are bytes as the archive has them; whether they are safe is the writer's question.
"""

from __future__ import annotations

import binascii

from pytest_pods.engine.storage.unpack.refusal import Refusal, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.engine.storage.unpack.stream import Source

_BLOCK = 512
_MOST_EXTENSION = 1024 * 1024
_ZEROS = bytes(_BLOCK)
_NO_ID = 2**32 - 1

FILE, LINK, SYMLINK, DIRECTORY = "file", "link", "symlink", "directory"
CHARACTER, BLOCK, FIFO = "character", "block", "fifo"
_KINDS = {
    b"0": FILE,
    b"\0": FILE,
    b"7": FILE,
    b"1": LINK,
    b"2": SYMLINK,
    b"3": CHARACTER,
    b"4": BLOCK,
    b"5": DIRECTORY,
    b"6": FIFO,
}


class Entry:
    """One entry; `size` is what follows in the stream, zero for all but files."""

    __slots__ = ("gid", "kind", "link", "major", "minor", "mode", "mtime_ns", "name", "size", "uid", "xattrs")

    name: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes
    major: int
    minor: int
    xattrs: dict[bytes, bytes]


_NO_XATTRS: dict[bytes, bytes] = {}


def read_entries(source: Source, *, most_entries: int) -> Iterator[Entry]:
    """Yields each entry; its content may be taken from `source` with `pieces` up to `size`, the rest has to be skipped.

    Whoever iterates calls `source.skip` for what it left of `size`; the padding is skipped here.
    """
    count = 0
    extension: dict[bytes, bytes] = {}
    while True:
        header = source.read(_BLOCK)
        if len(header) < _BLOCK:
            if header:
                raise Refusal("document", "the archive ends in the middle of a header")
            break
        if header == _ZEROS:
            break
        _check_sum(header)
        flag = header[156:157]
        if flag in b"xLKg":
            _read_extension(source, flag, _number(header, 124, 136, "size"), extension)
            continue
        entry = _parse_header(header, flag, extension)
        extension = {}
        count += 1
        if count > most_entries:
            raise Refusal("size", f"the layer has more than {most_entries} entries")
        yield entry
        if padding := -entry.size % _BLOCK:
            source.skip(padding)
    if extension:
        raise Refusal("document", "the archive ends after an extended header")


def _check_sum(header: bytes) -> None:
    stored = _number(header, 148, 156, "checksum")
    computed = sum(header) - sum(header[148:156]) + 8 * 32
    if stored != computed:
        # Some old writers summed signed bytes.
        signed = sum(byte - 256 if byte > 127 else byte for byte in header[:148] + header[156:]) + 8 * 32
        if stored != signed:
            raise Refusal("document", "the archive has a header with a wrong checksum")


def _number(header: bytes, start: int, end: int, what: str) -> int:
    field = header[start:end]
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
        return value
    digits = field.strip(b" \0")
    if not digits:
        return 0
    try:
        # int() alone would also take signs and underscores.
        if digits.isdigit():
            return int(digits, 8)
    except ValueError:
        pass
    raise Refusal("document", f"the archive has a header with an invalid {what}")


def _read_extension(source: Source, flag: bytes, size: int, extension: dict[bytes, bytes]) -> None:
    if not 0 <= size <= _MOST_EXTENSION:
        raise Refusal("document", f"the archive has an extended header of {size} bytes")
    data = source.read(size)
    if len(data) != size:
        raise Refusal("document", "the archive ends in the middle of an extended header")
    source.skip(-size % _BLOCK)
    if flag == b"x":
        extension.update(_parse_pax(data))
    elif flag == b"L":
        extension[b"path"] = data.split(b"\0", 1)[0]
    elif flag == b"K":
        extension[b"linkpath"] = data.split(b"\0", 1)[0]
    # A global header (g) speaks of the archive as a whole; what git and others put there is a comment.


def _parse_pax(data: bytes) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 12)
        digits = data[position:space] if space > 0 else b""
        if not digits.isdigit():
            raise Refusal("document", "the archive has a malformed PAX record")
        end = position + int(digits)
        key, separator, value = data[space + 1 : end - 1].partition(b"=")
        if end > len(data) or end <= space + 1 or data[end - 1 : end] != b"\n" or not separator or not key:
            raise Refusal("document", "the archive has a malformed PAX record")
        records[key] = value
        position = end
    return records


def _parse_header(header: bytes, flag: bytes, extension: dict[bytes, bytes]) -> Entry:
    entry = Entry()
    entry.name = header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0" and header[345]:
        prefix = header[345 : 476 if header[508:512] == b"tar\0" else 500].split(b"\0", 1)[0]
        entry.name = prefix + b"/" + entry.name
    entry.link = header[157:257].split(b"\0", 1)[0]
    entry.mode = _number(header, 100, 108, "mode") & 0o7777
    entry.uid = _number(header, 108, 116, "uid")
    entry.gid = _number(header, 116, 124, "gid")
    entry.size = _number(header, 124, 136, "size")
    entry.mtime_ns = _number(header, 136, 148, "mtime") * 1_000_000_000
    entry.xattrs = _NO_XATTRS
    if extension:
        _apply_extension(entry, extension)
    kind = _KINDS.get(flag)
    if kind is None:
        raise Refusal("document", f"entry {show(entry.name)} has the unsupported type {flag!r}")
    if kind is FILE and flag != b"7" and entry.name.endswith(b"/"):
        kind = DIRECTORY
    entry.kind = kind
    entry.major = entry.minor = 0
    if kind in (CHARACTER, BLOCK):
        entry.major, entry.minor = _number(header, 329, 337, "device"), _number(header, 337, 345, "device")
    if kind is not FILE:
        # Writers disagree on the size of what has no content; no reader expects content there.
        entry.size = 0
    if not (0 <= entry.uid < _NO_ID and 0 <= entry.gid < _NO_ID and 0 <= entry.size < 2**62):
        raise Refusal("document", f"entry {show(entry.name)} has an owner or a size out of range")
    if not -(2**62) < entry.mtime_ns < 2**62:
        entry.mtime_ns = 0
    return entry


def _apply_extension(entry: Entry, extension: dict[bytes, bytes]) -> None:
    xattrs: dict[bytes, bytes] = {}
    for key, value in extension.items():
        if key == b"path" and value:
            entry.name = value
        elif key == b"linkpath" and value:
            entry.link = value
        elif key in (b"size", b"uid", b"gid") and value:
            if not value.isdigit() or len(value) > 20:
                raise Refusal("document", f"entry {show(entry.name)} has the invalid {key.decode()} {show(value)}")
            setattr(entry, key.decode(), int(value))
        elif key == b"mtime" and value:
            entry.mtime_ns = _parse_time(value)
        elif key.startswith(b"SCHILY.xattr."):
            xattrs[key[13:]] = value
        elif key.startswith(b"LIBARCHIVE.xattr."):
            xattrs.setdefault(*_parse_libarchive(key[17:], value))
        elif key.startswith(b"GNU.sparse."):
            raise Refusal("document", f"entry {show(entry.name)} is a sparse file, which no image may have")
    if xattrs:
        entry.xattrs = xattrs


def _parse_time(value: bytes) -> int:
    whole, _, fraction = value.partition(b".")
    digits = whole[1:] if whole.startswith(b"-") else whole
    if not digits.isdigit() or len(digits) > 15 or (fraction and not fraction.isdigit()):
        raise Refusal("document", f"the archive has the invalid time {show(value)}")
    nanoseconds = int((fraction + b"000000000")[:9])
    seconds = int(digits) * 1_000_000_000 + nanoseconds
    return -seconds if whole.startswith(b"-") else seconds


def _parse_libarchive(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """libarchive writes the name URL-encoded and the value in base64 without padding."""
    first, *rest = name.split(b"%")
    try:
        decoded = first + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in rest)
        return decoded, binascii.a2b_base64(value + b"=" * (-len(value) % 4))
    except ValueError:
        raise Refusal("document", f"the archive has the malformed extended attribute {show(name)}") from None
