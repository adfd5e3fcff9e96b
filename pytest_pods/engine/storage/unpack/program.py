"""The child's entry: takes its root, does one piece of work there, and reports a document of `key value` lines.

    unpack ROOT ENTRIES KIND MOST_BYTES MOST_ENTRIES ZSTD   stream on descriptor 0 → ROOT, list of entries → ENTRIES
    verify ROOT ENTRIES                                     compares ROOT with the list
    remove DIRECTORY NAME                                   removes NAME in DIRECTORY
    import ROOT KIND MOST_BYTES MOST_ENTRIES ZSTD           stream on descriptor 0 → ROOT, into what is there already
    pack ROOT                                               ROOT → a tar archive, to descriptor 0
    send NAME OWNERS DEVICES                                descriptor 3 → a tar archive of it, NAME, to descriptor 0
    place PLACE KIND MOST_BYTES MOST_ENTRIES ZSTD           stream on descriptor 0 → the directory on descriptor 3
    changes UPPER MERGED LOWER…                             what UPPER changes of LOWER (lowest first), to descriptor 0
    glob PATTERN DEVICES                                    what matches below descriptor 3, to descriptor 0

KIND is rootful or rootless, PLACE container or host, OWNERS kept or none. DEVICES are numbers with commas between them.
For `changes`, descriptor 3 has lines with paths in MERGED that were not made by whom UPPER belongs to. It and `glob`
write lines: names in hexadecimal, a letter before each if it is a change. The report goes to descriptor 1; the exit
status is 0 whatever it says, and only an end that the program did not foresee gives another.
"""

from __future__ import annotations

import errno
import os
import sys
import zlib
from contextlib import suppress

from pytest_pods.engine.storage.unpack.refusal import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_REPORT = 1
_STREAM = 0
_GIVEN = 3
_MOST_CALLS = 5000


def main() -> None:
    verb, *arguments = sys.argv[1:]
    os.umask(0)
    # Trees are walked as deep as they may be, with a few calls for each directory.
    sys.setrecursionlimit(_MOST_CALLS)
    try:
        lines = _VERBS[verb](*arguments)
    except Refusal as refusal:
        lines = [f"refused {refusal.kind} {refusal.text}"]
    except BrokenPipeError:
        lines = ["refused pipe the other side stopped reading"]
    except OSError as error:
        kind = "full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "system"
        lines = [f"refused {kind} {error.strerror or error}"]
    except MemoryError:
        lines = ["refused system out of memory"]
    _write_all(_REPORT, "".join(f"{' '.join(line.splitlines())}\n" for line in lines).encode("utf-8", "replace"))
    # The reading thread may still hang in its read, and ending it takes a library that is not in the new root.
    os._exit(0)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _enter(root: str) -> None:
    try:
        os.chdir(root)
        os.chroot(".")
    except PermissionError as error:
        raise Refusal("host", f"cannot make {root} the root directory: {error.strerror}") from None


def _unpack(root: str, entries: str, kind: str, most_bytes: str, most_entries: str, zstd_path: str) -> list[str]:
    from pytest_pods.engine.storage.unpack import tar, tree
    from pytest_pods.engine.storage.unpack.stream import Source, load_zstd

    zstd = None
    if zstd_path != "-":
        sys.path.append(zstd_path)
        zstd = load_zstd()
    # Opened by its path while that still means something.
    listing_file = os.open(entries, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    _enter(root)
    os.chown("/", 0, 0)
    os.chmod("/", 0o755)
    source = Source(_STREAM, most_bytes=int(most_bytes), zstd=zstd)
    writer = tree.TreeWriter(source, rootless=kind == "rootless")
    count = 0
    for entry in tar.read_entries(source, most_entries=int(most_entries)):
        writer.write(entry)
        count += 1
    source.drain()
    writer.finish()
    listing = "".join(f"{line} {b'/'.join(parts).hex()}\n" for parts, line in writer.records.items())
    _write_all(listing_file, zlib.compress(listing.encode(), 1))
    return [
        f"diff_id sha256:{source.hexdigest()}",
        f"size {source.size}",
        f"entries {count}",
        f"opaque_root {int(writer.opaque_root)}",
        *(f"note {what} {number}" for what, number in writer.notes.items()),
    ]


def _import(root: str, kind: str, most_bytes: str, most_entries: str, zstd_path: str) -> list[str]:
    return _write_entries(kind, most_bytes, most_entries, zstd_path, root=root)


def _place(place: str, kind: str, most_bytes: str, most_entries: str, zstd_path: str) -> list[str]:
    return _write_entries(kind, most_bytes, most_entries, zstd_path, into=_GIVEN, tame=place == "host")


def _write_entries(
    kind: str,
    most_bytes: str,
    most_entries: str,
    zstd_path: str,
    *,
    root: str | None = None,
    into: int | None = None,
    tame: bool = False,
) -> list[str]:
    from pytest_pods.engine.storage.unpack import tar, tree
    from pytest_pods.engine.storage.unpack.stream import Source, load_zstd

    zstd = None
    if zstd_path != "-":
        sys.path.append(zstd_path)
        zstd = load_zstd()
    if root is not None:
        _enter(root)
    source = Source(_STREAM, most_bytes=int(most_bytes), zstd=zstd)
    writer = tree.TreeWriter(source, rootless=kind == "rootless", whiteouts=False, into=into, tame=tame)
    count = 0
    for entry in tar.read_entries(source, most_entries=int(most_entries)):
        writer.write(entry)
        count += 1
    source.drain()
    writer.finish()
    return [f"entries {count}", *(f"note {what} {number}" for what, number in writer.notes.items())]


def _pack(root: str) -> list[str]:
    from pytest_pods.engine.storage.unpack.packing import Packer

    with open(_STREAM, "wb", closefd=False) as stream:
        packer = Packer(stream)
        packer.pack(root)
    return [f"entries {packer.entries}"]


def _send(name: str, owners: str, devices: str) -> list[str]:
    from pytest_pods.engine.storage.unpack.packing import Packer

    with open(_STREAM, "wb", closefd=False) as stream:
        packer = Packer(stream, owners=owners == "kept", left_out=_parse_devices(devices))
        packer.pack_named(_GIVEN, name)
    return [f"entries {packer.entries}"]


def _parse_devices(text: str) -> frozenset[int]:
    return frozenset(int(number) for number in text.split(",") if number)


def _changes(upper: str, merged: str, *lower: str) -> list[str]:
    from pytest_pods.engine.storage.unpack.changes import find_changes

    with open(_GIVEN, "rb", closefd=False) as file:
        made = file.read().split(b"\n")
    _write_lines(f"{kind} {path.hex()}" for kind, path in find_changes(upper, merged, made, lower))
    return []


def _glob(pattern: str, devices: str) -> list[str]:
    from pytest_pods.engine.storage.unpack.matching import find_matches

    os.fchdir(_GIVEN)
    _enter(".")
    _write_lines(path.hex() for path in find_matches(bytes.fromhex(pattern), left_out=_parse_devices(devices)))
    return []


def _write_lines(lines: Iterable[str]) -> None:
    with open(_STREAM, "wb", closefd=False) as stream:
        stream.writelines(f"{line}\n".encode() for line in lines)


def _verify(root: str, entries: str) -> list[str]:
    from pytest_pods.engine.storage.unpack.check import find_difference

    with open(entries, "rb") as file:
        listing = file.read()
    _enter(root)
    try:
        difference = find_difference(zlib.decompress(listing))
    except zlib.error as error:
        difference = f"its list of entries is corrupt ({error})"
    return [f"different {difference}" if difference else "same"]


def _remove(directory: str, name: str) -> list[str]:
    from pytest_pods.engine.storage.unpack.removal import remove_tree

    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with suppress(FileNotFoundError):
        remove_tree(os.fsencode(name), descriptor)
    return ["removed"]


_VERBS: dict[str, Callable[..., list[str]]] = {
    "unpack": _unpack,
    "verify": _verify,
    "remove": _remove,
    "import": _import,
    "pack": _pack,
    "send": _send,
    "place": _place,
    "changes": _changes,
    "glob": _glob,
}
