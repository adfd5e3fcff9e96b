"""The verbs on containers: what a `Container` handle calls. Each is a few steps over files, monitor and sandbox.

Works from the record and the files, so that a process that did not create a container can do the same with it.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal as signals
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.container import Container
from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import (
    CleanupError,
    ContainerNotFoundError,
    DeadlineExceededError,
    InvalidDocumentError,
    NameInUseError,
    NotFoundError,
    PodsError,
    SandboxLostError,
    SystemCallError,
    WrongStateError,
)
from pytest_pods.engine.host.channel import SandboxProcess
from pytest_pods.engine.host.pipes import wait_readable
from pytest_pods.engine.ids import new_container_id, new_container_name
from pytest_pods.engine.network.ports import bind_ports
from pytest_pods.engine.network.sockets import parse_listening_ports
from pytest_pods.engine.network.uplink import Lease
from pytest_pods.engine.records import ContainerRecord, ContainerState, PublishedPort
from pytest_pods.engine.runtime import runc
from pytest_pods.engine.runtime.bundle import build_command
from pytest_pods.engine.services import container_state
from pytest_pods.engine.services.creation import Creation, HostFacts, read_host_facts, read_in_sandbox
from pytest_pods.engine.services.sessions import collect_faults, remove_trees
from pytest_pods.engine.specs import ContainerSpec, NetworkMode, PortSpec, PullPolicy, parse_port, parse_signal

if TYPE_CHECKING:
    from pytest_pods.engine.host.inotify import Watcher
    from pytest_pods.engine.host.terminals import Terminal
    from pytest_pods.engine.runtime.logs import LogLine, LogPosition, LogReader
    from pytest_pods.engine.services.attachment import Attachment
    from pytest_pods.engine.services.counters import Counters
    from pytest_pods.engine.services.exec_starting import ExecService
    from pytest_pods.engine.services.execution import ExecRequest, ExecResult
    from pytest_pods.engine.services.images import Image, ImageService
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.state.layout import ContainerLayout
    from pytest_pods.engine.waiting import Wait

_KILL_PATIENCE_S = 30.0
_START_PATIENCE_S = 30.0
_MOST_FILE_BYTES = 1 << 32


class ExitDescriptor:
    """A descriptor that becomes readable when a container has ended."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


class ContainerService:
    """Containers of one session. Thread-safe."""

    def __init__(
        self,
        session: Session,
        *,
        images: Callable[[], ImageService],
        counters: Counters,
        pull: PullPolicy,
        timeout: float,
    ) -> None:
        self._session = session
        self._images = images
        self._counters = counters
        self._pull_policy = pull
        self.default_timeout = timeout
        self._facts: HostFacts | None = None
        self._leases = iter(range(1, 60000))
        self._lock = threading.Lock()
        self._monitors: dict[str, SandboxProcess] = {}
        self._remover: _Remover | None = None
        self._execs: ExecService | None = None

    # making and starting

    def create(self, spec: ContainerSpec) -> Container:
        """A container that waits to be started. What was half made when something failed is removed again."""
        image = self._images().ensure(
            spec.image, policy=spec.pull or self._pull_policy, platform=spec.platform
        )
        record, listeners, lease = self._plan(spec, image)
        creation = Creation(self._session, record, facts=self._host_facts())
        try:
            self._reserve_name(record)
            creation.check_mounts()
            self._images().use(image, record_use=creation.make_files)
            creation.mount_root(image)
            creation.pin_namespaces()
            record = self._forward(record, listeners)
            plugged = creation.plug_in_background(lease)
            try:
                monitor = creation.start_monitor(creation.write_configuration(image.config))
                self._monitors[record.id] = monitor
            finally:
                plugged()
        except BaseException:
            with suppress(PodsError):
                self._remove_all(record)
            raise
        finally:
            for listener in listeners:
                listener.close()
        self._counters.containers += 1
        return Container(record, self)

    def run(self, spec: ContainerSpec) -> Container:
        """A container that is started and, where the spec has a wait, ready; one that does not get there is removed."""
        began = time.monotonic()
        container = self.create(spec)
        try:
            container.start()
            self._counters.create_seconds.append(time.monotonic() - began)
            if spec.wait is not None:
                container.wait_ready(spec.wait, timeout=spec.timeout)
        except BaseException:
            with suppress(PodsError):
                self.remove(container.record, force=True)
            raise
        return container

    def _host_facts(self) -> HostFacts:
        if self._facts is None:
            self._facts = read_host_facts(self._session.start())
        return self._facts

    def _plan(self, spec: ContainerSpec, image: Image) -> tuple[ContainerRecord, list[socket.socket], Lease | None]:
        container_id = new_container_id()
        lease = self._lease() if spec.network is NetworkMode.PRIVATE else None
        record = ContainerRecord(
            id=container_id,
            name=spec.name or new_container_name(),
            session_id=self._session.id,
            image=spec.image,
            image_id=str(image.id),
            spec=spec,
            argv=build_command(spec, image.config),
            stop_signal=spec.stop_signal or image.config.stop_signal or "SIGTERM",
            hostname=spec.hostname or (os.uname().nodename if spec.network is NetworkMode.HOST else container_id[:12]),
            ip=str(lease.address) if lease else "127.0.0.1" if spec.network is NetworkMode.HOST else "",
            ports=(),
            created=time.time(),
            layers=tuple(str(layer) for layer in image.config.chain_ids),
        )
        wanted = list(spec.ports)
        if spec.publish_all:
            asked = {(port.container_port, port.protocol) for port in wanted}
            exposed = [parse_port(text) for text in image.config.exposed_ports]
            wanted += [port for port in exposed if (port.container_port, port.protocol) not in asked]
        listeners = bind_ports(wanted)
        ports = tuple(_published(port, listener) for port, listener in zip(wanted, listeners, strict=True))
        return replace(record, ports=ports), listeners, lease

    def _lease(self) -> Lease:
        # Several processes share a command-line session: a file a number keeps them apart.
        directory = self._session.layout.leases_dir
        self._session.start()
        for number in self._leases:
            try:
                (directory / str(number)).touch(exist_ok=False)
            except FileExistsError:
                continue
            return Lease(number)
        raise ContainerNotFoundError("no address is left on the session's way out")

    def _reserve_name(self, record: ContainerRecord) -> None:
        path = self._session.layout.names_dir / record.name
        for _ in range(2):
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                owner = _read_owner(path)
                if owner is None or self._session.layout.container(owner).directory.exists():
                    raise NameInUseError(
                        f"the name {record.name} is in use by container {(owner or 'that is being made')[:12]}",
                        hint="remove that one, or take another name",
                    ) from None
                path.unlink(missing_ok=True)
                continue
            with open(descriptor, "w") as file:
                file.write(record.id)
            return
        raise NameInUseError(f"the name {record.name} is in use")

    def _forward(self, record: ContainerRecord, listeners: list[socket.socket]) -> ContainerRecord:
        namespace = self._session.layout.container(record.id).namespace("net")
        ports = []
        for port, listener in zip(record.ports, listeners, strict=True):
            # Services may listen on every address, on the loopback only, or on the container's own address only.
            hosts = ["127.0.0.1", "::1", *([record.ip] if record.ip else [])]
            addresses = [(host, port.container_port) for host in hosts]
            forward = self._session.start().forward(listener, network_namespace=namespace, addresses=addresses)
            ports.append(replace(port, forward=forward.number))
        record = replace(record, ports=tuple(ports))
        self._layout(record).record_file.write_bytes(record.to_bytes())
        return record

    def start(self, record: ContainerRecord) -> ContainerRecord:
        """Starts a created container, or creates an ended one again on its own files and starts that."""
        state = self.state(record)
        if state.running:
            raise WrongStateError(f"container {record.name} runs already")
        if state.status == "exited":
            self._create_again(record)
        sandbox, layout = self._session.start(), self._layout(record)
        pid = container_state.find_number(layout.pid_file)
        if pid is None:
            raise WrongStateError(f"container {record.name} was not completely created", hint="remove it")
        self._open_gate(record, pid, sandbox)
        return record

    def _open_gate(self, record: ContainerRecord, pid: int, sandbox: Any) -> None:
        layout = self._layout(record)
        pidfd = sandbox.open_pidfd(pid)
        try:
            layout.started_file.touch()
            runc.start_through_fifo(
                self._runtime(),
                record.id,
                pidfd=pidfd,
                deadline=Deadline.after(_START_PATIENCE_S),
                subject=f"container {record.name}",
            )
        except BaseException:
            layout.started_file.unlink(missing_ok=True)
            raise
        finally:
            os.close(pidfd)

    def _create_again(self, record: ContainerRecord) -> None:
        layout = self._layout(record)
        self._forget_in_runtime(record)
        for path in (layout.exit_file, layout.started_file, layout.paused_file, layout.fault_file, layout.oom_file):
            path.unlink(missing_ok=True)
        layout.monitor_pid_file.unlink(missing_ok=True)
        creation = Creation(self._session, record, facts=self._host_facts())
        image = self._images().get(record.image_id)
        self._monitors[record.id] = creation.start_monitor(creation.write_configuration(image.config))

    def _runtime(self) -> runc.Runtime:
        return runc.Runtime(self._host_facts().runtime, self._session.layout.runtime_root)

    # looking

    def _layout(self, record: ContainerRecord) -> ContainerLayout:
        return self._session.layout.container(record.id)

    def state(self, record: ContainerRecord) -> ContainerState:
        """Raises ContainerNotFoundError if it was removed."""
        layout = self._layout(record)
        sandbox = self._session.connected()
        if sandbox.lost is None and not layout.directory.exists():
            raise ContainerNotFoundError(f"container {record.name} ({record.id[:12]}) was removed")
        return container_state.read_state(layout, sandbox)

    def list(self) -> list[Container]:
        """All containers of the session, oldest first; one that is half made is passed over."""
        if not self._session.started:
            return []
        found = []
        with suppress(FileNotFoundError):
            for entry in os.scandir(self._session.layout.containers_dir):
                record = self._find_record(entry.name)
                if record is not None:
                    found.append(Container(record, self))
        return sorted(found, key=lambda container: container.record.created)

    def get(self, name: str) -> Container:
        """By name, ID or the ID's beginning. Raises ContainerNotFoundError."""
        containers = self.list()
        exact = [one for one in containers if name in (one.name, one.id)]
        near = exact or [one for one in containers if len(name) >= 2 and one.id.startswith(name)]
        if len(near) == 1:
            return near[0]
        if near:
            raise ContainerNotFoundError(f"{name!r} is the beginning of {len(near)} container IDs", hint="write more of it")
        raise ContainerNotFoundError(f"no container {name!r} in session {self._session.id}")

    def _find_record(self, container_id: str) -> ContainerRecord | None:
        path = self._session.layout.container(container_id).record_file
        try:
            return ContainerRecord.from_bytes(path.read_bytes(), where=path)
        except (FileNotFoundError, InvalidDocumentError):
            return None

    def inspect(self, record: ContainerRecord) -> dict[str, Any]:
        from pytest_pods.engine.runtime.inspection import build_inspection

        return build_inspection(record, self.state(record), self._layout(record))

    # waiting and ending

    def open_exit_descriptor(self, record: ContainerRecord) -> ExitDescriptor | None:
        """None if the container does not run (any more)."""
        monitor = container_state.find_number(self._layout(record).monitor_pid_file)
        if monitor is None or container_state.read_exit_code(self._layout(record)) is not None:
            return None
        try:
            return ExitDescriptor(self._session.start().open_pidfd(monitor))
        except SystemCallError:
            return None

    def wait(self, record: ContainerRecord, *, timeout: float | None) -> int:
        """The exit code; the monitor's end is what is awaited, since by then the exit file is there."""
        deadline = Deadline.after(timeout)
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
        state = self.state(record)
        if not state.running:
            return
        grace = record.spec.stop_timeout if timeout is None else timeout
        if grace > 0 and state.container_pid is not None:
            if state.status == "paused":
                self.unpause(record)
            with suppress(SystemCallError):
                self._session.start().signal(state.container_pid, parse_signal(record.stop_signal))
            if self._await_end(record, Deadline.after(grace)):
                return
        self._kill_all(record, state)

    def kill(self, record: ContainerRecord, *, signal: str | int) -> None:
        state = self.state(record)
        number = parse_signal(signal)
        if not state.running or state.container_pid is None:
            raise WrongStateError(f"container {record.name} does not run (it is {state.status})")
        try:
            self._session.start().signal(state.container_pid, number)
        except SystemCallError:
            # It ended in between: what a kill wants is reached.
            return
        if number == signals.SIGKILL:
            self._await_end(record, Deadline.after(_KILL_PATIENCE_S))

    def _kill_all(self, record: ContainerRecord, state: ContainerState) -> None:
        if state.container_pid is None:
            return
        sandbox = self._session.start()
        with suppress(SystemCallError):
            # Its own PID namespace: the end of the first process is the end of all.
            sandbox.signal(state.container_pid, signals.SIGKILL)
        if not self._await_end(record, Deadline.after(_KILL_PATIENCE_S)):
            raise DeadlineExceededError(f"container {record.name} did not end {_KILL_PATIENCE_S:.0f} s after SIGKILL")

    def pause(self, record: ContainerRecord) -> None:
        self._freeze(record, wanted="running", frozen=True)

    def unpause(self, record: ContainerRecord) -> None:
        self._freeze(record, wanted="paused", frozen=False)

    def _freeze(self, record: ContainerRecord, *, wanted: str, frozen: bool) -> None:
        state = self.state(record)
        if state.status != wanted:
            raise WrongStateError(f"container {record.name} is {state.status}, not {wanted}")
        self._session.cgroups.set_frozen(record.id, frozen=frozen)
        marker = self._layout(record).paused_file
        marker.touch() if frozen else marker.unlink(missing_ok=True)

    def remove(self, record: ContainerRecord, *, force: bool) -> None:
        state = self.state(record)
        if state.running and not force:
            raise WrongStateError(
                f"container {record.name} runs", hint="stop it first, or remove it by force"
            )
        if self._session.connected().lost is not None:
            return
        self._remove_all(record)

    def _remove_all(self, record: ContainerRecord) -> None:
        layout, sandbox = self._layout(record), self._session.start()
        monitor = self._monitors.pop(record.id, None)

        def end_processes() -> None:
            pid = container_state.find_number(layout.pid_file)
            if pid is not None and container_state.read_exit_code(layout) is None:
                with suppress(SystemCallError):
                    sandbox.signal(pid, signals.SIGKILL)
            if monitor is not None:
                monitor.wait(_KILL_PATIENCE_S)
            else:
                self._await_end(record, Deadline.after(_KILL_PATIENCE_S))

        steps: list[Callable[[], None]] = [end_processes]
        steps += [lambda port=port: self._end_forward(port) for port in record.ports if port.forward]  # type: ignore[misc]
        steps += [
            lambda: self._unmount(layout.merged_dir),
            lambda: self._unmount(layout.namespace("net")) if record.spec.network is not NetworkMode.HOST else None,
            lambda: self._forget_in_runtime(record),
            lambda: remove_trees(sandbox, [layout.scratch_dir, layout.directory]),
            lambda: self._release_name(record),
            lambda: self._release_lease(record),
        ]
        collect_faults(f"removing container {record.name}", steps)

    def _end_forward(self, port: PublishedPort) -> None:
        from pytest_pods.engine.host.sandbox import Forward

        with suppress(SystemCallError):
            self._session.start().end_forward(Forward(port.forward))

    def _unmount(self, target: Path) -> None:
        with suppress(SystemCallError):
            self._session.start().unmount(target)

    def _forget_in_runtime(self, record: ContainerRecord) -> None:
        runc.remove_state(self._runtime(), record.id)
        self._session.cgroups.remove_container(record.id)

    def _release_name(self, record: ContainerRecord) -> None:
        path = self._session.layout.names_dir / record.name
        if _read_owner(path) == record.id:
            path.unlink(missing_ok=True)

    def _release_lease(self, record: ContainerRecord) -> None:
        if record.spec.network is NetworkMode.PRIVATE:
            lease = Lease.of_address(record.ip)
            (self._session.layout.leases_dir / str(lease.number)).unlink(missing_ok=True)

    def remove_later(self, record: ContainerRecord) -> None:
        with self._lock:
            if self._remover is None:
                self._remover = _Remover(lambda one: self.remove(one, force=True))
            self._remover.add(record)

    def finish(self) -> None:
        """Waits for removals in the background; raises CleanupError with their faults."""
        with self._lock:
            remover, self._remover = self._remover, None
        if remover is not None:
            remover.finish()

    # inside

    def wait_ready(self, container: Container, wait: Wait | Callable[[Container], object], *, timeout: float | None) -> None:
        from pytest_pods.engine.services.waiting import wait_ready
        from pytest_pods.engine.waiting import parse_wait

        wait_ready(container, parse_wait(wait), timeout=self.default_timeout if timeout is None else timeout)

    def exec(
        self,
        record: ContainerRecord,
        request: ExecRequest,
        *,
        stdin: bytes | None,
        timeout: float | None,
        through_runtime: bool,
    ) -> ExecResult:
        from pytest_pods.engine.services.execution import run_captured

        starter = self._exec_service.find_starter(record, request, through_runtime=through_runtime)
        return run_captured(starter, request.argv, stdin=stdin, timeout=timeout)

    def exec_attached(
        self, record: ContainerRecord, request: ExecRequest, *, stdin: int | None, stdout: int, stderr: int
    ) -> int:
        given = {} if stdin is None else {0: stdin}
        starter = self._exec_service.find_starter(record, request, through_runtime=False)
        process = starter({**given, 1: stdout, 2: stderr})
        try:
            status = process.wait()
        finally:
            process.close_pidfd()
        return 128 - status if status < 0 else status

    def open_terminal(self, record: ContainerRecord) -> Terminal:
        """A terminal of the container's own devpts, so that it has a name there."""
        from pytest_pods.engine.host.terminals import Terminal

        flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        return Terminal(self._session.start().open("/dev/pts/ptmx", flags, root=self._root(record)))

    @property
    def _exec_service(self) -> ExecService:
        if self._execs is None:
            from pytest_pods.engine.services.exec_starting import ExecService

            self._execs = ExecService(self._session, facts=self._host_facts(), state=self.state)
        return self._execs

    def connect(self, record: ContainerRecord, port: int, *, timeout: float | None) -> socket.socket:
        """Raises OSError as connect(2) does, of the last address tried."""
        if record.spec.network is NetworkMode.HOST:
            return socket.create_connection(("127.0.0.1", port), timeout)
        namespace = self._layout(record).namespace("net")
        failure: OSError | None = None
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, record.ip)):
            if not host:
                continue
            connection = self._session.start().socket(family, socket.SOCK_STREAM, network_namespace=namespace)
            try:
                connection.settimeout(timeout)
                connection.connect((host, port))
            except OSError as error:
                connection.close()
                failure = error
                continue
            return connection
        assert failure is not None
        raise failure

    def listening(self, record: ContainerRecord) -> frozenset[int]:
        pid = container_state.find_number(self._layout(record).pid_file)
        if pid is None:
            return frozenset()
        sandbox = self._session.start()
        try:
            tables = [read_in_sandbox(sandbox, f"/proc/{pid}/net/{name}").decode() for name in ("tcp", "tcp6")]
        except (SystemCallError, OSError):
            return frozenset()
        return parse_listening_ports(*tables)

    def _root(self, record: ContainerRecord) -> Path:
        """Its root as it sees it, with what is mounted there, while it runs; else the overlay."""
        state = self.state(record)
        return Path(f"/proc/{state.container_pid}/root") if state.running else self._layout(record).merged_dir

    def read(self, record: ContainerRecord, path: str) -> bytes:
        try:
            return read_in_sandbox(
                self._session.start(), path, root=self._root(record), most=_MOST_FILE_BYTES
            )
        except SystemCallError as error:
            raise NotFoundError(f"reading {path} of container {record.name}: {os.strerror(error.errno)}") from error

    def write(self, record: ContainerRecord, path: str, content: bytes, *, mode: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            descriptor = self._session.start().open(path, flags, mode=mode, root=self._root(record))
        except SystemCallError as error:
            raise NotFoundError(f"writing {path} of container {record.name}: {os.strerror(error.errno)}") from error
        with open(descriptor, "wb") as file:
            file.write(content)

    # output

    def logs(
        self,
        record: ContainerRecord,
        *,
        since: LogPosition | None,
        tail: int | None,
        stream: str | None,
        timestamps: bool,
    ) -> str:
        lines = self.log_lines(record, follow=False, since=since, tail=tail)
        return "".join(
            f"{line.timestamp} {line.output}" if timestamps else line.output
            for line in lines
            if stream is None or line.stream == stream
        )

    def log_lines(
        self, record: ContainerRecord, *, follow: bool, since: LogPosition | None, tail: int | None
    ) -> Iterator[LogLine]:
        from pytest_pods.engine.runtime import logs

        path = self._layout(record).log_file
        if not follow:
            yield from logs.read_lines(path, since=since) if tail is None else logs.read_tail(path, tail, since=since)
            return
        end = logs.find_end(path)
        if tail is not None:
            yield from logs.read_tail(path, tail, since=since)
            since = end
        descriptor = self.open_exit_descriptor(record)
        if descriptor is None:
            yield from logs.read_lines(path, since=since)
            return
        try:
            yield from logs.follow_lines(path, ended=descriptor.fileno(), since=since)
        finally:
            descriptor.close()

    def log_position(self, record: ContainerRecord) -> LogPosition:
        from pytest_pods.engine.runtime import logs

        return logs.find_end(self._layout(record).log_file)

    def log_reader(self, record: ContainerRecord, *, since: LogPosition | None) -> LogReader:
        from pytest_pods.engine.runtime import logs

        return logs.LogReader(self._layout(record).log_file, since=since)

    @contextmanager
    def watch_log(self, record: ContainerRecord) -> Iterator[Watcher]:
        from pytest_pods.engine.host.inotify import Change, Watcher

        with Watcher() as watcher:
            watcher.watch(self._layout(record).log_file, Change.MODIFIED)
            yield watcher

    def attach(self, record: ContainerRecord, *, stdin: int | None, stdout: int, stderr: int) -> Attachment:
        from pytest_pods.engine.services.attachment import Attachment

        layout = self._layout(record)
        return Attachment.open(layout.bundle_dir, stdin=stdin, stdout=stdout, stderr=stderr, tty=record.spec.tty)


class _Remover:
    """Removes one container after another on a thread of its own."""

    def __init__(self, remove: Callable[[ContainerRecord], None]) -> None:
        self._remove = remove
        self._queue: queue.SimpleQueue[ContainerRecord | None] = queue.SimpleQueue()
        self._faults: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="pytest-pods removal", daemon=True)
        self._thread.start()

    def add(self, record: ContainerRecord) -> None:
        self._queue.put(record)

    def _run(self) -> None:
        while (record := self._queue.get()) is not None:
            try:
                self._remove(record)
            except (ContainerNotFoundError, SandboxLostError):
                # Somebody was faster; or all of it is gone with the sandbox.
                continue
            except Exception as error:
                self._faults.append(error)

    def finish(self) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._faults:
            raise CleanupError("removing containers in the background failed", faults=self._faults)


def _published(port: PortSpec, listener: socket.socket) -> PublishedPort:
    host, number = listener.getsockname()[:2]
    return PublishedPort(port.container_port, port.protocol, host, number, 0)


def _read_owner(path: Path) -> str | None:
    try:
        return path.read_text() or None
    except OSError:
        return None
