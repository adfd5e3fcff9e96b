"""Locks between processes (and between threads of one), each on a file of its own that stays where it is.

The order in which locks are taken, so that nobody waits in a circle; whoever holds one takes only later ones:

    1. sweep            one sweep of dead sessions at a time
    2. session          held for a session's whole life
    3. content          shared to add layers and blobs before their record; taken alone, without waiting, to collect
    4. pull             one per manifest
    5. images           shared to use images, exclusive to change what there is
    6. layer            one per chain ID, never two at once
    7. volumes          the volumes of one session, or of the command line, while one is looked for or removed
    8. volume           one volume, while it is made ready for its first container
    9. staging          one per staging place; never waited for
    10. names           the container names of one session
    11. interfaces      the places on networks of one container or pod
    12. networks        which networks there are
    13. network         the addresses, and the set-up, of one network
    14. netavark        one netavark at a time in a session
    15. way out         the session's slirp4netns
    16. name server     the names of a session
    17. restart         of one container: alone, but for what its start takes
    18. health          of one container, while a check is written down

The locks of things that processes share (`process_locks`) come between 2 and 3, those of one thing at a time.

A lock belongs to the open file: it goes with the process, however that ends. Descriptors are close-on-exec, so that no
child keeps a lock alive; to hand one over on purpose, `hold` gives the descriptor.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_pods.engine.deadline import Deadline

_INTERVAL_S = 0.02


@contextmanager
def exclusive(path: Path, *, deadline: Deadline | None = None) -> Iterator[None]:
    """Holds the lock alone; raises DeadlineExceededError if others have it until the deadline."""
    # Imported here because it is slow and most commands only read.
    from filelock import FileLock, Timeout

    remaining = None if deadline is None else deadline.remaining
    # thread_local: two threads that lock the same path are to exclude each other, and they do by having an object each.
    lock = FileLock(path, timeout=-1 if remaining is None else remaining, mode=0o600, thread_local=False)
    try:
        lock.acquire(poll_interval=_INTERVAL_S)
    except Timeout:
        raise DeadlineExceededError(f"gave up waiting for the lock {path.name}, which another process holds") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Holds the lock together with other readers; waits for a holder of `exclusive` to finish.

    filelock has no readers on a file; the kernel's lock that it uses has.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def brief(path: Path) -> Iterator[None]:
    """Holds the lock alone, for a moment, where nobody waits long enough to need a deadline.

    The kernel's lock as it is: importing filelock takes longer than what is done under these.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def existing(path: Path) -> Iterator[bool]:
    """As `brief`, on a file that is there; False, and nothing is held, if it is not, or was removed by whoever had the
    lock before. It makes nothing, so that it may be used where somebody else removes everything."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield _is_at(descriptor, path)
    finally:
        os.close(descriptor)


def hold(path: Path) -> int | None:
    """An open descriptor that holds the lock alone until it is closed, or None if somebody has it; never waits.

    None too if the file was removed by whoever had it: only the holder of such a lock may remove its file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(descriptor, path):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def is_held(path: Path) -> bool:
    """True if some process has the lock at this moment."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    own = os.fstat(descriptor)
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)
