"""A session: its record, its sandbox, its way out; and the sweep of what dead sessions left.

Knows when a sandbox starts and ends; knows nothing of containers beyond their directories.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import (
    CleanupError,
    MissingProgramError,
    PodsError,
    PodsWarning,
    SandboxLostError,
    SessionNotFoundError,
    SystemCallError,
    UnsupportedHostError,
    WrongStateError,
)
from pytest_pods.engine.host.features import find_id_obstacle, find_user_namespace
from pytest_pods.engine.host.pipes import Pipe
from pytest_pods.engine.host.sandbox import Sandbox, SandboxSpec, UserNamespace
from pytest_pods.engine.ids import new_session_id
from pytest_pods.engine.network.uplink import Uplink
from pytest_pods.engine.services.session_cgroups import (
    SessionCgroups,
    plan_session_cgroups,
    read_session_cgroups,
    remove_left_over_groups,
    settle_scope,
)
from pytest_pods.engine.state import sessions as state
from pytest_pods.engine.state.sessions import SessionKind, SessionRecord
from pytest_pods.engine.state.store import ensure_store
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_pods.engine.state.layout import SessionLayout, StoreLayout, VolumesLayout

_END_PATIENCE_S = 30.0
_IDLE_S = 10
"""How long the command line's session waits, without a container, for the next command: starting one takes longer than
joining one."""


@frozen
class SweepReport:
    """What a sweep removed: session IDs, and the faults met on the way."""

    removed: tuple[str, ...] = ()
    faults: tuple[PodsError, ...] = field(default=())


class Session:
    """One session as this process uses it. Thread-safe. Nothing exists on the machine before `start`."""

    def __init__(
        self, store: StoreLayout, *, session_id: str | None = None, kind: SessionKind = SessionKind.OWNED
    ) -> None:
        self.store = store
        self.id = session_id or new_session_id()
        self.layout: SessionLayout = store.session(self.id)
        self._kind = kind
        self._lock = threading.RLock()
        self._sandbox: Sandbox | None = None
        self._record: SessionRecord | None = None
        self._uplink: Uplink | None = None
        self._use: int | None = None
        self._cgroups: SessionCgroups | None = None
        self._ours = False
        self.swept = SweepReport()
        self._closed = False

    @property
    def started(self) -> bool:
        return self._sandbox is not None

    @property
    def record(self) -> SessionRecord:
        """The session's record; starts the session."""
        self.start()
        assert self._record is not None
        return self._record

    @property
    def kind(self) -> SessionKind:
        return self._kind if self._record is None else self._record.kind

    @property
    def rootless(self) -> bool:
        # A process inside the session's user namespace is root there.
        return os.geteuid() != 0 if self._record is None else self._record.rootless

    @property
    def volumes(self) -> VolumesLayout:
        """Where its named volumes are: those of the command line outlive their session."""
        return self.store.volumes if self.kind is SessionKind.COMMAND_LINE else self.layout.volumes

    @property
    def kept(self) -> bool:
        """Whether it goes on when this process leaves it."""
        if self._record is None:
            return False
        return not (self._record.kind.of_tests and self._ours)

    def start(self) -> Sandbox:
        """The session's sandbox; starts it, after a sweep of dead sessions, if it is not there yet.

        Raises UnsupportedHostError, SandboxLostError if it has ended.
        """
        sandbox = self._sandbox
        if sandbox is not None:
            if sandbox.lost is not None:
                raise self._build_lost_error()
            return sandbox
        with self._lock:
            if self._sandbox is None:
                if self._closed:
                    raise WrongStateError(f"session {self.id} is closed already")
                self._sandbox = self._start()
                self.swept = sweep_in(self)
                if self.record.single_id:
                    _warn_of_single_id()
            return self._sandbox

    def _build_lost_error(self) -> SandboxLostError:
        lost = self._sandbox.lost if self._sandbox is not None else None
        return SandboxLostError(
            f"the sandbox of session {self.id} is gone: {lost or 'it is ending'}",
            hint="everything that ran in it has ended; open a new session",
        )

    @property
    def has_ended(self) -> bool:
        """Whether it was started and its sandbox, and with it everything that was made, has gone or is just going."""
        sandbox = self._sandbox
        return sandbox is not None and (sandbox.lost is not None or not self.layout.directory.exists())

    @contextmanager
    def telling_its_end(self) -> Iterator[None]:
        """What fails in the block because the session ends meanwhile, in whichever way, is a SandboxLostError."""
        try:
            yield
        except (OSError, PodsError) as error:
            if self.has_ended and not isinstance(error, SandboxLostError):
                raise self._build_lost_error() from error
            raise

    def attach(self) -> Sandbox:
        """Connects to a live kept or command-line session, also one that was left; raises SessionNotFoundError."""
        with self._lock:
            if self._sandbox is not None:
                return self._sandbox
            try:
                sandbox = Sandbox.connect(self.layout.control_socket)
                self._record = state.read_record(self.layout)
            except (OSError, SandboxLostError, SessionNotFoundError) as error:
                raise SessionNotFoundError(
                    f"no live session {self.id}", hint="pytest-pods sessions lists those that there are"
                ) from error
            self._sandbox = sandbox
            self._closed = False
            return sandbox

    def _start(self) -> Sandbox:
        user = find_user_namespace() if self.rootless else None
        failure: UnsupportedHostError | None = None
        for level in (1, 2):
            try:
                return self._start_with_groups(level, user)
            except UnsupportedHostError as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def _start_with_groups(self, level: int, user: UserNamespace | None) -> Sandbox:
        planned = plan_session_cgroups(self.id, rootless=user is not None)
        if planned.scope is None:
            return self._start_at(level, user, planned)
        try:
            sandbox = self._start_at(level, user, planned)
        except SandboxLostError:
            # systemd refused, and nobody was there to tidy up.
            state.discard_session(self.layout)
        else:
            if settle_scope(planned):
                return sandbox
            sandbox.shutdown()
        return self._start_at(level, user, plan_session_cgroups(self.id, rootless=user is not None, scoped=False))

    def _start_at(self, level: int, user: UserNamespace | None, cgroups: SessionCgroups) -> Sandbox:
        record = SessionRecord(
            id=self.id,
            kind=self._kind,
            created=time.time(),
            owner_pid=os.getpid(),
            level=level,
            rootless=user is not None,
            single_id=user is not None and user.single_id,
            cgroup=cgroups.path,
            cgroups=tuple(str(directory) for directory in cgroups.directories),
        )
        layout, lock = state.create_session(self.store, record)
        try:
            sandbox = Sandbox.start(
                SandboxSpec(
                    lock=lock,
                    directories=(layout.scratch_dir, layout.directory),
                    cgroups=tuple(cgroups.directories),
                    level=level,
                    user=user,
                    scope=cgroups.scope,
                )
            )
        except (MissingProgramError, SystemCallError):
            # The sandbox has never been there to tidy up, and the next attempt is of the same session.
            state.discard_session(layout)
            raise
        finally:
            os.close(lock)
        self._record = record
        self._cgroups = cgroups
        self._ours = True
        return sandbox

    def listen(self, *, lease_s: float = 0) -> None:
        """Takes this process out as the owner: the session lives on its lease (0: no end), and can be joined."""
        sandbox = self.start()
        sandbox.keep(int(lease_s), listen=self.layout.control_socket)
        if self._kind.of_tests:
            self._record = state.mark_leased(self.layout, lease_s=lease_s)

    def share(self) -> None:
        """Lets other processes attach to the session, which is of the kind SHARED and still ends with this one."""
        self.start().listen(self.layout.control_socket)

    def hold_lease(self, lease_s: float) -> None:
        """The lease of a session that is reused does not run while this process works in it."""
        self.start().keep(int(lease_s), listen=self.layout.control_socket, while_connected=True)
        self._record = state.mark_leased(self.layout, lease_s=lease_s, kind=SessionKind.REUSED)

    @property
    def uplink(self) -> Uplink:
        """The way out, made at first use."""
        with self._lock:
            if self._uplink is None:
                self._uplink = Uplink(self.start(), namespace=self._find_network_namespace(), layout=self.layout)
            return self._uplink

    def _find_network_namespace(self) -> Path:
        """The session's own, as a process in the host's network can open it."""
        if self.record.level == 1:
            return Path("/proc/1/ns/net")
        target = self.layout.network_namespace
        with state.setting_up_uplink(self.layout):
            if not self.layout.network_namespace_bound.exists():
                target.touch()
                self.start().bind(Path("/proc/self/ns/net"), target)
                self.layout.network_namespace_bound.touch()
        return target

    @property
    def pid_namespaces(self) -> bool:
        """Whether containers have process numbers of their own: not where the machine masks /proc (level 2), since the
        kernel gives nobody a fresh /proc there."""
        return self.record.level == 1

    @property
    def cgroups(self) -> SessionCgroups:
        """Where the groups of the session's containers are."""
        if self._cgroups is None:
            self._cgroups = read_session_cgroups(self.record.cgroup)
        return self._cgroups

    def connected(self) -> Sandbox:
        """The sandbox as it is, also if it has ended; starts one only if there never was one."""
        return self._sandbox or self.start()

    def end(self) -> None:
        """Ends the session with everything in it and waits until nothing of it is left."""
        with self._lock:
            self._closed = True
            sandbox, self._sandbox = self._sandbox, None
        if sandbox is None:
            return
        sandbox.shutdown()
        if not self._ours:
            state.await_end(self.layout)

    def leave(self) -> None:
        """Ends the session if it is this process's own; a kept or command-line session goes on. Whoever uses it here
        afterwards gets a WrongStateError."""
        if not self.kept:
            self.end()
            return
        with self._lock:
            self._closed = True
            sandbox, self._sandbox = self._sandbox, None
        if sandbox is None:
            return
        if self._record is not None and self._record.kind is SessionKind.COMMAND_LINE:
            self._end_if_idle(sandbox)
        sandbox.disconnect()

    def _end_if_idle(self, sandbox: Sandbox) -> None:
        if self._use is not None:
            os.close(self._use)
            self._use = None
        if sandbox.lost is not None or self._has_containers():
            return
        with state.opening_command_line(self.store):
            if not state.command_line_is_used(self.store) and not self._has_containers():
                with suppress(SandboxLostError, SystemCallError):
                    sandbox.keep(_IDLE_S)

    def _has_containers(self) -> bool:
        for directory in (self.layout.containers_dir, self.layout.pods_dir):
            with suppress(FileNotFoundError):
                if os.listdir(directory):
                    return True
        return False


def _warn_of_single_id() -> None:
    import warnings

    obstacle = find_id_obstacle()
    why = f": {obstacle.reason}; {obstacle.cure}" if obstacle is not None else ""
    warnings.warn(
        "containers have a single user id, root; images whose files belong to several users do not work fully, and no"
        f" program can change to another user{why}",
        PodsWarning,
        stacklevel=2,
    )


def open_command_line_session(store: StoreLayout) -> Session:
    """The user's session for the command line: joined if it lives, made otherwise. Several command lines may race."""
    ensure_store(store)
    with state.opening_command_line(store):
        session = _join_command_line(store) or _start_command_line(store)
        session._use = state.use_command_line(store)
    return session


def open_reused_session(store: StoreLayout, *, lease_s: float) -> Session:
    """The session in which containers are kept for the next run: joined if it lives, made otherwise. Its lease does not
    run while this process, or another that has opened it, is there. Several may race."""
    ensure_store(store)
    with state.opening_reused(store):
        session_id = state.find_reused_id(store)
        if session_id is not None:
            session = Session(store, session_id=session_id)
            with suppress(SessionNotFoundError, SandboxLostError, SystemCallError):
                session.attach()
                session.hold_lease(lease_s)
                return session
        session = Session(store, kind=SessionKind.REUSED)
        # Until its name is written down nobody could find it: if we are killed here, it ends by itself.
        session.start().keep(_IDLE_S, listen=session.layout.control_socket, while_connected=True)
        state.write_reused_id(store, session.id)
        session.hold_lease(lease_s)
    return session


def find_command_line_session(store: StoreLayout) -> Session:
    """The user's session for the command line if it lives, else one at rest, for what is only written in the store:
    who starts that has a session that nobody else finds."""
    session_id = state.find_command_line_id(store)
    if session_id is not None:
        session = Session(store, session_id=session_id)
        with suppress(SessionNotFoundError):
            session.attach()
            return session
    return Session(store, kind=SessionKind.COMMAND_LINE)


def _join_command_line(store: StoreLayout) -> Session | None:
    session_id = state.find_command_line_id(store)
    if session_id is None:
        return None
    session = Session(store, session_id=session_id)
    try:
        session.attach().keep(0)
    except (SessionNotFoundError, SandboxLostError, SystemCallError):
        return None
    return session


def _start_command_line(store: StoreLayout) -> Session:
    session = Session(store, kind=SessionKind.COMMAND_LINE)
    # Until its name is written down nobody could find it: if we are killed here, it ends by itself.
    session.listen(lease_s=_IDLE_S)
    state.write_command_line_id(store, session.id)
    session.start().keep(0)
    return session


def sweep(store: StoreLayout) -> SweepReport:
    """Removes what dead sessions left: `pytest-pods gc`."""
    left_overs = state.take_left_overs(store)
    if not left_overs:
        return SweepReport()
    for left_over in left_overs:
        _release(left_over)
    session = Session(store)
    try:
        session._sandbox = session._start()
        return sweep_in(session)
    finally:
        session.end()


def sweep_in(session: Session) -> SweepReport:
    """Removes what dead sessions left, by the sandbox of `session`: it can delete what belongs to subordinate ids."""
    removed, faults = [], []
    sandbox = session._sandbox
    assert sandbox is not None
    for left_over in state.take_left_overs(session.store):
        try:
            if left_over.record is not None:
                remove_left_over_groups([Path(text) for text in left_over.record.cgroups])
            remove_trees(sandbox, [left_over.layout.scratch_dir, left_over.layout.directory])
            removed.append(left_over.layout.session_id)
        except PodsError as error:
            faults.append(error)
        finally:
            _release(left_over)
    return SweepReport(tuple(removed), tuple(faults))


def _release(left_over: state.LeftOver) -> None:
    if left_over.lock is not None:
        os.close(left_over.lock)


def remove_trees(sandbox: Sandbox, directories: list[Path]) -> None:
    """Deletes directories with all that is in them, inside the sandbox; what is not there is no fault."""
    existing = [str(directory) for directory in directories if os.path.lexists(directory)]
    if not existing:
        return
    with Pipe() as errors:
        process = sandbox.spawn_helper(["remove", *existing], descriptors={2: errors.writing})
        errors.close_writing()
        if process.wait(_END_PATIENCE_S * 10) != 0:
            raise SystemCallError(
                f"removing {', '.join(existing)} failed",
                call="nsenter_helper remove",
                errno=0,
                details=errors.read_tail(timeout_s=1.0),
            )


def collect_faults(doing: str, steps: list[Callable[[], None]]) -> None:
    """Runs all steps in order, past their faults, and raises CleanupError with every one of them."""
    faults: list[BaseException] = []
    for step in steps:
        try:
            step()
        except (PodsError, OSError) as error:
            faults.append(error)
    if faults:
        raise CleanupError(f"{doing} met {len(faults)} fault{'s' if len(faults) > 1 else ''}", faults=faults)
