"""Which names of an archive are taken, and what a whiteout's name asks for. Pure."""

from __future__ import annotations

from pytest_pods.engine.storage.unpack.refusal import Refusal, show

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
# Book-keeping of aufs, which old engines left in their layers. It means nothing anywhere else.
_AUFS = frozenset({b".wh..wh.aufs", b".wh..wh.orph", b".wh..wh.plnk"})

_MOST_NAME = 255
# Less than the kernel's limit, because the same files have longer names from outside.
_MOST_PATH = 3500
_MOST_DEPTH = 256


def split_name(name: bytes) -> tuple[bytes, ...]:
    """The components of an entry's or hard link target's name, below the layer's root; () is the root itself.

    A leading slash means nothing, as for every other engine. Raises Refusal for what could be meant to reach out.
    """
    if len(name) > _MOST_PATH:
        raise Refusal("unsafe", f"entry {show(name)} has a name of {len(name)} bytes")
    parts = name.split(b"/")
    if b"" in parts or b"." in parts:
        parts = [part for part in parts if part not in (b"", b".")]
    if b".." in parts:
        raise Refusal("unsafe", f"entry {show(name)} would reach out of the layer")
    if len(parts) > _MOST_DEPTH:
        raise Refusal("unsafe", f"entry {show(name)} lies {len(parts)} directories deep")
    if b"\0" in name:
        raise Refusal("unsafe", f"entry {show(name)} has a NUL byte in its name")
    if len(name) > _MOST_NAME and any(len(part) > _MOST_NAME for part in parts):
        raise Refusal("unsafe", f"entry {show(name)} has a component longer than {_MOST_NAME} bytes")
    return tuple(parts)


def is_ignored(parts: tuple[bytes, ...]) -> bool:
    """True for book-keeping of aufs and what lies in it."""
    return not _AUFS.isdisjoint(parts)


def check_whiteout_place(parts: tuple[bytes, ...]) -> None:
    """Raises Refusal for a whiteout's name where a directory has to be."""
    for part in parts[:-1]:
        if part.startswith(WHITEOUT):
            raise Refusal("unsafe", f"entry {show(b'/'.join(parts))} lies below a whiteout")


def parse_whiteout(parts: tuple[bytes, ...]) -> bytes:
    """The name that a `.wh.NAME` entry hides; raises Refusal if there is none."""
    hidden = parts[-1][len(WHITEOUT) :]
    if hidden in (b"", b".", b"..") or hidden.startswith(WHITEOUT):
        raise Refusal("unsafe", f"entry {show(b'/'.join(parts))} is a whiteout of nothing that can be")
    return hidden
