"""`enter`: a command gets exactly what its orders say, and what goes wrong is told by the status and a line."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import random
import resource
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.native.conftest import Sessions
from tests.native.sandbox import Fields, Ran, Session, Spawned, drain, wait_readable
from tests.native.wire import FIELD, HEADER, Content, Kind, Tag, pack

Field = tuple[int, Content]

HELPER, PIDFD = 4, 2
HELPER_FAILED, CANNOT_EXECUTE, NOT_FOUND = 125, 126, 127
PATH = (Tag.ENVIRONMENT, "PATH=/usr/bin:/bin:/usr/sbin:/sbin")
NAMESPACES = {
    "mnt": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
UNAME = {"x86_64": 63, "aarch64": 160}


def orders_file(content: bytes) -> int:
    memory = os.memfd_create("orders", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(memory, content)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, SEALS)
    return memory


@dataclass(frozen=True)
class Entrance:
    """Where commands enter: the namespaces of a process, and the session that it lives in."""

    session: Session
    reports: Path
    pid: int = 1
    join: int = 0

    def orders(self, command: list[str], *fields: Field) -> bytes:
        place: Fields = [(Tag.PID, self.pid), (Tag.JOIN, self.join)]
        return pack(Kind.ENTER, 1, [*((Tag.ARGUMENT, one) for one in command), *place, *fields])

    @property
    def environment(self) -> list[str]:
        # No look for leaks: it traces, which the program makes impossible for itself.
        return [f"ASAN_OPTIONS=log_path={self.reports}/enter:detect_leaks=0"]

    def run_orders(self, content: bytes) -> Ran:
        memory = orders_file(content)
        try:
            return self.session.connection.run(
                ["nsenter_helper", "enter"], env=self.environment, flags=HELPER, fds={3: memory}
            )
        finally:
            os.close(memory)

    def run(self, command: list[str], *fields: Field) -> Ran:
        return self.run_orders(self.orders(command, *fields))

    def shell(self, script: str, *fields: Field) -> str:
        """The output of a script that has to succeed."""
        ran = self.run(["/bin/sh", "-ec", script], PATH, *fields)
        assert (ran.status, ran.stderr) == (0, b""), ran
        return ran.stdout.decode()

    def start(self, script: str, *fields: Field, fds: dict[int, int]) -> Spawned:
        memory = orders_file(self.orders(["/bin/sh", "-c", script], PATH, *fields))
        try:
            return self.session.connection.spawn(
                ["nsenter_helper", "enter"], env=self.environment, flags=HELPER | PIDFD, fds={**fds, 3: memory}
            )
        finally:
            os.close(memory)

    def status(self, *fields: Field) -> dict[str, str]:
        """What the kernel says of a command of these orders."""
        lines = self.shell("cat /proc/self/status", *fields).splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.fixture
def entrance(session: Session, start: Sessions) -> Entrance:
    """Commands stay in the namespaces of the session."""
    return Entrance(session, start.reports)


@pytest.fixture
def container(session: Session, start: Sessions) -> Entrance:
    """A process with namespaces of its own, a host name, and a file system of which the session knows nothing."""
    read, write = os.pipe()
    script = "hostname container; mount -t tmpfs tmpfs /mnt; touch /mnt/inside; echo ready; exec sleep 1000"
    options = ("--mount", "--uts", "--ipc", "--net", "--cgroup", "--pid", "--fork", "--mount-proc")
    parent = session.connection.spawn(
        ["/usr/bin/unshare", *options, "/bin/sh", "-ec", script], env=[PATH[1]], fds={1: write}
    )
    os.close(write)
    assert os.read(read, 100) == b"ready\n"
    os.close(read)
    return Entrance(session, start.reports, find_child(session, parent.pid), sum(NAMESPACES.values()))


def find_child(session: Session, pid: int) -> int:
    """The only child of a process, by its pid in the session."""
    script = f"for s in /proc/[0-9]*/stat; do read p _ _ pp _ <$s || continue; [ $pp != {pid} ] || echo $p; done"
    return int(session.connection.shell(script))


def links(shell: Callable[..., str], where: str = "self") -> dict[str, str]:
    return dict(zip(NAMESPACES, shell(f"cd /proc/{where}/ns; readlink {' '.join(NAMESPACES)}").split(), strict=True))


# ---- namespaces ----


def test_all_namespaces_of_the_container_are_joined(container: Entrance) -> None:
    inside, session = links(container.shell), links(container.session.connection.shell)
    assert inside == links(container.session.connection.shell, str(container.pid))
    assert [name for name in inside if inside[name] == session[name]] == []
    assert container.shell("hostname; ls /mnt; cat /proc/1/comm").split() == ["container", "inside", "sleep"]


@pytest.mark.parametrize("name", NAMESPACES)
def test_only_the_named_namespace_is_joined(container: Entrance, name: str) -> None:
    session = container.session
    read, write = os.pipe()
    one = Entrance(session, container.reports, container.pid, NAMESPACES[name])
    parent = one.start("echo ready; exec sleep 1000", fds={1: write})
    os.close(write)
    assert os.read(read, 100) == b"ready\n"
    os.close(read)
    # Seen from outside, because /proc and the PID namespace do not match in every row.
    inside = links(session.connection.shell, str(find_child(session, parent.pid)))
    outside, all_of_it = links(session.connection.shell), links(session.connection.shell, str(container.pid))
    assert inside == {**outside, name: all_of_it[name]}


@pytest.mark.parametrize("join", [0x10000000, 0x1, 0xFFFFFFFF], ids=hex)
def test_namespaces_that_cannot_be_joined_are_an_error(container: Entrance, join: int) -> None:
    ran = Entrance(container.session, container.reports, container.pid, join).run(["/bin/true"])
    assert ran.status == HELPER_FAILED
    assert b"setns: container: " in ran.stderr


@pytest.mark.parametrize("number", range(3, 16))
def test_working_directory_is_no_way_out_of_the_container(container: Entrance, number: int) -> None:
    ran = container.run(["/bin/true"], (Tag.DIRECTORY, f"/proc/self/fd/{number}"))
    assert ran.status == CANNOT_EXECUTE
    assert b"chdir" in ran.stderr


@pytest.mark.root
def test_command_is_in_its_cgroups(entrance: Entrance, cgroups: list[Path]) -> None:
    found = entrance.shell("cat /proc/self/cgroup", *((Tag.CGROUP, str(path)) for path in cgroups))
    assert sum(line.endswith(f"/{cgroups[0].name}") for line in found.splitlines()) == len(cgroups)


# ---- identity ----


def test_ids_and_groups_are_exactly_those_given(entrance: Entrance) -> None:
    groups: list[Field] = [(Tag.GROUP, number) for number in (7, 3000, 5)]
    status = entrance.status((Tag.UID, 1000), (Tag.GID, 2000), *groups)
    assert status["Uid"].split() == ["1000"] * 4
    assert status["Gid"].split() == ["2000"] * 4
    assert sorted(map(int, status["Groups"].split())) == [5, 7, 3000]


def test_command_with_ids_and_no_groups_has_none(entrance: Entrance) -> None:
    assert entrance.status((Tag.UID, 0), (Tag.GID, 0))["Groups"] == ""


CHOWN, KILL, BIND = 1 << 0, 1 << 5, 1 << 10


@pytest.mark.parametrize(
    ("uid", "wanted", "found"),
    [
        (0, (CHOWN | KILL, 0, 0, 0, 0), {"Bnd": CHOWN | KILL, "Eff": CHOWN | KILL, "Prm": CHOWN | KILL}),
        (0, (0, 0, 0, 0, 0), {"Bnd": 0, "Eff": 0, "Prm": 0, "Inh": 0, "Amb": 0}),
        (1000, (KILL, KILL, 0, KILL, 0), {"Bnd": KILL, "Eff": 0, "Prm": 0, "Amb": 0}),
        (1000, (KILL | BIND, BIND, BIND, BIND, BIND), {"Bnd": KILL | BIND, "Eff": BIND, "Prm": BIND, "Amb": BIND}),
        (1000, (BIND, 0, BIND, 0, 0), {"Eff": 0, "Prm": 0, "Inh": BIND, "Amb": 0}),
    ],
    ids=["root", "root without any", "user", "user with ambient ones", "user with inheritable ones"],
)
def test_capabilities_are_exactly_those_given(
    entrance: Entrance, uid: int, wanted: tuple[int, ...], found: dict[str, int]
) -> None:
    capabilities = (Tag.CAPABILITIES, struct.pack("<5Q", *wanted))
    status = entrance.status((Tag.UID, uid), (Tag.GID, uid), capabilities)
    assert {name: int(status[f"Cap{name}"], 16) for name in found} == found


def test_capabilities_that_the_session_does_not_have_are_left_out(entrance: Entrance) -> None:
    everything = (Tag.CAPABILITIES, struct.pack("<5Q", *[2**64 - 1] * 5))
    own = int(entrance.status()["CapBnd"], 16)
    status = entrance.status((Tag.UID, 1000), (Tag.GID, 1000), everything)
    assert {int(status[f"Cap{name}"], 16) for name in ("Bnd", "Eff", "Prm", "Inh", "Amb")} == {own}


@pytest.mark.parametrize(("fields", "found"), [([], "0"), ([(Tag.NO_NEW_PRIVILEGES, 1)], "1")], ids=["not", "set"])
def test_no_new_privileges_are_set_on_request(entrance: Entrance, fields: list[Field], found: str) -> None:
    assert entrance.status(*fields)["NoNewPrivs"] == found


def test_limits_are_set(entrance: Entrance) -> None:
    files, cores = (
        (Tag.RLIMIT, struct.pack("<IQQ", number, soft, hard))
        for number, soft, hard in ((resource.RLIMIT_NOFILE, 100, 200), (resource.RLIMIT_CORE, 0, 2**64 - 1))
    )
    assert entrance.shell("ulimit -Sn; ulimit -Hn", files).split() == ["100", "200"]
    assert entrance.shell("ulimit -Sc; ulimit -Hc", cores).split() == ["0", "unlimited"]


@pytest.mark.parametrize("limit", [(99, 1, 1), (resource.RLIMIT_NOFILE, 2, 1)], ids=["unknown", "soft above hard"])
def test_limit_that_cannot_be_set_is_an_error(entrance: Entrance, limit: tuple[int, int, int]) -> None:
    ran = entrance.run(["/bin/true"], (Tag.RLIMIT, struct.pack("<IQQ", *limit)))
    assert (ran.status, ran.stderr) == (HELPER_FAILED, b"nsenter_helper: setrlimit: Invalid argument\n")


@pytest.mark.parametrize(("fields", "found"), [([], "0022"), ([(Tag.UMASK, 0o27)], "0027"), ([(Tag.UMASK, 0)], "0000")])
def test_umask_is_set(entrance: Entrance, fields: list[Field], found: str) -> None:
    assert entrance.shell("umask", *fields).strip() == found


def test_oom_score_is_set(entrance: Entrance) -> None:
    assert entrance.shell("cat /proc/self/oom_score_adj", (Tag.OOM_SCORE, "777")) == "777\n"


def test_environment_directory_and_descriptors_are_exactly_those_given(entrance: Entrance) -> None:
    found = entrance.run(["/usr/bin/env"], (Tag.ENVIRONMENT, "A=1"), (Tag.ENVIRONMENT, "B="))
    assert found.stdout == b"A=1\nB=\n"
    assert entrance.shell("pwd", (Tag.DIRECTORY, "/usr/share")) == "/usr/share\n"
    assert entrance.shell("pwd") == "/\n"
    # The fourth is the directory that is listed.
    assert entrance.run(["/bin/ls", "/proc/self/fd"]).stdout.split() == [b"0", b"1", b"2", b"3"]


def test_signals_are_those_of_a_fresh_start(entrance: Entrance) -> None:
    status = entrance.status()
    assert {status[name] for name in ("SigBlk", "SigIgn")} == {"0" * 16}


# ---- seccomp ----


def instruction(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def refuse_call(number: int) -> Field:
    """Lets a call fail with errno 99 and everything else pass."""
    answers = instruction(0x06, 0, 0, 0x00050063) + instruction(0x06, 0, 0, 0x7FFF0000)
    return Tag.SECCOMP, instruction(0x20, 0, 0, 0) + instruction(0x15, 0, 1, number) + answers


@pytest.mark.skipif(platform.machine() not in UNAME, reason="the number of uname(2) is not known here")
@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("confined", [0, 1], ids=["with privileges", "no new privileges"])
def test_filter_is_installed(entrance: Entrance, uid: int, confined: int) -> None:
    fields = [(Tag.UID, uid), (Tag.GID, uid), (Tag.NO_NEW_PRIVILEGES, confined)]
    fields.append((Tag.CAPABILITIES, struct.pack("<5Q", *[0] * 5)))  # type: ignore[arg-type]
    ran = entrance.run(["/bin/uname"], *fields, refuse_call(UNAME[platform.machine()]))
    assert ran.status == 1
    assert os.strerror(99).encode() in ran.stderr
    status = entrance.status(*fields, refuse_call(UNAME[platform.machine()]))
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", str(confined))


@pytest.mark.parametrize(
    "program",
    [b"", b"\0" * 7, instruction(0x06, 0, 0, 0) + b"\0", instruction(0xFFFF, 0, 0, 0), instruction(0x20, 0, 0, 0)],
    ids=["empty", "less than an instruction", "byte too many", "unknown instruction", "no end"],
)
@pytest.mark.parametrize("confined", [0, 1], ids=["with privileges", "no new privileges"])
def test_filter_that_is_none_is_an_error(entrance: Entrance, program: bytes, confined: int) -> None:
    ran = entrance.run(["/bin/true"], (Tag.SECCOMP, program), (Tag.NO_NEW_PRIVILEGES, confined))
    assert (ran.status, ran.stderr) == (HELPER_FAILED, b"nsenter_helper: seccomp: Invalid argument\n")


# ---- the command and its status ----


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_status_is_the_commands(entrance: Entrance, script: str, status: int) -> None:
    ran = entrance.run(["/bin/sh", "-c", script])
    assert (ran.status, ran.stderr) == (status, b"")


@pytest.mark.parametrize(
    ("command", "status", "code"),
    [
        ("/nowhere/at/all", NOT_FOUND, errno.ENOENT),
        ("/bin/true/below", NOT_FOUND, errno.ENOTDIR),
        ("no-such-command", NOT_FOUND, errno.ENOENT),
        ("", NOT_FOUND, errno.ENOENT),
        ("/etc/passwd", CANNOT_EXECUTE, errno.EACCES),
        ("/etc", CANNOT_EXECUTE, errno.EACCES),
        ("x" * 5000, NOT_FOUND, errno.ENOENT),
        ("/" + "x" * 300, CANNOT_EXECUTE, errno.ENAMETOOLONG),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_command_that_cannot_be_executed_has_the_status_of_a_shell(
    entrance: Entrance, command: str, status: int, code: int
) -> None:
    ran = entrance.run([command], PATH)
    assert ran.status == status
    assert ran.stderr.startswith(b"nsenter_helper: exec")
    assert ran.stderr.endswith(os.strerror(code).encode() + b"\n")


def test_missing_directory_has_the_status_of_what_cannot_be_executed(entrance: Entrance) -> None:
    ran = entrance.run(["/bin/true"], (Tag.DIRECTORY, "/nowhere"))
    assert (ran.status, ran.stderr) == (
        CANNOT_EXECUTE,
        b"nsenter_helper: chdir: /nowhere: No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("{0}/first:{0}/second", 0, b"first\n"),
        ("{0}/missing:{0}/second", 0, b"second\n"),
        ("{0}/closed:{0}/second", 0, b"second\n"),
        ("{0}/closed:{0}/missing", CANNOT_EXECUTE, b""),
        ("{0}/file:{0}/second", 0, b"second\n"),
        (":{0}/missing", 0, b"second\n"),
        ("{0}/missing:", 0, b"second\n"),
        ("{0}/missing", NOT_FOUND, b""),
    ],
)
def test_command_is_looked_up_in_its_own_path(entrance: Entrance, path: str, status: int, said: bytes) -> None:
    directory = entrance.session.directory
    for name in ("first", "second", "closed"):
        (directory / name).mkdir()
        (directory / name / "command").write_text(f"#!/bin/sh\necho {name}\n")
        (directory / name / "command").chmod(0o644 if name == "closed" else 0o755)
    (directory / "file").touch()
    searched = (Tag.ENVIRONMENT, f"PATH={path.format(directory)}")
    ran = entrance.run(["command"], searched, (Tag.DIRECTORY, f"{directory}/second"))
    assert (ran.status, ran.stdout) == (status, said)


def test_command_is_looked_up_in_the_usual_places_without_a_path(entrance: Entrance) -> None:
    assert entrance.run(["true"]).status == 0


# ---- orders that make no sense ----


def as_orders(*fields: Field) -> bytes:
    return pack(Kind.ENTER, 1, list(fields))


COMMAND, SELF, STAY = (Tag.ARGUMENT, "/bin/true"), (Tag.PID, 1), (Tag.JOIN, 0)

WRONG_ORDERS = {
    "empty": (b"", "read: orders"),
    "noise": (random.Random(1).randbytes(100), "read: orders"),
    "a header alone": (as_orders(), "read: orders"),
    "cut": (as_orders(COMMAND, SELF, STAY)[:-1], "read: orders"),
    "a byte too many": (as_orders(COMMAND, SELF, STAY) + b"\0", "read: orders"),
    "most fields that can be said": (HEADER.pack(1, Kind.ENTER, 0xFFFFFFFF, 1), "read: orders"),
    "field that wraps around": (HEADER.pack(1, Kind.ENTER, 1, 1) + FIELD.pack(1, 0, 0xFFFFFFFF), "read: orders"),
    "another kind": (pack(Kind.SPAWN, 1, [COMMAND]), "read: orders"),
    "no command": (as_orders(SELF, STAY), "read: orders"),
    "no pid": (as_orders(COMMAND, STAY), "read: orders"),
    "no namespaces": (as_orders(COMMAND, SELF), "read: orders"),
    "pid twice": (as_orders(COMMAND, SELF, SELF, STAY), "read: orders"),
    "capabilities that are short": (as_orders(COMMAND, SELF, STAY, (Tag.CAPABILITIES, b"\0" * 39)), "read: orders"),
    "limit that is long": (as_orders(COMMAND, SELF, STAY, (Tag.RLIMIT, b"\0" * 21)), "read: orders"),
    "flags of spawn": (as_orders(COMMAND, SELF, STAY, (Tag.FLAGS, 0)), "read: orders"),
    "pid 0": (as_orders(COMMAND, (Tag.PID, 0), STAY), "pidfd_open: container"),
    "negative pid": (as_orders(COMMAND, (Tag.PID, 0xFFFFFFFF), STAY), "pidfd_open: container"),
    "nobody's pid": (as_orders(COMMAND, (Tag.PID, 0x7FFFFFFF), STAY), "pidfd_open: container"),
    "missing cgroup": (as_orders(COMMAND, SELF, STAY, (Tag.CGROUP, "/nowhere")), "open: /nowhere/cgroup.procs"),
    "long cgroup": (as_orders(COMMAND, SELF, STAY, (Tag.CGROUP, "/x" * 2048)), "open: /x/x"),
    "uid that is none": (as_orders(COMMAND, SELF, STAY, (Tag.UID, 0xFFFFFFFF)), "setresuid"),
    "gid that is none": (as_orders(COMMAND, SELF, STAY, (Tag.GID, 0xFFFFFFFF)), "setresgid"),
    "terminal that is none": (as_orders(COMMAND, SELF, STAY, (Tag.TERMINAL, 1)), "ioctl TIOCSCTTY"),
}


@pytest.mark.parametrize(("content", "why"), WRONG_ORDERS.values(), ids=WRONG_ORDERS)
def test_orders_that_make_no_sense_are_refused(entrance: Entrance, content: bytes, why: str) -> None:
    ran = entrance.run_orders(content)
    assert ran.status == HELPER_FAILED
    assert ran.stderr.decode().startswith(f"nsenter_helper: {why}")


def test_orders_have_to_be_a_file(entrance: Entrance) -> None:
    read, write = os.pipe()
    for fds in ({}, {3: read}):
        ran = entrance.session.connection.run(["x", "enter"], env=entrance.environment, flags=HELPER, fds=fds)
        assert ran.status == HELPER_FAILED
        assert b"orders" in ran.stderr
    os.close(read)
    os.close(write)


def test_orders_may_be_larger_than_a_message(entrance: Entrance) -> None:
    filling: list[Field] = [(Tag.ENVIRONMENT, f"V{number}=" + "x" * 60_000) for number in range(10)]
    assert len(entrance.run(["/usr/bin/env"], *filling).stdout) > 600_000


@pytest.mark.parametrize("seed", range(3))
def test_damaged_orders_are_refused_or_carried_out_and_nothing_else(entrance: Entrance, seed: int) -> None:
    chance = random.Random(seed)
    good = entrance.orders(
        ["/bin/true", "argument"],
        (Tag.ENVIRONMENT, "A=1"),
        (Tag.UID, 1000),
        (Tag.GID, 1000),
        (Tag.GROUP, 5),
        (Tag.CAPABILITIES, struct.pack("<5Q", *[KILL] * 5)),
        (Tag.NO_NEW_PRIVILEGES, 1),
        refuse_call(99999),
        (Tag.OOM_SCORE, "500"),
        (Tag.UMASK, 0o22),
    )
    statuses = set()
    for _ in range(40):
        damaged = bytearray(good)
        for _ in range(chance.choice((1, 1, 2))):
            damaged[chance.randrange(len(damaged))] ^= chance.randrange(1, 256)
        statuses.add(entrance.run_orders(bytes(damaged[: chance.choice((len(damaged),) * 3 + (50,))])).status)
    assert HELPER_FAILED in statuses
    # The filter's damage may also kill the command.
    assert statuses <= {0, HELPER_FAILED, CANNOT_EXECUTE, NOT_FOUND, 128 + signal.SIGSYS, 128 + signal.SIGSEGV}


# ---- while it runs ----


@pytest.mark.parametrize("uid", [0, 1000])
def test_command_dies_with_its_parent(container: Entrance, uid: int) -> None:
    read, write = os.pipe()
    parent = container.start("echo ready; exec sleep 1000", (Tag.UID, uid), (Tag.GID, uid), fds={1: write})
    os.close(write)
    assert os.read(read, 100) == b"ready\n"
    parent.kill(signal.SIGKILL)
    # The pipe is the command's alone.
    assert wait_readable(read)
    assert os.read(read, 1) == b""
    os.close(read)
    assert parent.wait() == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMAX])
def test_signals_go_on_to_the_command(entrance: Entrance, number: int) -> None:
    read, write = os.pipe()
    stdin, hold = os.pipe()
    script = f"trap 'exit 7' {int(number)}; echo ready; read _; exit 8"
    parent = entrance.start(script, fds={0: stdin, 1: write})
    os.close(write)
    os.close(stdin)
    assert os.read(read, 100) == b"ready\n"
    parent.kill(number)
    assert parent.wait() == 7
    os.close(read)
    os.close(hold)


def test_signal_that_kills_the_command_is_told(entrance: Entrance) -> None:
    read, write = os.pipe()
    parent = entrance.start("echo ready; exec sleep 1000", fds={1: write})
    os.close(write)
    assert os.read(read, 100) == b"ready\n"
    parent.kill(signal.SIGTERM)
    assert parent.wait() == 128 + signal.SIGTERM
    os.close(read)


def test_parent_does_not_hold_the_commands_pipes(entrance: Entrance) -> None:
    stdin_read, stdin_write = os.pipe()
    out_read, out_write = os.pipe()
    parent = entrance.start("cat; exec >&-; exec sleep 1000", fds={0: stdin_read, 1: out_write})
    os.close(stdin_read)
    os.close(out_write)
    os.write(stdin_write, b"said")
    os.close(stdin_write)
    assert drain([out_read]) == [b"said"]
    parent.kill()
    parent.wait()


def test_unprivileged_command_may_open_its_output_again(entrance: Entrance) -> None:
    fields: list[Field] = [(Tag.UID, 1000), (Tag.GID, 1000)]
    assert entrance.shell("echo out >/proc/self/fd/1", *fields) == "out\n"


def test_owner_of_a_passed_file_stays(entrance: Entrance) -> None:
    path = entrance.session.directory / "output"
    with path.open("wb") as output:
        before = os.fstat(output.fileno()).st_uid
        assert entrance.start("echo out", (Tag.UID, 1000), (Tag.GID, 1000), fds={1: output.fileno()}).wait() == 0
        assert os.fstat(output.fileno()).st_uid == before
    assert path.read_bytes() == b"out\n"


def test_terminal_becomes_the_controlling_one(entrance: Entrance) -> None:
    master, slave = os.openpty()
    script = "exec </dev/tty; stty -echo; echo ready; read line; echo got $line; exec sleep 1000"
    parent = entrance.start(script, (Tag.TERMINAL, 1), fds=dict.fromkeys((0, 1, 2), slave))
    os.close(slave)
    assert read_until(master, b"ready\r\n")
    os.write(master, b"words\n")
    assert read_until(master, b"got words\r\n")
    os.write(master, b"\x03")
    assert parent.wait() == 128 + signal.SIGINT
    os.close(master)


def test_terminal_does_not_become_the_controlling_one_unasked(entrance: Entrance) -> None:
    master, slave = os.openpty()
    parent = entrance.start("exec </dev/tty", fds=dict.fromkeys((0, 1, 2), slave))
    os.close(slave)
    assert parent.wait() == 2
    os.close(master)


def read_until(descriptor: int, end: bytes) -> bytes:
    said = b""
    while not said.endswith(end):
        assert wait_readable(descriptor), said
        said += os.read(descriptor, 1000)
    return said
