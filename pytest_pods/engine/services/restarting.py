"""Restart policies: whether, when and by whom a container that has ended is started again.

One that is ended because it was not well has failed, whatever its exit code; its health check may ask for a restart.

In a session that this process owns a thread waits for its end. In one that outlives its processes its monitor starts
`pytest-pods container-ended` when it ends. Whoever stops a container on purpose says so first, and then waits for a
restart that is under way: so no stop is undone. The exit policy of a pod, which may end with its last member, is
followed by the same.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import PodsError
from pytest_pods.engine.host.pipes import wait_readable
from pytest_pods.engine.services.inner_programs import build_inner_argv
from pytest_pods.engine.state.atomic import find_bytes, write_atomically
from pytest_pods.engine.state.locks import brief
from pytest_pods.engine.state.sessions import SessionKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_pods.engine.pod_records import PodRecord
    from pytest_pods.engine.records import ContainerRecord, ContainerState
    from pytest_pods.engine.services.lifecycle import ExitDescriptor
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.state.layout import ContainerLayout

COMMAND = "container-ended"
"""The command line's command for it, which no help shows."""

_SHORTEST_S, _LONGEST_S = 0.1, 60.0
_STEADY_S = 10.0
"""Who has run for so long is not in a loop of failures."""


def read_restarts(layout: ContainerLayout) -> tuple[int, int]:
    """How often it was started again, and how often in a row soon after the time before.

    A restart that was announced counts from the moment that its start is there: in one step, whoever is killed when.
    """
    words = (find_bytes(layout.restarts_file) or b"").decode().split()
    try:
        if len(words) > 2 and words[4] == (find_bytes(layout.started_file) or b"").decode():
            return int(words[2]), int(words[3])
        return int(words[0]), int(words[1])
    except (IndexError, ValueError):
        return 0, 0


def wants_restart(record: ContainerRecord, layout: ContainerLayout, exit_code: int) -> bool:
    """Whether it is to be started again, now that it has ended."""
    if layout.stopped_file.exists():
        return False
    if layout.restart_asked_file.exists():
        return True
    policy = record.spec.restart
    # Its end is the engine's doing where there is a fault.
    failed = exit_code != 0 or layout.fault_file.exists()
    return policy is not None and policy.wants(exit_code=int(failed), restarts=read_restarts(layout)[0])


@contextmanager
def deciding(layout: ContainerLayout) -> Iterator[None]:
    """Held to start a container again, or to be sure that nobody does."""
    with brief(layout.restart_lock):
        yield


def forbid(record: ContainerRecord, layout: ContainerLayout) -> None:
    """From here on nothing restarts it, and a restart that was under way is over."""
    if record.spec.restartable:
        with suppress(FileNotFoundError):
            layout.stopped_file.touch()
            with deciding(layout):
                pass


def allow(record: ContainerRecord, layout: ContainerLayout) -> None:
    """Somebody starts it on purpose: its policy holds, from zero."""
    if record.spec.restartable:
        layout.restarts_file.unlink(missing_ok=True)
        layout.stopped_file.unlink(missing_ok=True)
        layout.restart_asked_file.unlink(missing_ok=True)


def announce_restart(layout: ContainerLayout, state: ContainerState) -> str:
    """What the start is to be called for the restart to be counted; `state` is how it ended before.

    Not counted before it, when the last restart would seem to be none, nor after it, when nobody may be left to count.
    """
    total, in_row = read_restarts(layout)
    start = os.urandom(8).hex()
    content = f"{total} {in_row} {total + 1} {0 if _was_steady(state) else in_row + 1} {start}"
    write_atomically(layout.restarts_file, content.encode())
    return start


def find_pause_s(layout: ContainerLayout, state: ContainerState) -> float:
    """How long to wait before the restart: longer each time that it ends soon again."""
    in_row = 0 if _was_steady(state) else read_restarts(layout)[1]
    return float(min(_SHORTEST_S * 2 ** min(in_row, 20), _LONGEST_S))


def _was_steady(state: ContainerState) -> bool:
    if state.started_at is None or state.finished_at is None:
        return False
    return (state.finished_at - state.started_at).total_seconds() >= _STEADY_S


def has_consequences(session: Session, record: ContainerRecord) -> bool:
    """Whether something follows the container's end: a restart, or the end of its pod."""
    return record.spec.restartable or find_pod_to_end(session, record) is not None


def find_pod_to_end(session: Session, record: ContainerRecord) -> PodRecord | None:
    """The pod of a member that is to stop with its last one: what holds its PID namespace, the only thing of a pod that
    runs by itself."""
    membership = record.membership
    if membership is None or membership.infra or not session.pid_namespaces or not record.shares("pid"):
        return None
    from pytest_pods.engine.services.pod_records import find_pod_record

    pod = find_pod_record(session, membership.pod_id)
    return pod if pod is not None and pod.exit_policy == "stop" else None


class Supervisor:
    """Waits for the ends of containers that something follows, in a session of this process."""

    def __init__(
        self,
        session: Session,
        *,
        open_exit: Callable[[ContainerRecord], ExitDescriptor | None],
        follow_end: Callable[[ContainerRecord], bool],
        runs: Callable[[ContainerRecord], bool],
    ) -> None:
        """`follow_end` does what is to follow; it answers whether the container was started again. `runs` tells whether
        it runs now."""
        self._session = session
        self._open_exit = open_exit
        self._follow_end = follow_end
        self._runs = runs
        self._lock = threading.Lock()
        self._watched: dict[str, ContainerRecord] = {}

    def watch(self, record: ContainerRecord) -> None:
        """From now on; nothing happens for a container whose end nothing follows, or in a session with a life of its
        own."""
        if self._session.kind is not SessionKind.OWNED or not has_consequences(self._session, record):
            return
        with self._lock:
            if record.id in self._watched:
                return
            self._watched[record.id] = record
        name = f"pytest-pods end of {record.name}"
        threading.Thread(target=self._follow, args=(record,), name=name, daemon=True).start()

    def _follow(self, record: ContainerRecord) -> None:
        # Gone, or it cannot be started: whatever is the matter, who uses it will be told.
        with suppress(PodsError, OSError):
            while True:
                self._await_end(record)
                if self._follow_end(record):
                    continue
                with self._lock:
                    # Under the lock: who starts it on purpose meanwhile is seen here, or sees that nobody watches.
                    if not self._runs(record):
                        self._watched.pop(record.id, None)
                        return
        with self._lock:
            self._watched.pop(record.id, None)

    def list_ended(self) -> list[ContainerRecord]:
        """Those that have ended, and whose ends may not have been followed yet."""
        with self._lock:
            watched = [*self._watched.values()]
        found = []
        for record in watched:
            # One that was removed has no end to follow.
            with suppress(PodsError):
                if not self._runs(record):
                    found.append(record)
        return found

    def _await_end(self, record: ContainerRecord) -> None:
        descriptor = self._open_exit(record)
        if descriptor is not None:
            try:
                wait_readable(descriptor.fileno(), None)
            finally:
                descriptor.close()


def build_exit_command(session: Session, record: ContainerRecord) -> tuple[str, ...]:
    """What the monitor executes when a container has ended and something follows: nothing while the session is its
    owner's alone, since only one with a life of its own listens. It does not hold the monitor up."""
    if not has_consequences(session, record):
        return ()
    script = 'test -S "$1" && shift && "$@" >/dev/null 2>&1 &'
    socket = str(session.layout.control_socket)
    return ("/bin/sh", "-c", script, "sh", socket, *build_inner_argv(session, record, COMMAND))


def pause_before(layout: ContainerLayout, state: ContainerState) -> None:
    time.sleep(find_pause_s(layout, state))
