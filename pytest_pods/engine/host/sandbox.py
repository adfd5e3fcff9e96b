"""The sandbox of a session, seen from outside: starting it, and the few primitive things it does (native/README.md).

Policy is not here: what is mounted, which program runs and when anything ends is decided above.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import signal
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pytest_pods.engine.errors import (
    HostError,
    MissingProgramError,
    SandboxLostError,
    SystemCallError,
    UnsupportedHostError,
)
from pytest_pods.engine.host.channel import Channel, SandboxProcess
from pytest_pods.engine.host.protocol import Answer, Kind, Message, Tag
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_pods.engine.host.systemd import Scope

Socket: TypeAlias = socket.socket

_START_PATIENCE_S = 60.0
_LOWEST_COPY = 16


class NamespaceKind(enum.IntFlag):
    """Bits of clone(2)."""

    UTS = 0x04000000
    IPC = 0x08000000
    NETWORK = 0x40000000


class MountAttribute(enum.IntFlag):
    """Attributes of mount_setattr(2)."""

    READ_ONLY = 0x1
    NO_SUID = 0x2
    NO_DEVICES = 0x4
    NO_EXECUTION = 0x8


class _SpawnFlag(enum.IntFlag):
    HOST_NETWORK = 1
    PIDFD = 2
    HELPER = 4
    NEW_SESSION = 8


class _KeepFlag(enum.IntFlag):
    OWNED = 1
    WHILE_CONNECTED = 2


class _MountFlag(enum.IntFlag):
    FILE_SYSTEM = 1
    BIND = 2
    RECURSIVE = 4
    BY_MOUNT_2 = 8
    PROPAGATION = 16


@frozen
class IdRange:
    """One line of a user namespace's map: `count` ids from `inside` are those from `outside`."""

    inside: int
    outside: int
    count: int

    def __str__(self) -> str:
        return f"{self.inside}:{self.outside}:{self.count}"


@frozen
class UserNamespace:
    """The maps of a rootless session; without the set-uid helpers a map of one id is all that the kernel allows."""

    uid_map: tuple[IdRange, ...]
    gid_map: tuple[IdRange, ...]
    newuidmap: Path | None
    newgidmap: Path | None

    @property
    def single_id(self) -> bool:
        return self.newuidmap is None


@frozen
class SandboxSpec:
    """What a session's sandbox is to be. `lock` is a descriptor that holds the session's lock; with `scope` the
    sandbox lives in a control group that the user's systemd makes for it."""

    lock: int
    directories: tuple[Path, ...]
    cgroups: tuple[Path, ...] = ()
    level: int = 1
    user: UserNamespace | None = None
    scope: Scope | None = None


@frozen
class FileSystemMount:
    """A mount by the new mount API: options in order, each `key` or `key=value`."""

    kind: str
    target: Path
    options: tuple[str, ...] = ()
    source: str = ""
    attributes: MountAttribute = MountAttribute(0)


@frozen
class ClassicMount:
    """A mount by mount(2), with `data` of at most 4,095 bytes, relative names counting from `directory`."""

    kind: str
    target: Path
    data: str
    directory: Path
    source: str = ""
    attributes: MountAttribute = MountAttribute(0)


@frozen
class Forward:
    """A port that the sandbox forwards; it ends with the session or with `Sandbox.end_forward`."""

    number: int


def helper_path() -> Path:
    """The native helper that the package's build made; raises MissingProgramError."""
    path = Path(__file__).resolve().parents[2] / "_native" / "nsenter_helper"
    if not path.exists():
        raise MissingProgramError(
            f"the native helper {path} is missing",
            hint="install the package with pip, which builds it (in a checkout: make native)",
        )
    return path


def _translate_refusal(error: OSError) -> HostError:
    """Why the kernel did not start the helper."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOEXEC):
        return MissingProgramError(
            f"the native helper {helper_path()} cannot be executed: {error.strerror}",
            hint="install the package with pip, which builds it, on a file system that is not mounted noexec",
        )
    return SystemCallError(f"starting {helper_path()}: {error.strerror}", call="execve", errno=error.errno or 0)


class Sandbox:
    """A live sandbox. Thread-safe. Implements `process.Launcher`."""

    def __init__(self, channel: Channel, *, janitor: int | None = None) -> None:
        self._channel = channel
        self._janitor = janitor

    @classmethod
    def start(cls, spec: SandboxSpec) -> Sandbox:
        """Starts janitor and init; they end with this process. Raises SystemCallError, UnsupportedHostError,
        MissingProgramError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel = Channel(ours)
        owner = os.pidfd_open(os.getpid())
        try:
            janitor = _spawn_janitor(spec, control=theirs.fileno(), owner=owner)
        except MissingProgramError:
            channel.close()
            raise
        except OSError as error:
            channel.close()
            raise _translate_refusal(error) from error
        finally:
            theirs.close()
            os.close(owner)
        sandbox = cls(channel, janitor=janitor)
        try:
            channel.read_ready(_START_PATIENCE_S)
        except SystemCallError as error:
            sandbox._abandon()
            raise UnsupportedHostError(
                f"the session's sandbox cannot start: {error.brief}",
                details=error.details,
                hint="pytest-pods doctor says what this machine lacks",
            ) from error
        except SandboxLostError:
            sandbox._abandon()
            raise
        channel.start_reading()
        return sandbox

    @classmethod
    def connect(cls, path: Path) -> Sandbox:
        """Connects to the sandbox of a kept or command-line session. Raises SandboxLostError if nobody listens."""
        with ExitStack() as stack:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            try:
                # A socket's name is limited to 107 bytes, a path below a test's directory is not.
                directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(os.close, directory)
                connection.connect(f"/proc/self/fd/{directory}/{path.name}")
            except OSError as error:
                raise SandboxLostError(f"nobody answers at {path}: {error.strerror}") from error
            connection = socket.socket(fileno=connection.detach())
        channel = Channel(connection)
        channel.start_reading()
        return cls(channel)

    @property
    def lost(self) -> str | None:
        """Why the sandbox is gone, None while it is there."""
        return self._channel.lost

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        descriptors: Mapping[int, int] | None = None,
        cgroups: Sequence[Path] = (),
        namespaces: Sequence[Path] = (),
        host_network: bool = False,
        new_session: bool = False,
        pidfd: bool = False,
    ) -> SandboxProcess:
        """Executes `argv[0]`, an absolute path, in the session's namespaces; see `process.Launcher`."""
        flags = _spawn_flags(host_network=host_network, new_session=new_session, pidfd=pidfd)
        message = _build_spawn(argv, env, cwd, flags)
        for cgroup in cgroups:
            message.text(Tag.CGROUP, str(cgroup))
        for namespace in namespaces:
            message.text(Tag.NAMESPACE, str(namespace))
        return self._spawn(message, descriptors or {}, argv[0])

    def spawn_helper(
        self,
        argv: Sequence[str],
        *,
        descriptors: Mapping[int, int] | None = None,
        host_network: bool = False,
        new_session: bool = False,
        pidfd: bool = False,
    ) -> SandboxProcess:
        """Executes the native helper's own sealed copy: `enter`, `remove`, `pause`."""
        flags = _SpawnFlag.HELPER | _spawn_flags(host_network=host_network, new_session=new_session, pidfd=pidfd)
        message = _build_spawn(["nsenter_helper", *argv], {}, None, flags)
        return self._spawn(message, descriptors or {}, f"nsenter_helper {argv[0]}")

    def _spawn(self, message: Message, descriptors: Mapping[int, int], argv0: str) -> SandboxProcess:
        for target in descriptors:
            message.u32(Tag.TARGET_DESCRIPTOR, target)
        return self._channel.spawn(message, descriptors=list(descriptors.values()), argv0=argv0)

    def signal(self, pid: int, number: int) -> None:
        """Sends a signal to a process of the session's PID namespace; raises SystemCallError (ESRCH)."""
        self._ask(Message(Kind.SIGNAL).u32(Tag.PID, pid).u32(Tag.SIGNAL, number), f"pid {pid}")

    def mount(self, request: FileSystemMount | ClassicMount) -> None:
        """Mounts a file system in the session's mount namespace. Raises SystemCallError."""
        message = Message(Kind.MOUNT).text(Tag.FILESYSTEM, request.kind).text(Tag.TARGET, str(request.target))
        if request.source:
            message.text(Tag.SOURCE, request.source)
        if request.attributes:
            message.u64(Tag.ATTRIBUTES, int(request.attributes))
        if isinstance(request, FileSystemMount):
            message.u32(Tag.FLAGS, _MountFlag.FILE_SYSTEM)
            for option in request.options:
                message.text(Tag.OPTION, option)
        else:
            message.u32(Tag.FLAGS, _MountFlag.BY_MOUNT_2)
            message.text(Tag.DATA, request.data).text(Tag.DIRECTORY, str(request.directory))
        self._ask(message, f"{request.kind} on {request.target}")

    def bind(
        self,
        source: Path | str,
        target: Path,
        *,
        root: Path | None = None,
        recursive: bool = False,
        attributes: MountAttribute = MountAttribute(0),
    ) -> None:
        """Binds `source` on `target` in the session's mount namespace; with `root` never anything outside of it.

        Raises SystemCallError.
        """
        flags = _MountFlag.BIND | (_MountFlag.RECURSIVE if recursive else 0)
        message = Message(Kind.MOUNT).u32(Tag.FLAGS, flags).text(Tag.SOURCE, str(source)).text(Tag.TARGET, str(target))
        if attributes:
            message.u64(Tag.ATTRIBUTES, int(attributes))
        if root is not None:
            message.text(Tag.ROOT, str(root))
        self._ask(message, f"{source} on {target}")

    def unmount(self, target: Path, *, detach: bool = True) -> None:
        """Unmounts; with `detach` also what is still in use (umount2, MNT_DETACH)."""
        message = Message(Kind.UNMOUNT).text(Tag.TARGET, str(target))
        if detach:
            message.u32(Tag.FLAGS, 2)
        self._ask(message, str(target))

    def pin(self, directory: Path, kinds: NamespaceKind, *, hostname: str | None = None) -> None:
        """Makes namespaces and binds them on `net`, `ipc` and `uts` in `directory`."""
        message = Message(Kind.PIN).text(Tag.TARGET, str(directory)).u32(Tag.NAMESPACES, int(kinds))
        if hostname is not None:
            message.text(Tag.HOSTNAME, hostname)
        self._ask(message, str(directory))

    def open(
        self,
        path: Path | str,
        flags: int,
        *,
        mode: int = 0,
        root: Path | None = None,
        network_namespace: Path | None = None,
    ) -> int:
        """A descriptor of a path in the session's mount namespace; with `root` never of anything outside of it.

        What /proc/sys/net shows depends on the network namespace, which is the session's without another.
        """
        message = Message(Kind.OPEN).text(Tag.PATH, str(path)).u32(Tag.OPEN_FLAGS, flags)
        if flags & (os.O_CREAT | os.O_TMPFILE):
            message.u32(Tag.MODE, mode)
        if root is not None:
            message.text(Tag.ROOT, str(root))
        if network_namespace is not None:
            message.text(Tag.NETWORK_NAMESPACE, str(network_namespace))
        return self._ask_for_descriptor(message, str(path))

    def open_pidfd(self, pid: int) -> int:
        """A pidfd of a process of the session's PID namespace; raises SystemCallError (ESRCH)."""
        return self._ask_for_descriptor(Message(Kind.OPEN).u32(Tag.PID, pid), f"pid {pid}")

    def runs(self, pid: int, program: str) -> bool:
        """Whether a process of the session's PID namespace is there and still is that program: a pid may be another's
        by now, or of one that has ended and is not waited for yet (proc_pid_stat(5)). Raises SystemCallError,
        SandboxLostError: then it is not known."""
        try:
            descriptor = self.open(f"/proc/{pid}/stat", os.O_RDONLY)
        except SystemCallError as error:
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                raise
            return False
        try:
            text = os.read(descriptor, 4096)
        except ProcessLookupError:
            # It ended between the two calls.
            return False
        finally:
            os.close(descriptor)
        name, _, numbers = text.partition(b"(")[2].rpartition(b")")
        return name.startswith(program.encode()) and numbers.split()[0] not in (b"Z", b"X")

    def socket(self, family: int, kind: int, protocol: int = 0, *, network_namespace: Path | None = None) -> Socket:
        """A socket that lives in the session's, or the given, network namespace."""
        message = Message(Kind.SOCKET).u32(Tag.DOMAIN, family).u32(Tag.TYPE, kind).u32(Tag.PROTOCOL, protocol)
        if network_namespace is not None:
            message.text(Tag.NETWORK_NAMESPACE, str(network_namespace))
        return Socket(fileno=self._ask_for_descriptor(message, f"in {network_namespace or 'the session'}"))

    def forward(
        self, listener: Socket, *, network_namespace: Path | None, addresses: Sequence[tuple[str, int]]
    ) -> Forward:
        """Forwards what connects to `listener` to the first of `addresses` that answers in the network namespace."""
        message = Message(Kind.FORWARD)
        if network_namespace is not None:
            message.text(Tag.NETWORK_NAMESPACE, str(network_namespace))
        for host, port in addresses:
            message.text(Tag.ADDRESS, f"{host} {port}")
        answer, received = self._channel.request(message, descriptors=[listener.fileno()], subject=str(addresses[0][1]))
        for descriptor in received:
            os.close(descriptor)
        return Forward(answer.number(Tag.FORWARD))

    def end_forward(self, forward: Forward) -> None:
        """Ends a forward: its port is free again, its connections are closed."""
        self._ask(Message(Kind.FORWARD).u64(Tag.FORWARD, forward.number), f"forward {forward.number}")

    def keep(self, lease_s: int, *, listen: Path | None = None, while_connected: bool = False) -> None:
        """Takes the owner out: the session goes on for `lease_s` seconds, 0 for no end. `while_connected`: the lease
        begins anew when this connection, and every other that has asked for the same, has ended."""
        message = Message(Kind.KEEP).u64(Tag.LEASE, lease_s)
        if while_connected:
            message.u32(Tag.FLAGS, _KeepFlag.WHILE_CONNECTED)
        if listen is not None:
            message.text(Tag.PATH, str(listen))
        self._ask(message, "the session")

    def listen(self, path: Path) -> None:
        """Lets others connect; the session still ends with its owner."""
        message = Message(Kind.KEEP).u64(Tag.LEASE, 0).u32(Tag.FLAGS, _KeepFlag.OWNED).text(Tag.PATH, str(path))
        self._ask(message, "the session")

    def shutdown(self, timeout_s: float = 30.0) -> None:
        """Ends the sandbox and everything in it, and waits until the janitor has tidied up, where it is ours."""
        with suppress(SandboxLostError):
            self._ask(Message(Kind.SHUTDOWN), "the session")
        self._channel.await_end(timeout_s)
        self._abandon()

    def disconnect(self) -> None:
        """Closes this connection; a kept session goes on."""
        self._channel.close()

    def _abandon(self) -> None:
        self._channel.close("the session has ended")
        if self._janitor is not None:
            # Somebody in this process may reap every child.
            with suppress(ChildProcessError):
                os.waitpid(self._janitor, 0)
            self._janitor = None

    def _ask(self, message: Message, subject: str) -> Answer:
        answer, received = self._channel.request(message, subject=subject)
        for descriptor in received:
            os.close(descriptor)
        return answer

    def _ask_for_descriptor(self, message: Message, subject: str) -> int:
        _, received = self._channel.request(message, subject=subject)
        if len(received) != 1:
            for descriptor in received:
                os.close(descriptor)
            raise SystemCallError(
                f"the sandbox sent {len(received)} descriptors for {subject}", call="recvmsg", errno=errno.EBADMSG
            )
        return received[0]


def _spawn_flags(*, host_network: bool, new_session: bool, pidfd: bool) -> _SpawnFlag:
    wanted = (
        (host_network, _SpawnFlag.HOST_NETWORK),
        (new_session, _SpawnFlag.NEW_SESSION),
        (pidfd, _SpawnFlag.PIDFD),
    )
    flags = _SpawnFlag(0)
    for asked, flag in wanted:
        flags |= flag if asked else 0
    return flags


def _build_spawn(argv: Sequence[str], env: Mapping[str, str], cwd: Path | None, flags: int) -> Message:
    message = Message(Kind.SPAWN)
    for argument in argv:
        message.text(Tag.ARGUMENT, argument)
    for name, value in env.items():
        message.text(Tag.ENVIRONMENT, f"{name}={value}")
    if cwd is not None:
        message.text(Tag.DIRECTORY, str(cwd))
    if flags:
        message.u32(Tag.FLAGS, int(flags))
    return message


def build_janitor_argv(spec: SandboxSpec, *, helper: Path, control: int, lock: int, owner: int) -> list[str]:
    """The janitor's command line, with the numbers that its descriptors have in the new process."""
    argv = [str(helper), "janitor", "--control", str(control), "--lock", str(lock), "--owner", str(owner)]
    argv += ["--level", str(spec.level)]
    if spec.user is not None:
        argv.append("--user")
        for line in spec.user.uid_map:
            argv += ["--uid-map", str(line)]
        for line in spec.user.gid_map:
            argv += ["--gid-map", str(line)]
        if spec.user.newuidmap is not None and spec.user.newgidmap is not None:
            argv += ["--newuidmap", str(spec.user.newuidmap), "--newgidmap", str(spec.user.newgidmap)]
    for directory in spec.directories:
        argv += ["--directory", str(directory)]
    for cgroup in spec.cgroups:
        argv += ["--cgroup", str(cgroup)]
    return argv


def _spawn_janitor(spec: SandboxSpec, *, control: int, owner: int) -> int:
    helper = helper_path()
    argv = build_janitor_argv(spec, helper=helper, control=3, lock=4, owner=5)
    environment: dict[str, str] = {}
    if spec.scope is not None:
        argv, environment = [*spec.scope.prefix, *argv], spec.scope.environment
    # Copies above the numbers they become, so that no dup2 overwrites a descriptor that is still needed.
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST_COPY) for fd in (control, spec.lock, owner)]
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in range(3)
    ]
    actions += [(os.POSIX_SPAWN_DUP2, copy, number) for number, copy in enumerate(copies, start=3)]
    try:
        standard = signal.valid_signals() - {9, 19, 32, 33}
        return os.posix_spawn(
            argv[0], argv, environment, file_actions=actions, setsigmask=[], setsigdef=standard
        )
    finally:
        for copy in copies:
            os.close(copy)
