"""What several test processes share in one session: who makes it, who uses it, what it was made from.

A thing has a record and two locks in the session's directory: `making` is held while it is looked for and, if it is not
there, made; `held` is shared by all who use it. A killed process leaves both. Whoever finds a record that says "making"
with the lock free knows that its maker was killed.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pytest_pods.engine import errors
from pytest_pods.engine.state.atomic import find_bytes, write_atomically
from pytest_pods.engine.state.process_locks import ProcessLock
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_pods.engine.state.layout import SessionLayout

Kind: TypeAlias = Literal["container", "pod", "network", "volume"]
Stage: TypeAlias = Literal["making", "made", "failed"]


@frozen
class ThingRecord:
    """`names` are all that it takes, its own first; `run` is the run of tests that made it, or failed to, with `error`
    as `describe_error` has it."""

    kind: Kind
    names: tuple[str, ...]
    fixture: str
    run: str
    stage: Stage = "making"
    error: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return self.names[0]

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def find(cls, path: Path) -> ThingRecord | None:
        """None if there is none that can be read."""
        content = find_bytes(path)
        if content is None:
            return None
        try:
            document = json.loads(content)
            return cls(**{**document, "names": tuple(document["names"])})
        except (ValueError, TypeError, KeyError):
            return None


@frozen
class ThingKey:
    """`identity` says which fixture's it is, `digest` what it is made from."""

    identity: str
    digest: str

    @classmethod
    def build(cls, identity: str, made_from: str) -> ThingKey:
        return cls(_digest(identity), _digest(made_from))

    def __str__(self) -> str:
        return f"{self.identity}-{self.digest}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


class ThingFiles:
    """The files of one thing. Closing them leaves its locks."""

    def __init__(self, layout: SessionLayout, key: str) -> None:
        layout.things_dir.mkdir(mode=0o700, exist_ok=True)
        self._base = layout.things_dir / key
        self.making = ProcessLock(self._path("making"))
        self.held = ProcessLock(self._path("held"))

    def _path(self, what: str) -> Path:
        return self._base.with_name(f"{self._base.name}.{what}")

    def find(self) -> ThingRecord | None:
        return ThingRecord.find(self._path("json"))

    def write(self, record: ThingRecord) -> None:
        write_atomically(self._path("json"), record.to_bytes())

    def forget(self) -> None:
        """Removes the record; the locks stay."""
        for what in ("json", "keep"):
            self._path(what).unlink(missing_ok=True)

    def touch(self) -> None:
        """It is used at this moment."""
        os.utime(self._path("held"))

    @property
    def used_at(self) -> float:
        """When it was used last, in seconds since the epoch."""
        return self._path("held").stat().st_mtime

    def keep(self, nodeid: str) -> None:
        """Asks for it to outlive the run, for a look at what a test found in it."""
        if not self._path("keep").exists():
            write_atomically(self._path("keep"), nodeid.encode())

    @property
    def kept_for(self) -> str | None:
        """The test that it is kept for; None if it is not."""
        content = find_bytes(self._path("keep"))
        return None if content is None else content.decode()

    def close(self) -> None:
        self.making.close()
        self.held.close()


def list_keys(layout: SessionLayout, *, identity: str = "") -> list[str]:
    """The things that there are, of one identity or all."""
    try:
        names = sorted(os.listdir(layout.things_dir))
    except FileNotFoundError:
        return []
    ends = ".json"
    return [name.removesuffix(ends) for name in names if name.endswith(ends) and name.startswith(identity)]


class UserFile:
    """What this process has made for itself in a session that is not its own: said before it is made, so that others
    can take it away if this process is killed."""

    def __init__(self, layout: SessionLayout, token: str) -> None:
        layout.users_dir.mkdir(mode=0o700, exist_ok=True)
        self._path = layout.users_dir / token
        self._lock = ProcessLock(self._path)
        self._lock.take()

    def note(self, name: str, *, owner: str = "", keep: bool = False) -> None:
        """`owner` is its ID, once it has one. With `keep`, it is to stay when this process has gone."""
        with self._path.with_suffix(".list").open("a") as file:
            file.write(f"{'keep' if keep else 'made'} {name} {owner or '-'}\n")

    def close(self) -> None:
        """Nothing of this process is left that others would have to take away."""
        if not _read_user(self._path).kept:
            _forget_user(self._path)
        self._lock.close()


@frozen
class User:
    """A process that works, or has worked, in a session: the names of what it made for itself, with the ID or without
    one for what may not have been made, and the names of what of that is to stay."""

    made: Mapping[str, str]
    kept: frozenset[str]

    @property
    def removable(self) -> dict[str, str]:
        return {name: owner for name, owner in self.made.items() if name not in self.kept}


def _read_user(path: Path) -> User:
    lines = (find_bytes(path.with_suffix(".list")) or b"").decode().splitlines()
    words = [line.split() for line in lines]
    # The last line of a killed process may be cut short.
    whole = [word for word in words if len(word) == 3]
    return User(
        {name: "" if owner == "-" else owner for verb, name, owner in whole if verb == "made"},
        frozenset(name for verb, name, _ in whole if verb == "keep"),
    )


def live_names(layout: SessionLayout, *, own: str) -> frozenset[str]:
    """What the processes that live have made for themselves; `own` is the token of this one."""
    return frozenset(
        name for path in _list_users(layout) if path.name == own or not _is_dead(path) for name in _read_user(path).made
    )


def take_dead_users(layout: SessionLayout, *, own: str) -> Iterator[User]:
    """Each process that has ended without tidying up; after it was dealt with its file is gone. Two who do this at the
    same time do not meet one twice."""
    for path in _list_users(layout):
        if path.name == own:
            continue
        with suppress(FileNotFoundError):
            lock = ProcessLock(path)
            try:
                if lock.try_take() and path.exists():
                    user = _read_user(path)
                    yield user
                    if not user.kept:
                        _forget_user(path)
            finally:
                lock.close()


def list_kept(layout: SessionLayout) -> frozenset[str]:
    """What processes have made for themselves, and want to stay."""
    return frozenset(name for path in _list_users(layout) for name in _read_user(path).kept)


def _forget_user(path: Path) -> None:
    for one in (path.with_suffix(".list"), path):
        one.unlink(missing_ok=True)


def _is_dead(path: Path) -> bool:
    lock = ProcessLock(path)
    try:
        return lock.try_take()
    finally:
        lock.close()


def _list_users(layout: SessionLayout) -> list[Path]:
    try:
        return [layout.users_dir / name for name in sorted(os.listdir(layout.users_dir)) if "." not in name]
    except FileNotFoundError:
        return []


def describe_error(error: errors.PodsError) -> dict[str, Any]:
    """An error as a document that another process reads."""
    plain = str | int | float | bool | None
    fields = {name: value for name, value in error.__dict__.items() if isinstance(value, plain)}
    return {"kind": type(error).__name__, "brief": error.brief, "fields": fields}


def rebuild_error(document: dict[str, Any]) -> errors.PodsError:
    """What `describe_error` has described."""
    kind = getattr(errors, str(document["kind"]), None)
    if not (isinstance(kind, type) and issubclass(kind, errors.PodsError)):
        kind = errors.PodsError
    error = errors.PodsError(document["brief"])
    rebuild, (_, brief, fields) = error.__reduce__()
    return rebuild(kind, brief, {**fields, **document["fields"]})


def settle(record: ThingRecord, stage: Stage, error: errors.PodsError | None = None) -> ThingRecord:
    """The record of a thing that was made, or that could not be."""
    return replace(record, stage=stage, error=None if error is None else describe_error(error))
