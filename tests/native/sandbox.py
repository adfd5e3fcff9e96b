"""The helper program driven directly: starting janitors, talking to init, and looking at what is left of them."""

from __future__ import annotations

import array
import contextlib
import fcntl
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.native.wire import Answer, Content, Kind, Tag, pack, unpack

PATIENCE_S = 600.0 if os.environ.get("PODS_VM") else 30.0
"""How long a test waits for what has to come. An emulated machine is slow."""

Fields = list[tuple[int, Content]]


class HelperError(Exception):
    """An ERROR of the sandbox."""

    def __init__(self, answer: Answer) -> None:
        self.errno = answer.number(Tag.ERRNO)
        self.call = answer.text(Tag.CALL)
        self.subject = answer.text(Tag.SUBJECT)
        self.message = answer.text(Tag.MESSAGE)
        super().__init__(f"{self.call}: {self.subject}: {os.strerror(self.errno)}: {self.message}")


class SandboxGoneError(Exception):
    """The end of the connection."""


def wait_readable(descriptor: int, timeout_s: float = PATIENCE_S) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """For what the kernel announces nowhere, such as a counter in /proc."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"still waiting until {what}"
        time.sleep(0.002)


class Connection:
    """One connection to init, used by one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.settimeout(PATIENCE_S)
        self._ids = itertools.count(1)
        self._waiting: list[Answer] = []

    def send(self, kind: int, fields: Fields, descriptors: Sequence[int] = ()) -> int:
        message_id = next(self._ids)
        self.send_packet(pack(kind, message_id, fields), descriptors)
        return message_id

    def send_packet(self, packet: bytes, descriptors: Sequence[int] = ()) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self.socket.sendmsg([packet], rights)

    def receive(self) -> Answer:
        """The next packet, whatever it is."""
        try:
            packet, ancillary, flags, _ = self.socket.recvmsg(131_072, socket.CMSG_SPACE(16 * 4))
        except ConnectionResetError as error:
            raise SandboxGoneError from error
        descriptors = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content)
        if not packet:
            raise SandboxGoneError
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        return unpack(packet, list(descriptors))

    def wait_for(self, wanted: Callable[[Answer], bool]) -> Answer:
        """The first packet that is wanted, of those kept back and those to come."""
        for answer in self._waiting:
            if wanted(answer):
                self._waiting.remove(answer)
                return answer
        while True:
            answer = self.receive()
            if wanted(answer):
                return answer
            self._waiting.append(answer)

    def answer(self, message_id: int) -> Answer:
        """The OK for a request; raises HelperError for an ERROR."""
        answer = self.wait_for(lambda one: one.id == message_id and one.kind in (Kind.OK, Kind.ERROR))
        if answer.kind == Kind.ERROR:
            raise HelperError(answer)
        return answer

    def ask(self, kind: int, fields: Fields, descriptors: Sequence[int] = ()) -> Answer:
        return self.answer(self.send(kind, fields, descriptors))

    def exited(self, message_id: int) -> Answer:
        return self.wait_for(lambda one: one.id == message_id and one.kind == Kind.EXITED)

    def spawn_message(
        self,
        argv: Sequence[str],
        *,
        env: Sequence[str] = (),
        fds: dict[int, int] | None = None,
        flags: int = 0,
        more: Fields | None = None,
    ) -> tuple[Fields, list[int]]:
        fields: Fields = [(Tag.ARGUMENT, one) for one in argv]
        fields += [(Tag.ENVIRONMENT, one) for one in env]
        fields += [(Tag.TARGET_DESCRIPTOR, target) for target in fds or {}]
        if flags:
            fields.append((Tag.FLAGS, flags))
        return fields + (more or []), list((fds or {}).values())

    def spawn(self, argv: Sequence[str], **how: object) -> Spawned:
        fields, descriptors = self.spawn_message(argv, **how)  # type: ignore[arg-type]
        message_id = self.send(Kind.SPAWN, fields, descriptors)
        answer = self.answer(message_id)
        pidfd = answer.descriptors[0] if answer.descriptors else None
        return Spawned(self, message_id, answer.number(Tag.PID), pidfd)

    def run(self, argv: Sequence[str], **how: object) -> Ran:
        """Runs a program to its end with its output in pipes."""
        out_read, out_write = os.pipe()
        error_read, error_write = os.pipe()
        fds = dict(how.pop("fds", None) or {})  # type: ignore[call-overload]
        try:
            process = self.spawn(argv, fds={1: out_write, 2: error_write, **fds}, **how)
        except BaseException:
            os.close(out_read)
            os.close(error_read)
            raise
        finally:
            os.close(out_write)
            os.close(error_write)
        stdout, stderr = drain([out_read, error_read])
        return Ran(process.wait(), stdout, stderr)

    def shell(self, script: str, **how: object) -> str:
        """The output of a shell script that has to succeed."""
        ran = self.run(["/bin/sh", "-ec", script], env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], **how)
        assert ran.status == 0, ran
        return ran.stdout.decode()

    def close(self) -> None:
        self.socket.close()


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: bytes
    stderr: bytes


@dataclass
class Spawned:
    connection: Connection
    message_id: int
    pid: int
    pidfd: int | None

    def wait(self) -> int:
        """The exit status as a shell counts, negative for a signal."""
        answer = self.connection.exited(self.message_id)
        assert answer.number(Tag.PID) == self.pid
        return os.waitstatus_to_exitcode(answer.number(Tag.STATUS))

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.connection.ask(Kind.SIGNAL, [(Tag.PID, self.pid), (Tag.SIGNAL, number)])


def drain(descriptors: Sequence[int]) -> list[bytes]:
    """Reads pipes to their ends, all at the same time, and closes them."""
    contents = dict.fromkeys(descriptors, b"")
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    open_ones = set(descriptors)
    while open_ones:
        ready = poll.poll(PATIENCE_S * 1000)
        assert ready, "a pipe has no end"
        for descriptor, _ in ready:
            piece = os.read(descriptor, 65536)
            contents[descriptor] += piece
            if not piece:
                poll.unregister(descriptor)
                os.close(descriptor)
                open_ones.remove(descriptor)
    return [contents[descriptor] for descriptor in descriptors]


@dataclass
class Session:
    """A running janitor with the owner's end of its connection. `init` is init's pid on the host."""

    janitor: subprocess.Popen[bytes]
    connection: Connection
    directory: Path
    helper: Path
    init: int = 0
    lock: int = -1
    others: list[Connection] = field(default_factory=list)

    def settle(self) -> None:
        """Init has done what it could know of before: requests, datagrams, what it closes after it has answered.

        A child of init's answers this, and its answer is seen in a later round of the event loop than what was ready
        before it was asked for.
        """
        with contextlib.suppress(HelperError):
            self.connection.ask(Kind.UNMOUNT, [(Tag.TARGET, "/nowhere")])

    def descriptors(self) -> int:
        """How many descriptors init has open when it has nothing to do."""
        self.settle()
        return len(os.listdir(f"/proc/{self.init}/fd"))

    def path(self, path: str | Path) -> Path:
        """A path of the sandbox as the host can see it."""
        return Path(f"/proc/{self.init}/root{path}")

    def mounted(self, path: Path) -> bool:
        return f" {path} " in Path(f"/proc/{self.init}/mountinfo").read_text()

    def connect(self, path: Path) -> Connection:
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.settimeout(PATIENCE_S)
        directory = os.open(path.parent, os.O_PATH)
        try:
            one.connect(f"/proc/self/fd/{directory}/{path.name}")
        except BaseException:
            one.close()
            raise
        finally:
            os.close(directory)
        connection = Connection(one)
        self.others.append(connection)
        return connection

    def end(self) -> None:
        """Hangs up and waits for the janitor to have tidied up."""
        self.connection.close()
        for other in self.others:
            other.close()
        self.wait()

    def wait(self) -> None:
        """Waits until nothing that holds the session's lock is left, and the janitor neither."""
        self.janitor.wait(PATIENCE_S)
        assert self.lock_is_free()

    def lock_is_free(self) -> bool:
        """The lock's last holder among janitor and init has ended, which is at the latest when flock() returns."""
        os.set_blocking(self.lock, True)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        return True


def processes_of(helper: Path) -> list[int]:
    """The pids of all processes that execute this very file."""
    found = []
    wanted = os.stat(helper)
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                status = os.stat(f"/proc/{name}/exe")
            except OSError:
                continue
            if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(int(name))
    return found


def janitor_argv(
    helper: Path,
    *,
    control: int,
    lock: int,
    owner: int | None = None,
    level: int = 1,
    directories: Sequence[Path] = (),
    cgroups: Sequence[Path] = (),
    more: Sequence[str] = (),
) -> list[str]:
    argv = [str(helper), "janitor", "--control", str(control), "--lock", str(lock), "--level", str(level)]
    if owner is not None:
        argv += ["--owner", str(owner)]
    for directory in directories:
        argv += ["--directory", str(directory)]
    for cgroup in cgroups:
        argv += ["--cgroup", str(cgroup)]
    return argv + list(more)


def start_session(
    helper: Path,
    directory: Path,
    *,
    owner: int | None = None,
    prefix: Sequence[str] = (),
    env: dict[str, str] | None = None,
    remove: bool = True,
    level: int = 1,
    cgroups: Sequence[Path] = (),
    more: Sequence[str] = (),
) -> Session:
    """Starts a janitor; the lock is a file in `directory`, which the janitor removes at the end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory.mkdir(exist_ok=True)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Another open file of the same inode, opened before a janitor that fails can have removed it.
    other = os.open(directory / "lock", os.O_RDWR)
    argv = janitor_argv(
        helper,
        control=theirs.fileno(),
        lock=lock,
        owner=owner,
        level=level,
        directories=[directory] if remove else [],
        cgroups=cgroups,
        more=more,
    )
    passed = [theirs.fileno(), lock] + ([owner] if owner is not None else [])
    janitor = subprocess.Popen([*prefix, *argv], pass_fds=passed, env=env or {}, stdin=subprocess.DEVNULL)
    theirs.close()
    # The lock is the janitor's and init's from here on.
    os.close(lock)
    session = Session(janitor, Connection(ours), directory, helper, lock=other)
    try:
        ready = session.connection.receive()
    except SandboxGoneError:
        session.janitor.wait(PATIENCE_S)
        os.close(other)
        raise
    if ready.kind == Kind.ERROR:
        session.connection.close()
        session.wait()
        os.close(other)
        raise HelperError(ready)
    assert (ready.kind, ready.id) == (Kind.READY, 0)
    session.init = ready.number(Tag.PID)
    return session


@contextmanager
def running_session(helper: Path, directory: Path, **how: object) -> Iterator[Session]:
    """A session that is ended, and of which nothing may be left."""
    session = start_session(helper, directory, **how)  # type: ignore[arg-type]
    try:
        yield session
    finally:
        session.end()
        os.close(session.lock)
        if how.get("remove", True):
            assert not directory.exists()


def print_error(*values: object) -> None:
    print(*values, file=sys.stderr)
