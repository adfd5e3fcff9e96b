"""Who a container's process runs as: "user", "uid", "user:group" and "uid:gid", read in the image's passwd and group.

Both files come from the image and are hostile until shown otherwise: a line that does not parse is as good as absent,
and no line is looked at further than its own end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_FILE_BYTES = 4 * 1024 * 1024
"""What a caller should read of either file at most."""

_MOST_LINE_BYTES = 64 * 1024
_MOST_GROUPS = 1024
_HIGHEST_ID = 2**31 - 1


@frozen
class ResolvedUser:
    """Numeric ids, supplementary groups and the home directory. `name` is empty where passwd does not know the uid."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


@frozen
class MappedIds:
    """The ids that exist in a session: all of them for root, those of its user namespace for anybody else."""

    uids: tuple[range, ...]
    gids: tuple[range, ...]

    @classmethod
    def parse(cls, uid_map: str, gid_map: str) -> MappedIds:
        """Reads /proc/PID/uid_map and gid_map, as a process of the namespace sees them."""
        return cls(_parse_map(uid_map), _parse_map(gid_map))

    def restrict(self, user: ResolvedUser, *, where: str) -> ResolvedUser:
        """The user without supplementary groups that do not exist. Raises InvalidSpecError if itself does not."""
        for kind, number, ranges in (("user", user.uid, self.uids), ("group", user.gid, self.gids)):
            if not _is_in(number, ranges):
                known = ", ".join(str(one[0]) if len(one) == 1 else f"{one[0]} to {one[-1]}" for one in ranges)
                raise InvalidSpecError(
                    f"{where} would run as {kind} {number}, which does not exist here: this session has {known}",
                    hint="more ids come from /etc/subuid and /etc/subgid; pytest-pods doctor tells how",
                )
        return replace(user, groups=tuple(group for group in user.groups if _is_in(group, self.gids)))


def _parse_map(text: str) -> tuple[range, ...]:
    lines = ([int(number) for number in line.split()] for line in text.splitlines())
    return tuple(range(inside, inside + count) for inside, _, count in lines)


def _is_in(number: int, ranges: tuple[range, ...]) -> bool:
    return any(number in one for one in ranges)


@frozen
class _User:
    name: str
    uid: int
    gid: int
    home: str


@frozen
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(text: str, *, passwd: bytes, group: bytes, where: str = "the image") -> ResolvedUser:
    """Resolves what `--user` or an image's config says; an empty text means root. `where` names the image in messages.

    A number is always an id, also where somebody has that name. Without an explicit group, the user is also in the
    groups that list it. Raises InvalidSpecError for an unknown name or an id out of range.
    """
    user_text, separator, group_text = text.partition(":")
    if separator and not group_text:
        raise InvalidSpecError(f"invalid user {text!r}: the group after ':' is missing")
    found = _find_user(user_text or "0", passwd)
    uid = _parse_id(user_text or "0", text)
    if found is None and uid is None:
        raise InvalidSpecError(
            f"user {user_text!r} is not in /etc/passwd of {where}", hint="a numeric uid needs no entry there"
        )
    known = found or _User("", uid or 0, 0, "/")
    if group_text:
        gid = _resolve_group(group_text, group, whole=text, where=where)
        return ResolvedUser(known.uid, gid, (), known.home, known.name)
    return ResolvedUser(known.uid, known.gid, _groups_of(known.name, group), known.home, known.name)


def _resolve_group(text: str, content: bytes, *, whole: str, where: str) -> int:
    number = _parse_id(text, whole)
    if number is not None:
        return number
    for entry in _groups(content):
        if entry.name == text:
            return entry.gid
    raise InvalidSpecError(
        f"group {text!r} of user {whole!r} is not in /etc/group of {where}", hint="a numeric gid needs no entry there"
    )


def _groups_of(name: str, content: bytes) -> tuple[int, ...]:
    if not name:
        return ()
    found = dict.fromkeys(entry.gid for entry in _groups(content) if name in entry.members)
    return tuple(found)[:_MOST_GROUPS]


def _parse_id(text: str, whole: str) -> int | None:
    if not text.isascii() or not text.isdigit():
        return None
    if len(text) > 10 or int(text) > _HIGHEST_ID:
        raise InvalidSpecError(f"user {whole!r}: {text[:20]} is above the highest id, {_HIGHEST_ID}")
    return int(text)


def _find_user(text: str, content: bytes) -> _User | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None
    for user in _users(content):
        if user.uid == number if number is not None else user.name == text:
            return user
    return None


def _entries(content: bytes, fields: int) -> Iterator[list[str]]:
    for line in content[:MOST_FILE_BYTES].split(b"\n"):
        if len(line) > _MOST_LINE_BYTES or b"\0" in line or line.startswith(b"#"):
            continue
        entry = line.strip().decode("utf-8", "surrogateescape").split(":")
        if len(entry) >= fields and entry[0]:
            yield entry


def _number(text: str) -> int | None:
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _HIGHEST_ID:
        return int(text)
    return None


def _users(content: bytes) -> Iterator[_User]:
    for entry in _entries(content, 4):
        uid, gid = _number(entry[2]), _number(entry[3])
        if uid is not None and gid is not None:
            home = entry[5] if len(entry) > 5 else ""
            yield _User(entry[0], uid, gid, home if home.startswith("/") and len(home) < 4096 else "/")


def _groups(content: bytes) -> Iterator[_Group]:
    for entry in _entries(content, 3):
        gid = _number(entry[2])
        if gid is not None:
            members = entry[3].split(",") if len(entry) > 3 else ()
            yield _Group(entry[0], gid, tuple(members))
