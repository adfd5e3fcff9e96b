"""The handle on one container that tests and the command line hold: reads well, does nothing itself.

Every verb is one call of a service; the handle remembers which container it is about, and nothing that can change.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import CommandError, NotReadyError
from pytest_pods.engine.records import build_url, find_address
from pytest_pods.engine.services.execution import ExecRequest, ExecResult
from pytest_pods.engine.specs.values import Command

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from pytest_pods.engine.health import Health
    from pytest_pods.engine.host.inotify import Watcher
    from pytest_pods.engine.host.terminals import Terminal
    from pytest_pods.engine.network_records import InterfaceRecord
    from pytest_pods.engine.records import Change, ContainerRecord, ContainerState, Status
    from pytest_pods.engine.runtime.logs import Excerpt, HeldLog, LogLine, LogPosition, LogReader
    from pytest_pods.engine.runtime.processes import ContainerProcess
    from pytest_pods.engine.services.attachment import Attachment
    from pytest_pods.engine.services.beside import Beside
    from pytest_pods.engine.services.capturing import Capture
    from pytest_pods.engine.services.containers import ContainerService
    from pytest_pods.engine.services.lifecycle import ExitDescriptor
    from pytest_pods.engine.specs.container import ContainerSpec
    from pytest_pods.engine.stats import Stats
    from pytest_pods.engine.storage.tree_streams import Readable
    from pytest_pods.engine.waiting import Wait

Condition: TypeAlias = Command | Callable[[], object]

_RETRY_S = 0.02


class Container:
    """A container of a session, whatever its state."""

    def __init__(self, record: ContainerRecord, service: ContainerService) -> None:
        self._record = record
        self._service = service

    def __repr__(self) -> str:
        return f"<Container {self.name} {self.short_id} of {self.image}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Container) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def record(self) -> ContainerRecord:
        """What was written down when it was created."""
        return self._record

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self._record.id

    @property
    def short_id(self) -> str:
        """The first 12 digits of the ID."""
        return self._record.id[:12]

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def image(self) -> str:
        """The reference that was asked for."""
        return self._record.image

    @property
    def image_id(self) -> str:
        """The digest of the image config."""
        return self._record.image_id

    @property
    def spec(self) -> ContainerSpec:
        return self._record.spec

    @property
    def labels(self) -> Mapping[str, str]:
        return self._record.spec.labels

    @property
    def ip(self) -> str:
        """Its address: on the first network that it is on now, else on the session's way out; empty with
        network='none', the host's loopback with network='host'."""
        return self._service.connecting.find_ip(self._record)

    @property
    def networks(self) -> Mapping[str, InterfaceRecord]:
        """The named networks that it is on now, and as what: addresses, MAC, names."""
        return {one.network: one for one in self._service.connecting.interfaces(self._record)}

    def reload_networks(self) -> None:
        """Plugs it anew into all its networks, with the same addresses, and makes its names known again."""
        self._service.connecting.reload(self._record)

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self._record.created, UTC)

    def state(self) -> ContainerState:
        """All of its state at one moment."""
        return self._service.lifecycle.state(self._record)

    def written_state(self) -> ContainerState:
        """Its state without a look at its monitor and its restarts: for who asks often, and of one that is there."""
        return self._service.lifecycle.written_state(self._record)

    @property
    def status(self) -> Status:
        return self.state().status

    @property
    def running(self) -> bool:
        """True while it runs or is paused."""
        return self.state().running

    @property
    def exit_code(self) -> int | None:
        """None before its end; 128+n if signal n ended it."""
        return self.state().exit_code

    @property
    def container_pid(self) -> int | None:
        """Pid of its first process in the session's PID namespace, None if it does not run."""
        return self.state().container_pid

    @property
    def started_at(self) -> datetime | None:
        return self.state().started_at

    @property
    def finished_at(self) -> datetime | None:
        return self.state().finished_at

    @property
    def ports(self) -> Mapping[str, tuple[str, int]]:
        """Published ports: `"6379/tcp"` → address and port of the host."""
        return {port.key: (port.host_ip, port.host_port) for port in self._record.ports}

    def address(self, port: int, *, protocol: str = "tcp") -> tuple[str, int]:
        """Where the test reaches a published port: address and port of the host. Raises NotFoundError."""
        return find_address(self.ports, port, protocol, subject=f"container {self.name}")

    def url(self, port: int, path: str = "/", *, scheme: str = "http") -> str:
        """An URL of a published port."""
        return build_url(self.address(port), path, scheme=scheme)

    def connect(self, port: int, *, timeout: float | None = None) -> socket.socket:
        """A TCP connection to a port inside the container, published or not. Raises OSError as connect(2)."""
        return self._service.inside.connect(self._record, port, timeout=timeout)

    def listening(self) -> frozenset[int]:
        """TCP ports with a listener in its network namespace; looked at from outside, so the image needs no tool."""
        return self._service.inside.listening(self._record)

    def stats(self) -> Stats:
        """What it uses of the machine at this moment, and has used since its last start; also after its end.

        `later.cpu_percent_since(earlier)` compares two. Raises WrongStateError before the first start, and after the
        end where no control group has counted (an ordinary user's on cgroup v1).
        """
        return self._service.stats.read(self._record)

    def memory_peak(self) -> int | None:
        """The most memory that it has had since its last start, as `stats` has it, whatever its state; None where
        nothing keeps it, and if it was removed."""
        return self._service.stats.read_peak(self._record)

    def processes(self) -> list[ContainerProcess]:
        """Its processes, also those of commands that were executed in it. Raises WrongStateError if it does not run."""
        return self._service.processes(self._record)

    def start(self) -> None:
        """Starts it: after `create`, or again after it ended. Raises WrongStateError if it runs."""
        self._service.lifecycle.start(self._record)

    def stop(self, timeout: float | None = None) -> None:
        """Stop signal, `timeout` seconds of grace (by default the spec's), then the kill. Fine if it has ended."""
        self._service.lifecycle.stop(self._record, timeout=timeout)

    def kill(self, signal: str | int = "KILL") -> None:
        """Sends a signal to its first process. Raises WrongStateError if it does not run."""
        self._service.lifecycle.kill(self._record, signal=signal)

    def restart(self, timeout: float | None = None) -> None:
        """Stops it, if it runs, and starts it again on the same files."""
        self.stop(timeout)
        self.start()

    def pause(self) -> None:
        """Freezes all its processes. Raises WrongStateError, UnsupportedHostError."""
        self._service.lifecycle.pause(self._record)

    def unpause(self) -> None:
        self._service.lifecycle.unpause(self._record)

    def remove(self, *, force: bool = True) -> None:
        """Removes it with all its files. A running one is killed, and containers in its network are removed before it,
        or with `force=False` refused (WrongStateError, InUseError)."""
        self._service.lifecycle.remove(self._record, force=force)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end and returns the exit code. Raises DeadlineExceededError."""
        return self._service.lifecycle.wait(self._record, timeout=timeout)

    @property
    def health(self) -> Health | None:
        """What its health check has found since it was started; None if it has none."""
        return self.state().health

    def check_health(self) -> Health:
        """Checks its health once, now; that counts as any check. Raises NoHealthCheckError, WrongStateError if it does
        not run."""
        return self._service.health.check(self._record)

    def hasten_health(self) -> Health:
        """Its health; if that is not good, it is checked meanwhile, at once at first and then each second, so that who
        waits for it need not wait an interval. What fails of that does not count. Raises NoHealthCheckError."""
        return self._service.health.hasten(self._record)

    def wait_ready(self, wait: Wait | Callable[[Container], object], *, timeout: float | None = None) -> None:
        """Waits until a condition holds. Raises NotReadyError, ExitedEarlyError."""
        self._service.wait_ready(self, wait, timeout=timeout)

    def exec(
        self,
        command: Command,
        *,
        user: str | None = None,
        workdir: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | str | None = None,
        timeout: float | None = None,
        check: bool = False,
        privileged: bool = False,
        through_runtime: bool = False,
        most_output: int | None = None,
    ) -> ExecResult:
        """Executes a command in it; a text is split as a shell does, but no shell is involved.

        With `check`, an exit code other than 0 raises CommandError. `through_runtime` takes runc's own way;
        `most_output` are the bytes of stdout and of stderr that are kept. Raises WrongStateError if the container does
        not run, DeadlineExceededError after `timeout` seconds: the command, and what it started, is killed then.
        """
        request = ExecRequest(_split(command), user, workdir, env, privileged)
        given = stdin.encode() if isinstance(stdin, str) else stdin
        result = self._service.exec(
            self._record,
            request,
            stdin=given,
            timeout=timeout,
            through_runtime=through_runtime,
            most_output=most_output,
        )
        return result.check(self.name) if check else result

    def exec_attached(
        self,
        command: Command,
        *,
        stdin: int | None,
        stdout: int,
        stderr: int,
        tty: bool = False,
        user: str | None = None,
        workdir: str | None = None,
        env: Mapping[str, str] | None = None,
        privileged: bool = False,
    ) -> int:
        """Executes a command on descriptors of the caller and returns its exit code.

        With `tty` all three are the inner end of `open_terminal`, which becomes the command's controlling terminal.
        """
        request = ExecRequest(_split(command), user, workdir, env, privileged, tty)
        return self._service.exec_attached(self._record, request, stdin=stdin, stdout=stdout, stderr=stderr)

    def exec_detached(
        self,
        command: Command,
        *,
        user: str | None = None,
        workdir: str | None = None,
        env: Mapping[str, str] | None = None,
        privileged: bool = False,
    ) -> None:
        """Starts a command in it that goes on by itself, also when this process ends; its output goes nowhere."""
        self._service.exec_detached(self._record, ExecRequest(_split(command), user, workdir, env, privileged))

    def open_terminal(self) -> Terminal:
        """A terminal inside the container, for `exec_attached`; the caller relays its outer end and closes it."""
        return self._service.inside.open_terminal(self._record)

    @property
    def beside(self) -> Beside:
        """Where programs of the host are in its network, and find its names."""
        return self._service.beside(self._record)

    def succeed(self, *commands: str) -> str:
        """Runs each command by `/bin/sh -c`, and returns their output; CommandError if one fails."""
        return "".join(self.exec(["/bin/sh", "-c", command], check=True).stdout for command in commands)

    def fail(self, *commands: str) -> str:
        """Runs each command by `/bin/sh -c`, and returns their output; CommandError if one succeeds."""
        output = []
        for command in commands:
            result = self.exec(["/bin/sh", "-c", command])
            if result.ok:
                raise CommandError(
                    f"{command!r} in container {self.name} succeeded; it was expected to fail",
                    argv=result.argv,
                    status=0,
                    stderr=result.stderr,
                )
            output.append(result.stdout)
        return "".join(output)

    def wait_until(self, condition: Condition, *, timeout: float | None = None) -> str:
        """Repeats a shell command until it succeeds, or a callable until it is true; NotReadyError after `timeout`."""
        deadline = Deadline.after(self._service.default_timeout if timeout is None else timeout)
        while True:
            seen, held = self._try(condition)
            if held:
                return seen
            if deadline.expired:
                what = condition if isinstance(condition, str) else repr(condition)
                raise NotReadyError(
                    f"container {self.name}: {what!r} does not hold after {deadline.elapsed:.1f} s; last seen: {seen}",
                    condition=what,
                    waited_s=deadline.elapsed,
                    last_seen=seen,
                    log_tail=self.logs(tail=20),
                )
            time.sleep(_RETRY_S)

    def _try(self, condition: Condition) -> tuple[str, bool]:
        if callable(condition):
            value = condition()
            return str(value), bool(value)
        command = ["/bin/sh", "-c", condition] if isinstance(condition, str) else condition
        result = self.exec(command)
        return result.stdout if result.ok else f"exit code {result.exit_code}: {result.stderr.strip()}", result.ok

    def logs(
        self,
        *,
        since: LogPosition | None = None,
        tail: int | None = None,
        stream: str | None = None,
        timestamps: bool = False,
    ) -> str:
        """Its output so far; `stream` is "stdout" or "stderr", None both in the order they came."""
        return self._service.output.logs(self._record, since=since, tail=tail, stream=stream, timestamps=timestamps)

    def log_lines(
        self, *, follow: bool = False, since: LogPosition | None = None, tail: int | None = None
    ) -> Iterator[LogLine]:
        """Its output as lines with time and stream; with `follow`, until it ends."""
        return self._service.output.lines(self._record, follow=follow, since=since, tail=tail)

    def log_position(self) -> LogPosition:
        """Where its log ends now: what comes after belongs to whoever asked."""
        return self._service.output.position(self._record)

    def log_excerpt(self, count: int, *, since: LogPosition | None = None) -> Excerpt:
        """The last `count` lines of its output, and how many are before them; for logs of any size."""
        return self._service.output.excerpt(self._record, count, since=since)

    def hold_log(self) -> HeldLog:
        """Its log, to be read when it has been removed; to be closed. Raises ContainerNotFoundError."""
        return self._service.output.hold(self._record)

    def log_reader(self, *, since: LogPosition | None = None) -> LogReader:
        """Reads its log bit by bit: each `read()` gives the lines completed since the last."""
        return self._service.output.reader(self._record, since=since)

    def find_wait(self, name: str) -> Wait:
        """The wait that its engine knows by a name. Raises InvalidSpecError."""
        return self._service.extensions.get_wait(name)

    def watch_log(self) -> AbstractContextManager[Watcher]:
        """A descriptor that is readable when there is new output; for waits."""
        return self._service.output.watch(self._record)

    def open_exit_descriptor(self) -> ExitDescriptor | None:
        """A descriptor that is readable once the container has ended; None if it does not run."""
        return self._service.lifecycle.open_exit_descriptor(self._record)

    def attach(self, *, stdin: int | None, stdout: int, stderr: int) -> Attachment:
        """Connects descriptors of the caller with its standard streams; before `start`, nothing is missed."""
        return self._service.output.attach(self._record, stdin=stdin, stdout=stdout, stderr=stderr)

    def exists(self, path: str) -> bool:
        """Whether there is anything at the path: a file, a directory, a socket."""
        return self._service.inside.exists(self._record, path)

    def read(self, path: str) -> bytes:
        """The content of a file of the container, running or not. Raises NotFoundError, InvalidInputError."""
        return self._service.inside.read(self._record, path)

    def write(self, path: str, content: bytes | str, *, mode: int = 0o644) -> None:
        """Writes a file of the container, replacing what was there; the directory has to exist."""
        self._service.inside.write(
            self._record, path, content.encode() if isinstance(content, str) else content, mode=mode
        )

    def copy_in(self, source: str | PathLike[str], destination: str, *, follow: bool = False) -> None:
        """Copies a file or directory of the host into it, running or not, by the rules of `docker cp`.

        If `destination` is a directory the copy gets its name in there, else it is the copy's own name; of a source
        that ends with `/.` what is in it is copied. Modes, times and links are kept, a link as source too unless with
        `follow`; owners by their number, but what an ordinary user copies is root's. Raises NotFoundError,
        ConflictError where a directory and something else meet, DiskFullError, StorageError.
        """
        self._service.copying.copy_in(self._record, fspath(source), destination, follow=follow)

    def copy_out(
        self, source: str, destination: str | PathLike[str], *, follow: bool = False, most_bytes: int | None = None
    ) -> None:
        """Copies a file or directory of it, running or not, to the host, by the same rules.

        Owners are kept if root copies, and an ordinary user may read all that was copied; set-user-id and set-group-id
        bits, devices and sockets never are kept, nor what is in /proc and the like. Raises as `copy_in`, and
        SizeMismatchError for an archive of more than `most_bytes`.
        """
        self._service.copying.copy_out(
            self._record, source, fspath(destination), follow=follow, most_bytes=most_bytes
        )

    def export(self, path: str, file: BinaryIO, *, follow: bool = False) -> None:
        """Writes a file or directory of it as a tar archive. Raises NotFoundError, StorageError."""
        self._service.copying.export(self._record, path, file.write, follow=follow)

    def import_(self, path: str, archive: Readable) -> None:
        """Unpacks a tar archive, compressed or not, into a directory of it. Raises NotFoundError, ContentError,
        ConflictError, DiskFullError, StorageError."""
        self._service.copying.import_(self._record, path, archive)

    def glob(self, pattern: str) -> list[str]:
        """The paths of it that match, sorted: `*`, `?`, `[…]`, and `**` for directories of any depth. The pattern is
        absolute; nothing in /proc and the like matches. Raises InvalidInputError."""
        return self._service.copying.find_matches(self._record, pattern)

    def changed(self) -> list[Change]:
        """What it has done to the files of its image, by path: kind "added", "changed" or "deleted". Of a directory
        only that itself: its mode or owner. What is in volumes and other mounts is not looked at."""
        return self._service.find_changes(self._record)

    def capture(
        self, path: str | PathLike[str] | None = None, *, most_bytes: int | None = None
    ) -> Capture:
        """Captures the packets of its network namespace, loopback too, before its start as well as later.

        `with container.capture("traffic.pcapng"): …` writes the file when the block is left; without a path, `save`
        does. Of more than `most_bytes` (64 MiB) the last are kept. Raises InvalidInputError with network="host",
        NetworkError, StorageError.
        """
        return self._service.capture(self._record, most_bytes=most_bytes, path=path)

    def inspect(self) -> dict[str, Any]:
        """A document in the shape of `docker inspect`."""
        return self._service.inspect(self._record)


def _split(command: Command) -> tuple[str, ...]:
    return tuple(shlex.split(command)) if isinstance(command, str) else tuple(command)
