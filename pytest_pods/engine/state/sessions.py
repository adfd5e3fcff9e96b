"""Sessions on the disk: making one under its lock, finding the live ones and the left-overs of dead ones.

A session is live as long as somebody holds the lock on the file in its directory: janitor and init do. Everything that
it will make outside of its namespaces (directories, cgroups) is written down here before it is made.
"""

from __future__ import annotations

import enum
import fcntl
import json
import os
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import (
    ConflictError,
    InvalidDocumentError,
    SessionNotFoundError,
    StorageError,
)
from pytest_pods.engine.state.atomic import write_atomically
from pytest_pods.engine.state.store import ensure_store
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_pods.engine.state.layout import SessionLayout, StoreLayout


class SessionKind(enum.Enum):
    """`OWNED` ends with the process that made it, `SHARED` too, but others work in it as well; `KEPT` with its lease,
    `REUSED` with one that begins when no run of tests works in it; `COMMAND_LINE` with its last container."""

    OWNED = "owned"
    SHARED = "shared"
    KEPT = "kept"
    REUSED = "reused"
    COMMAND_LINE = "command-line"

    @property
    def of_tests(self) -> bool:
        """Whether it ends with the run of tests that made it."""
        return self in (SessionKind.OWNED, SessionKind.SHARED)

    @property
    def leased(self) -> bool:
        """Whether it is there for a while after tests, and nobody makes anything in it by hand."""
        return self in (SessionKind.KEPT, SessionKind.REUSED)


@frozen
class SessionRecord:
    """`created` and `expires` are seconds since the epoch; `cgroups` are absolute directories on the host."""

    id: str
    kind: SessionKind
    created: float
    owner_pid: int
    level: int
    rootless: bool
    single_id: bool
    cgroup: str | None
    cgroups: tuple[str, ...]
    expires: float | None = None

    def to_bytes(self) -> bytes:
        return json.dumps({**asdict(self), "kind": self.kind.value}).encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: Path) -> SessionRecord:
        """Reads `session.json`; raises InvalidDocumentError."""
        try:
            document = json.loads(content)
            return cls(
                **{
                    **document,
                    "kind": SessionKind(document["kind"]),
                    "cgroups": tuple(document["cgroups"]),
                }
            )
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidDocumentError(f"the session record {where} cannot be read: {error}") from error


@contextmanager
def sweeping(store: StoreLayout) -> Iterator[None]:
    """Holds the run root's lock: sessions are made, and judged dead, one at a time. Short; never while deleting."""
    ensure_store(store)
    with _flocked(store.sessions_dir / ".lock"):
        yield


@contextmanager
def opening_command_line(store: StoreLayout) -> Iterator[None]:
    """Held while the command line's session is looked for and, if it is not there, made: one process does that."""
    ensure_store(store)
    with _flocked(store.run_root / "command-line.lock"):
        yield


@contextmanager
def opening_reused(store: StoreLayout) -> Iterator[None]:
    """Held while the session of reused containers is looked for and, if it is not there, made, by one process."""
    ensure_store(store)
    with _flocked(store.run_root / "reused.lock"):
        yield


def find_reused_id(store: StoreLayout) -> str | None:
    """The ID of the session in which containers were kept for the next run, which may have ended."""
    return _find_id(store.reused_session_file)


def write_reused_id(store: StoreLayout, session_id: str) -> None:
    """Makes a session that of reused containers; `opening_reused` has to be held."""
    write_atomically(store.reused_session_file, session_id.encode())


@contextmanager
def setting_up_uplink(layout: SessionLayout) -> Iterator[None]:
    """Held while the session's way out is looked for and, if it is not there, made."""
    with _flocked(layout.uplink_lock):
        yield


def find_command_line_id(store: StoreLayout) -> str | None:
    """The ID of the session that the command line had last, which may have ended."""
    return _find_id(store.default_session_file)


def _find_id(file: Path) -> str | None:
    try:
        return file.read_text("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def write_command_line_id(store: StoreLayout, session_id: str) -> None:
    """Makes a session the command line's; `opening_command_line` has to be held."""
    write_atomically(store.default_session_file, session_id.encode())


def use_command_line(store: StoreLayout) -> int:
    """A descriptor that says, until it is closed, that somebody works in the command line's session."""
    descriptor = os.open(store.run_root / "command-line.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def command_line_is_used(store: StoreLayout) -> bool:
    """Whether anybody works in the command line's session; nobody begins to while `opening_command_line` is held."""
    lock = os.open(store.run_root / "command-line.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@contextmanager
def _flocked(path: Path) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def await_end(layout: SessionLayout) -> None:
    """Waits until nobody holds the session's lock: its janitor does until it has removed everything."""
    try:
        lock = os.open(layout.lock_file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(lock)


def discard_session(layout: SessionLayout) -> None:
    """Removes the directories of a session whose sandbox has never been there: all of it is this process's own."""
    import shutil

    shutil.rmtree(layout.scratch_dir, ignore_errors=True)
    shutil.rmtree(layout.directory, ignore_errors=True)


def create_session(store: StoreLayout, record: SessionRecord) -> tuple[SessionLayout, int]:
    """Makes the session's directories and takes its lock: the layout, and the descriptor that holds the lock.

    Raises ConflictError if a live session has the ID already.
    """
    layout = store.session(record.id)
    with sweeping(store):
        try:
            layout.directory.mkdir(mode=0o700)
        except FileExistsError:
            raise ConflictError(f"there is a session {record.id} already") from None
        lock = os.open(layout.lock_file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        write_record(layout, record)
        layout.scratch_dir.mkdir(mode=0o711)
        layout.staging_dir.mkdir(mode=0o700)
        for directory in (
            layout.containers_dir,
            layout.pods_dir,
            layout.names_dir,
            layout.leases_dir,
            layout.runtime_root,
            layout.temporary_dir,
        ):
            directory.mkdir(mode=0o700)
    except OSError as error:
        os.close(lock)
        raise StorageError(f"making the session's directories below {layout.directory}: {error.strerror}") from error
    return layout, lock


def write_record(layout: SessionLayout, record: SessionRecord) -> None:
    """Replaces `session.json` in one step."""
    new = layout.record_file.with_suffix(".new")
    new.write_bytes(record.to_bytes())
    new.rename(layout.record_file)


def read_record(layout: SessionLayout) -> SessionRecord:
    """Raises SessionNotFoundError if there is none, InvalidDocumentError."""
    try:
        content = layout.record_file.read_bytes()
    except OSError as error:
        raise SessionNotFoundError(f"no session {layout.session_id}") from error
    return SessionRecord.from_bytes(content, where=layout.record_file)


def mark_leased(
    layout: SessionLayout, *, lease_s: float, kind: SessionKind = SessionKind.KEPT
) -> SessionRecord:
    """Writes into the record that the session lives on its lease from now on."""
    record = replace(read_record(layout), kind=kind, expires=time.time() + lease_s)
    write_record(layout, record)
    return record


def find_lock(layout: SessionLayout) -> int | None:
    """The descriptor of a dead session's lock, taken; None if somebody holds it, or there is none."""
    try:
        lock = os.open(layout.lock_file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def is_live(layout: SessionLayout) -> bool:
    """True while somebody holds the session's lock."""
    if not layout.lock_file.exists():
        return False
    lock = find_lock(layout)
    if lock is None:
        return layout.lock_file.exists()
    os.close(lock)
    return False


def live_sessions(store: StoreLayout) -> list[SessionRecord]:
    """The records of all live sessions, oldest first; one that cannot be read is passed over."""
    found = []
    for layout in _session_layouts(store):
        if is_live(layout):
            try:
                found.append(read_record(layout))
            except (SessionNotFoundError, InvalidDocumentError):
                continue
    return sorted(found, key=lambda record: record.created)


@frozen
class LeftOver:
    """What a dead session left; `lock` is held by us, or None where there was no lock file."""

    layout: SessionLayout
    record: SessionRecord | None
    lock: int | None


def take_left_overs(store: StoreLayout) -> list[LeftOver]:
    """Takes the locks of all dead sessions; whoever has the lock deletes."""
    if not store.sessions_dir.is_dir() and not store.scratch_dir.is_dir():
        return []
    found = []
    with sweeping(store):
        layouts = {layout.session_id: layout for layout in _session_layouts(store)}
        for layout in layouts.values():
            lock = find_lock(layout)
            if lock is None and layout.lock_file.exists():
                continue
            try:
                record: SessionRecord | None = read_record(layout)
            except (SessionNotFoundError, InvalidDocumentError):
                record = None
            found.append(LeftOver(layout, record, lock))
        if store.scratch_dir.is_dir():
            # After a restart of the machine the run root is empty; the scratch in the store is not.
            names = {entry.name for entry in os.scandir(store.scratch_dir)} - set(layouts)
            found += [LeftOver(store.session(name), None, None) for name in sorted(names)]
    return found


def _session_layouts(store: StoreLayout) -> list[SessionLayout]:
    try:
        names = sorted(entry.name for entry in os.scandir(store.sessions_dir) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
    return [store.session(name) for name in names]
