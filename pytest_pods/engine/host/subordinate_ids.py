"""Subordinate ids: the ranges that /etc/subuid and /etc/subgid give to a user, and the programs that may map them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.host.programs import find_program
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

SUBUID_FILE = Path("/etc/subuid")
SUBGID_FILE = Path("/etc/subgid")
WANTED_COUNT = 65_536
"""What images use: ids up to 65535, `nobody` and `nogroup` being 65534."""

_HIGHEST_ID = 0xFFFF_FFFE


@frozen
class SubordinateRange:
    """`count` ids from `start`."""

    start: int
    count: int


@frozen
class SubordinateIds:
    """What a user may map beside the own id."""

    uids: tuple[SubordinateRange, ...]
    gids: tuple[SubordinateRange, ...]

    @property
    def usable(self) -> bool:
        """Both kinds are needed: a map of users without one of groups cannot be written by the helpers."""
        return bool(self.uids and self.gids)

    @property
    def count(self) -> int:
        """How many ids there are of the kind that has fewer."""
        return min(sum(entry.count for entry in kind) for kind in (self.uids, self.gids))


def parse_subordinate_ids(text: str, *, owners: Iterable[str]) -> tuple[SubordinateRange, ...]:
    """The ranges of a user out of `NAME_OR_ID:START:COUNT` lines; what is not one is passed over, as shadow does."""
    names = set(owners)
    ranges = []
    for line in text.splitlines():
        owner, _, rest = line.strip().partition(":")
        start, _, count = rest.partition(":")
        if owner not in names or not (start.isdecimal() and count.isdecimal()):
            continue
        first, amount = int(start), int(count)
        if amount and first + amount - 1 <= _HIGHEST_ID:
            ranges.append(SubordinateRange(first, amount))
    return tuple(ranges)


def find_subordinate_ids(uid: int | None = None) -> SubordinateIds:
    """The ranges of a user, this process's by default; empty where there are none."""
    uid = os.geteuid() if uid is None else uid
    owners = [str(uid), *_find_user_name(uid)]
    return SubordinateIds(
        parse_subordinate_ids(_read(SUBUID_FILE), owners=owners),
        # /etc/subgid too is keyed by the user, not by a group.
        parse_subordinate_ids(_read(SUBGID_FILE), owners=owners),
    )


def _find_user_name(uid: int) -> list[str]:
    import pwd

    try:
        return [pwd.getpwuid(uid).pw_name]
    except KeyError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


@frozen
class MapProgram:
    """`newuidmap` or `newgidmap`; `privileged` if it is set-uid root or has the file capability that it needs."""

    name: str
    path: Path | None
    privileged: bool

    @property
    def usable(self) -> bool:
        return self.path is not None and self.privileged


def find_map_program(name: str) -> MapProgram:
    """The program and whether it can do its work."""
    path = find_program(name)
    return MapProgram(name, path, path is not None and _has_privilege(path))


def _has_privilege(path: Path) -> bool:
    try:
        status = path.stat()
        if status.st_mode & stat.S_ISUID and status.st_uid == 0:
            return True
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False
