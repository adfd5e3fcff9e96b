"""From created to removed: starting, waiting for the end, stopping, killing, pausing, removing.

Works from the record and the files, so that a process that did not create a container can do the same with it.
"""

from __future__ import annotations

import os
import signal as signals
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import (
    CleanupError,
    CommandError,
    ContainerNotFoundError,
    DeadlineExceededError,
    PodNotFoundError,
    PodsError,
    SandboxLostError,
    SystemCallError,
    WrongStateError,
)
from pytest_pods.engine.events import ContainerEventKind
from pytest_pods.engine.host.pipes import Pipe, wait_readable
from pytest_pods.engine.host.programs import get_version
from pytest_pods.engine.runtime import runc
from pytest_pods.engine.services import container_state, planning, restarting
from pytest_pods.engine.services.container_records import list_members
from pytest_pods.engine.services.inner_programs import find_package_parent
from pytest_pods.engine.services.mounting import unmount_all
from pytest_pods.engine.services.placement import find_cgroup, is_infra, owns_network, shares_pids
from pytest_pods.engine.services.publishing import end_forwards
from pytest_pods.engine.services.sessions import collect_faults, remove_trees
from pytest_pods.engine.services.sharing import close_network
from pytest_pods.engine.services.wiring import read_interfaces, rebuild_wiring
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.values import parse_signal
from pytest_pods.engine.state.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_pods.engine.host.channel import SandboxProcess
    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.records import ContainerRecord, ContainerState
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.services.telling import Teller
    from pytest_pods.engine.services.wiring import Wirer
    from pytest_pods.engine.specs.health import HealthPlan
    from pytest_pods.engine.state.layout import ContainerLayout, PodLayout

_KILL_PATIENCE_S = 30.0
_START_PATIENCE_S = 30.0
_RUNTIME_PATIENCE_S = 60.0


class ExitDescriptor:
    """A descriptor that becomes readable when a container has ended."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


class Lifecycle:
    """The life of the containers of one session. Thread-safe."""

    def __init__(
        self,
        session: Session,
        *,
        runtime: Callable[[], Path],
        create_again: Callable[[ContainerRecord], SandboxProcess],
        wirer: Wirer,
        started: Callable[[ContainerRecord], None],
        teller: Teller,
    ) -> None:
        """`runtime` finds runc; `create_again` makes a monitor for a container that has ended; `started` is called
        after each start."""
        self._session = session
        self._teller = teller
        self._find_runtime = runtime
        self._create_again = create_again
        self._wirer = wirer
        self._started = started
        self._lock = threading.Lock()
        self._monitors: dict[str, SandboxProcess] = {}
        self._remover: Remover | None = None
        self._supervisor = restarting.Supervisor(
            session,
            open_exit=self.open_exit_descriptor,
            follow_end=self.follow_end,
            runs=lambda one: self.state(one).running,
        )

    def layout(self, record: ContainerRecord) -> ContainerLayout:
        return self._session.layout.container(record.id)

    def watch(self, record: ContainerRecord, monitor: SandboxProcess) -> None:
        """Remembers the monitor that this process has started: its end is then known without asking."""
        self._monitors[record.id] = monitor

    def state(self, record: ContainerRecord) -> ContainerState:
        """Raises ContainerNotFoundError if it was removed."""
        layout = self.layout(record)
        sandbox = self._session.connected()
        self._require(record)
        state = container_state.read_state(layout, sandbox)
        # Of files that were going while they were read nothing can be told.
        self._require(record)
        if record.health is not None:
            from pytest_pods.engine.services.health_files import read_health

            state = replace(state, health=read_health(layout))
        if not record.spec.restartable:
            return state
        again = (
            state.exit_code is not None
            and sandbox.lost is None
            and restarting.wants_restart(record, layout, state.exit_code)
        )
        return replace(state, restarts=restarting.read_restarts(layout)[0], restarting=again)

    def _require(self, record: ContainerRecord) -> None:
        if self._session.connected().lost is None and not self.layout(record).directory.exists():
            raise ContainerNotFoundError.removed(record.name, record.id)

    def written_state(self, record: ContainerRecord) -> ContainerState:
        return container_state.read_written_state(self.layout(record))

    # starting

    def start(self, record: ContainerRecord) -> None:
        """Starts a created container, or one that has ended, on the files that it left. Raises WrongStateError,
        SandboxLostError."""
        with self._session.telling_its_end():
            if record.spec.restartable:
                with restarting.deciding(self.layout(record)):
                    restarting.allow(record, self.layout(record))
                    self._start(record)
            else:
                self._start(record)
            self._supervisor.watch(record)

    def follow_end(self, record: ContainerRecord) -> bool:
        """What is to follow a container's end: its restart policy may have it started again, after a pause; if not, the
        exit policy of its pod may end that with its last member. Whether it was started again."""
        if self._restart_ended(record):
            return True
        self._end_pod_with_last(record)
        return False

    def hand_over(self) -> None:
        """The session has just got a life of its own. Ends are followed by monitors from now on; those of before by
        programs of their own, since this process may not be there for long."""
        for record in self._supervisor.list_ended():
            argv = restarting.build_exit_command(self._session, record)
            if argv:
                self._session.start().spawn(
                    argv, env={"PATH": os.defpath, "PYTHONPATH": find_package_parent()}
                )

    def _restart_ended(self, record: ContainerRecord) -> bool:
        """Starts a container again if it has ended and is to be, after a pause; whether it did."""
        layout = self.layout(record)
        state = self.state(record)
        if not state.restarting:
            return False
        restarting.pause_before(layout, state)
        with restarting.deciding(layout):
            state = self.state(record)
            if not state.restarting:
                return False
            ended = state.finished_at
            self._teller.tell(
                ContainerEventKind.ENDED,
                record,
                at=None if ended is None else ended.timestamp(),
                text=f"exit code {state.exit_code}" + (f", {state.fault}" if state.fault else ""),
            )
            called = restarting.announce_restart(layout, state)
            self._start(record, called=called, text="again, by itself")
        return True

    def _end_pod_with_last(self, record: ContainerRecord) -> None:
        pod = restarting.find_pod_to_end(self._session, record)
        if pod is None:
            return
        from pytest_pods.engine.services.infra import build_infra_record

        infra = build_infra_record(pod)
        # Held as by a member that is about to need the namespace: none comes between the look and the end.
        with suppress(FileNotFoundError), restarting.deciding(self.layout(infra)):
            members = list_members(self._session.layout, pod.id)
            if not any(self._goes_on(one) for one in members if one.membership and not one.membership.init):
                self.stop(infra, timeout=0)

    def _goes_on(self, record: ContainerRecord) -> bool:
        """Also one that is yet to be started."""
        try:
            state = self.state(record)
        except ContainerNotFoundError:
            return False
        return state.running or state.restarting or state.status == "created"

    def ensure_pids(self, record: ContainerRecord) -> None:
        """A member's PID namespace is there afterwards, also if its pod had ended with the last member."""
        membership = record.membership
        if membership is None or membership.infra or not self._session.pid_namespaces or not record.shares("pid"):
            return
        from pytest_pods.engine.services.infra import build_infra_record
        from pytest_pods.engine.services.pod_records import find_pod_record

        pod = find_pod_record(self._session, membership.pod_id)
        if pod is None:
            raise PodNotFoundError.removed(membership.pod_name, membership.pod_id)
        infra = build_infra_record(pod)
        with restarting.deciding(self.layout(infra)):
            if not self.state(infra).running:
                self._start(infra)

    def _start(self, record: ContainerRecord, *, called: str = "", text: str = "") -> None:
        began = time.monotonic()
        state = self.state(record)
        if state.running:
            raise WrongStateError(f"container {record.name} runs already")
        if state.status == "exited":
            self._reset(record)
            self.ensure_pids(record)
            self.watch(record, self._create_again(record))
        pid = container_state.find_number(self.layout(record).pid_file)
        if pid is None:
            raise WrongStateError(f"container {record.name} was not completely created", hint="remove it")
        marker = self.layout(record).started_file
        write_atomically(marker, called.encode())
        # What the container writes comes after this.
        at = time.time()
        try:
            self._open_gate(record, pid)
        except BaseException:
            marker.unlink(missing_ok=True)
            raise
        self._started(record)
        self._teller.tell(ContainerEventKind.STARTED, record, began=began, at=at, text=text)

    def _open_gate(self, record: ContainerRecord, pid: int) -> None:
        runtime = self._runtime()
        if not runc.shortcuts_hold(get_version(runtime.program)):
            self._run_runtime(runc.build_start_argv(runtime, record.id), record, "starting")
            return
        pidfd = self._session.start().open_pidfd(pid)
        try:
            runc.start_through_fifo(
                runtime,
                record.id,
                pidfd=pidfd,
                deadline=Deadline.after(_START_PATIENCE_S),
                subject=f"container {record.name}",
            )
        finally:
            os.close(pidfd)

    def _reset(self, record: ContainerRecord) -> None:
        layout = self.layout(record)
        self._end_members(record)
        self._forget_in_runtime(record)
        # First: who looks meanwhile would take a monitor without an exit file for one that was killed.
        layout.monitor_pid_file.unlink(missing_ok=True)
        for path in (
            *(layout.exit_file, layout.started_file, layout.paused_file, layout.fault_file, layout.oom_file),
            *(layout.health_file, layout.restart_asked_file),
        ):
            path.unlink(missing_ok=True)

    # ending

    def open_exit_descriptor(self, record: ContainerRecord) -> ExitDescriptor | None:
        """None if the container does not run (any more)."""
        monitor = container_state.find_number(self.layout(record).monitor_pid_file)
        if monitor is None or container_state.read_exit_code(self.layout(record)) is not None:
            return None
        try:
            return ExitDescriptor(self._session.start().open_pidfd(monitor))
        except SystemCallError:
            return None

    def wait(self, record: ContainerRecord, *, timeout: float | None) -> int:
        """The exit code; the monitor's end is what is awaited, since by then the exit file is there."""
        deadline = Deadline.after(timeout)
        state = self.state(record)
        if state.status == "created" and record.spec.restartable:
            # It may be on its way to be started again.
            with restarting.deciding(self.layout(record)):
                state = self.state(record)
        if state.status == "created":
            raise WrongStateError(f"container {record.name} is not started: it will not end", hint="start it first")
        if state.exit_code is None:
            self._await_end(record, deadline)
            state = self.state(record)
        if state.exit_code is None:
            raise DeadlineExceededError(f"container {record.name} still runs after {deadline.elapsed:.1f} s")
        return state.exit_code

    def _await_end(self, record: ContainerRecord, deadline: Deadline) -> bool:
        descriptor = self.open_exit_descriptor(record)
        if descriptor is None:
            return True
        try:
            return wait_readable(descriptor.fileno(), deadline.remaining)
        finally:
            descriptor.close()

    def stop(self, record: ContainerRecord, *, timeout: float | None) -> None:
        restarting.forbid(record, self.layout(record))
        began = time.monotonic()
        if self._stop(record, grace=record.spec.stop_timeout if timeout is None else timeout):
            self._teller.tell(ContainerEventKind.STOPPED, record, began=began)

    def mark_unhealthy(self, record: ContainerRecord, plan: HealthPlan, *, why: str) -> None:
        """Says why it is about to end, and what is to follow, so that whoever notices its end knows."""
        layout = self.layout(record)
        done = {"kill": "killed", "stop": "stopped", "restart": "restarted"}[plan.on_failure]
        write_atomically(layout.fault_file, f"{why}; it was {done}\n".encode("utf-8", "replace"))
        if plan.on_failure == "restart":
            # Whoever restarts what ends by itself does it then, be it this process or another.
            layout.restart_asked_file.touch()

    def unmark_unhealthy(self, record: ContainerRecord) -> None:
        """Takes back what `mark_unhealthy` wrote."""
        layout = self.layout(record)
        layout.restart_asked_file.unlink(missing_ok=True)
        layout.fault_file.unlink(missing_ok=True)

    def end_unhealthy(self, record: ContainerRecord, plan: HealthPlan) -> None:
        """Ends what was marked, as its plan says."""
        if plan.on_failure == "stop":
            restarting.forbid(record, self.layout(record))
        self._stop(record, grace=(plan.grace or 0.0) if plan.on_failure == "kill" else record.spec.stop_timeout)

    def _stop(self, record: ContainerRecord, *, grace: float) -> bool:
        """Whether it ran."""
        state = self.state(record)
        if not state.running:
            return False
        if grace > 0 and state.container_pid is not None:
            if state.status == "paused":
                self.unpause(record)
            with suppress(SystemCallError):
                self._session.start().signal(state.container_pid, parse_signal(record.stop_signal))
            if self._await_end(record, Deadline.after(grace)):
                return True
        self._kill_all(record, state)
        return True

    def kill(self, record: ContainerRecord, *, signal: str | int) -> None:
        state = self.state(record)
        number = parse_signal(signal)
        if not state.running or state.container_pid is None:
            raise WrongStateError(f"container {record.name} does not run (it is {state.status})")
        if number in (signals.SIGKILL, parse_signal(record.stop_signal)):
            restarting.forbid(record, self.layout(record))
        pid = self.state(record).container_pid
        if pid is None:
            return
        at = time.time()
        try:
            self._session.start().signal(pid, number)
        except SystemCallError:
            # It ended in between: what a kill wants is reached.
            return
        self._teller.tell(ContainerEventKind.KILLED, record, at=at, text=number.name)
        if number == signals.SIGKILL:
            self._end_members(record)
            self._await_end(record, Deadline.after(_KILL_PATIENCE_S))

    def _end_members(self, record: ContainerRecord) -> None:
        """What a PID namespace of its own would do."""
        if shares_pids(self._session, record) and not is_infra(record):
            from pytest_pods.engine.services.members import end_members

            end_members(record, deadline=Deadline.after(_KILL_PATIENCE_S))

    def _kill_all(self, record: ContainerRecord, state: ContainerState) -> None:
        if state.container_pid is None:
            return
        with suppress(SystemCallError):
            # Its own PID namespace: the end of the first process is the end of all.
            self._session.start().signal(state.container_pid, signals.SIGKILL)
        self._end_members(record)
        if not self._await_end(record, Deadline.after(_KILL_PATIENCE_S)):
            raise DeadlineExceededError(f"container {record.name} did not end {_KILL_PATIENCE_S:.0f} s after SIGKILL")

    # pausing

    def pause(self, record: ContainerRecord) -> None:
        self._freeze(record, wanted="running", frozen=True)

    def unpause(self, record: ContainerRecord) -> None:
        self._freeze(record, wanted="paused", frozen=False)

    def _freeze(self, record: ContainerRecord, *, wanted: str, frozen: bool) -> None:
        state = self.state(record)
        if state.status != wanted:
            raise WrongStateError(f"container {record.name} is {state.status}, not {wanted}")
        self._session.cgroups.set_frozen(find_cgroup(self._session, record), frozen=frozen)
        marker = self.layout(record).paused_file
        if frozen:
            marker.touch()
        else:
            marker.unlink(missing_ok=True)
        self._teller.tell(ContainerEventKind.PAUSED if frozen else ContainerEventKind.UNPAUSED, record)

    # removing

    def remove(self, record: ContainerRecord, *, force: bool) -> None:
        """With `force` also one that runs, and first those that are in its network. Raises WrongStateError, InUseError,
        CleanupError."""
        state = self.state(record)
        if state.running and not force:
            raise WrongStateError(f"container {record.name} runs", hint="stop it first, or remove it by force")
        try:
            if self._session.connected().lost is None:
                self.empty_network(self.layout(record), subject=f"container {record.name}", force=force)
                self.remove_all(record)
        except (OSError, PodsError):
            # With its session everything of it goes.
            if not self._session.has_ended:
                raise

    def empty_network(self, owner: ContainerLayout | PodLayout, *, subject: str, force: bool) -> None:
        """Removes who was asked to be in the network of a container or pod. Raises InUseError unless `force`."""
        for record in close_network(self._session.layout, owner, subject=subject, force=force):
            with suppress(ContainerNotFoundError):
                self.remove(record, force=True)

    def remove_all(self, record: ContainerRecord) -> None:
        """Takes away whatever there is of a container, also of a half-made one. Raises CleanupError."""
        began, layout, sandbox = time.monotonic(), self.layout(record), self._session.start()
        restarting.forbid(record, layout)
        if record.health is not None:
            from pytest_pods.engine.services.health_files import forbid_writing

            forbid_writing(layout)
        self._teller.tell(ContainerEventKind.REMOVING, record)
        monitor = self._monitors.pop(record.id, None)
        steps: list[Callable[[], None]] = [
            lambda: self._wirer.forget_sharer(record),
            lambda: self._end_processes(record, monitor),
            lambda: end_forwards(sandbox, record.ports),
            lambda: unmount_all(sandbox, layout),
            lambda: _unmount(sandbox, layout.merged_dir),
            lambda: self._forget_in_runtime(record),
        ]
        if owns_network(record):
            # Its end of the link, and with it the session's, goes with the namespace.
            steps.append(lambda: _unmount(sandbox, layout.namespace("net")))
        # Who is in the network of another has no places of its own.
        mode = NetworkMode.NONE if record.shared_network is not None else record.spec.network
        wiring = rebuild_wiring(mode, ip=record.ip, interfaces=read_interfaces(layout.interfaces_file))
        steps += [
            lambda: remove_trees(sandbox, [layout.scratch_dir, layout.directory]),
            lambda: self._wirer.release(wiring, owner=record.id),
            lambda: planning.release_name(self._session.layout, record.name, owner=record.id),
        ]
        collect_faults(f"removing container {record.name}", steps)
        self._teller.tell(ContainerEventKind.REMOVED, record, began=began)
        self._end_pod_with_last(record)

    def _end_processes(self, record: ContainerRecord, monitor: SandboxProcess | None) -> None:
        layout = self.layout(record)
        pid = container_state.find_number(layout.pid_file)
        if pid is not None and container_state.read_exit_code(layout) is None:
            with suppress(SystemCallError):
                self._session.start().signal(pid, signals.SIGKILL)
        self._end_members(record)
        if monitor is not None:
            monitor.wait(_KILL_PATIENCE_S)
        else:
            self._await_end(record, Deadline.after(_KILL_PATIENCE_S))

    def _forget_in_runtime(self, record: ContainerRecord) -> None:
        runtime = self._runtime()
        if not runc.shortcuts_hold(get_version(runtime.program)) and runtime.state_dir(record.id).exists():
            self._run_runtime(runc.build_delete_argv(runtime, record.id, force=True), record, "deleting")
        runc.remove_state(runtime, record.id)
        self._session.cgroups.remove(find_cgroup(self._session, record))

    def _runtime(self) -> runc.Runtime:
        return runc.Runtime(self._find_runtime(), self._session.layout.runtime_root)

    def _run_runtime(self, argv: list[str], record: ContainerRecord, doing: str) -> None:
        with Pipe() as errors:
            process = self._session.start().spawn(
                argv,
                env={"PATH": os.defpath},
                descriptors={2: errors.writing},
                host_network=record.spec.network is NetworkMode.HOST,
            )
            errors.close_writing()
            status = process.wait(_RUNTIME_PATIENCE_S)
            if status != 0:
                text = errors.read_tail(timeout_s=1.0)
                raise CommandError(
                    f"{doing} container {record.name}: runc failed with status {status}",
                    argv=argv,
                    status=status,
                    stderr=text,
                    details=text,
                )

    def remove_later(self, record: ContainerRecord, *, then: Callable[[], None] | None = None) -> None:
        """Removes in the background; `finish` tells the faults. `then` is called when it is gone."""

        def remove() -> None:
            self.remove(record, force=True)
            if then is not None:
                then()

        self.do_later(remove)

    def do_later(self, action: Callable[[], None], *, at_end: bool = True) -> None:
        """Does something after the removals that were asked for before; `finish` tells its faults. With `at_end` also
        when the session ends, and takes away what is in it in any case."""
        with self._lock:
            if self._remover is None:
                self._remover = Remover()
            self._remover.add(action, at_end=at_end)

    def await_removals(self) -> None:
        """Returns when what was asked for until now is done; faults are left to `finish`."""
        done = threading.Event()
        self.do_later(done.set)
        done.wait()

    def finish(self) -> None:
        """Waits for removals in the background; raises CleanupError with their faults."""
        with self._lock:
            remover, self._remover = self._remover, None
        if remover is not None:
            remover.finish(session_ends=not self._session.kept)


class Remover:
    """Does one removal after another on a thread of its own."""

    def __init__(self) -> None:
        import queue

        self._queue: queue.SimpleQueue[tuple[Callable[[], None], bool] | None] = queue.SimpleQueue()
        self._session_ends = False
        self._faults: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="pytest-pods removal", daemon=True)
        self._thread.start()

    def add(self, action: Callable[[], None], *, at_end: bool) -> None:
        self._queue.put((action, at_end))

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            action, at_end = entry
            if self._session_ends and not at_end:
                continue
            try:
                action()
            except (ContainerNotFoundError, PodNotFoundError, SandboxLostError):
                # Somebody was faster; or all of it is gone with the sandbox.
                continue
            except Exception as error:
                self._faults.append(error)

    def finish(self, *, session_ends: bool) -> None:
        """Returns when the last one is removed; raises CleanupError."""
        self._session_ends = session_ends
        self._queue.put(None)
        self._thread.join()
        if self._faults:
            raise CleanupError("removing in the background failed", faults=self._faults)


def _unmount(sandbox: Sandbox, target: Path) -> None:
    # Not mounted is as good as unmounted.
    with suppress(SystemCallError):
        sandbox.unmount(target)
