"""Finds the paths that a pattern matches below the current root directory: `*`, `?`, `[…]`, and `**` for any depth.

As in a shell, a pattern has to name a leading dot itself, and `**` follows no links; links that the pattern names are
followed.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from contextlib import suppress

from pytest_pods.engine.storage.unpack.refusal import Refusal, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_MATCHES = 100_000
_MOST_DEPTH = 256
_SPECIAL = re.compile(rb"[*?\[]")


def find_matches(pattern: bytes, *, left_out: frozenset[int]) -> list[bytes]:
    """Absolute paths, sorted; nothing in directories on the devices `left_out`. Raises Refusal for too many."""
    parts = [part for part in pattern.split(b"/") if part not in (b"", b".")]
    if parts[-1:] == [b"**"]:
        parts.append(b"*")
    found: set[bytes] = set()
    for path in _match(b"", parts, left_out, 0):
        found.add(path or b"/")
        if len(found) > _MOST_MATCHES:
            raise Refusal("size", f"{show(pattern)} matches more than {_MOST_MATCHES} paths")
    return sorted(found)


def _match(path: bytes, parts: Sequence[bytes], left_out: frozenset[int], depth: int) -> Iterator[bytes]:
    """`path` is there."""
    if not parts:
        yield path
        return
    first, rest = parts[0], parts[1:]
    if first == b"**":
        yield from _match(path, rest, left_out, depth)
        if depth < _MOST_DEPTH:
            for name in _list(path, left_out):
                inner = b"/".join((path, name))
                if not name.startswith(b".") and _is_directory(inner):
                    yield from _match(inner, parts, left_out, depth + 1)
        return
    for name in _list(path, left_out) if _SPECIAL.search(first) else [first]:
        inner = b"/".join((path, name))
        if _fits(name, first) and (os.path.isdir(inner) if rest else os.path.lexists(inner)):
            yield from _match(inner, rest, left_out, depth)


def _fits(name: bytes, pattern: bytes) -> bool:
    if name == pattern:
        return True
    return fnmatch.fnmatchcase(name, pattern) and (not name.startswith(b".") or pattern.startswith(b"."))


def _is_directory(path: bytes) -> bool:
    with suppress(OSError):
        return stat.S_ISDIR(os.lstat(path).st_mode)
    return False


def _list(path: bytes, left_out: frozenset[int]) -> list[bytes]:
    directory = path or b"/"
    with suppress(OSError):
        if os.stat(directory).st_dev not in left_out:
            return sorted(os.listdir(directory))
    return []
