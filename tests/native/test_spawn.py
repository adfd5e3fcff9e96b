"""SPAWN and SIGNAL: what a process of the sandbox is, what it gets, and what its end says."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.native.conftest import Sessions
from tests.native.sandbox import HelperError, Session, drain, wait_readable
from tests.native.wire import Kind, Tag

Refused = Callable[..., HelperError]

HOST_NETWORK, PIDFD, HELPER, NEW_SESSION = 1, 2, 4, 8
NAMESPACES = ("mnt", "pid", "ipc", "net")
PLACES = pytest.mark.parametrize("flags", [0, HOST_NETWORK], ids=["in the session's network", "in the host's network"])


def namespaces(session: Session, flags: int) -> dict[str, str]:
    links = " ".join(f"/proc/self/ns/{name}" for name in (*NAMESPACES, "uts", "user"))
    lines = session.connection.shell(f"readlink {links}", flags=flags).split()
    return dict(line.split(":") for line in lines)


def own_namespaces() -> dict[str, str]:
    return dict(os.readlink(f"/proc/self/ns/{name}").split(":") for name in (*NAMESPACES, "uts", "user"))


def test_process_is_in_the_namespaces_of_the_session(session: Session) -> None:
    inside, outside = namespaces(session, 0), own_namespaces()
    assert {name for name in NAMESPACES if inside[name] == outside[name]} == set()
    assert inside["uts"] == outside["uts"]


def test_process_of_the_stem_differs_in_the_network_alone(session: Session) -> None:
    here, at_stem, outside = namespaces(session, 0), namespaces(session, HOST_NETWORK), own_namespaces()
    assert at_stem["net"] == outside["net"] != here["net"]
    assert {name: at_stem[name] for name in here if name != "net"} == {
        name: here[name] for name in here if name != "net"
    }


def test_sees_only_the_processes_of_the_session(session: Session) -> None:
    pids = session.connection.shell("cd /proc; echo [0-9]*").split()
    assert {"1", "2"} < set(pids)
    assert len(pids) <= 4
    assert session.connection.shell("cat /proc/1/comm /proc/2/comm").split() == ["pods-init", "pods-stem"]


@PLACES
def test_arguments_environment_and_directory_are_exactly_those_given(session: Session, flags: int) -> None:
    ran = session.connection.run(
        ["/bin/sh", "-c", 'printf "%s|" "$0" "$@" "$PWD"; /usr/bin/env', "name", "", "a b", "ü"],
        env=["A=1", "B=", "C=x=y"],
        flags=flags,
        more=[(Tag.DIRECTORY, "/usr/share")],
    )
    assert ran.stdout.decode().startswith("name||a b|ü|/usr/share|")
    assert {"A=1", "B=", "C=x=y", "PWD=/usr/share"} == set(ran.stdout.decode().rpartition("|")[2].split())


@PLACES
def test_only_passed_descriptors_are_inherited(session: Session, flags: int) -> None:
    read, write = os.pipe()
    spare, other = os.open("/dev/zero", os.O_RDONLY), os.open("/", os.O_RDONLY)
    # The targets cross: 5 gets what is smaller, 3 what is larger; both numbers are in use in init.
    process = session.connection.spawn(
        ["/bin/sh", "-c", "cd /proc/$$/fd; for f in *; do readlink $f && echo $f; done; true"],
        env=["PATH=/bin:/usr/bin"],
        fds={5: spare, 3: other, 1: write, 40: spare},
        flags=flags,
    )
    for descriptor in (write, spare, other):
        os.close(descriptor)
    (output,) = drain([read])
    assert process.wait() == 0
    words = output.decode().split()
    found = dict(zip(words[1::2], words[0::2], strict=True))
    assert found.pop("1").startswith("pipe:")
    assert found == {"0": "/dev/null", "2": "/dev/null", "3": "/", "5": "/dev/zero", "40": "/dev/zero"}


@PLACES
def test_signals_umask_and_limits_are_those_of_the_start(session: Session, flags: int) -> None:
    status = session.connection.shell("grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; umask; ulimit -n", flags=flags)
    lines = dict(line.split(":") for line in status.splitlines()[:3])
    assert int(lines["SigBlk"], 16) == 0
    assert int(lines["SigIgn"], 16) == 0
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert status.split()[-2:] == ["0022", str(soft)]


def test_init_itself_may_open_as_many_files_as_the_hard_limit_allows(session: Session) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert resource.prlimit(session.init, resource.RLIMIT_NOFILE) == (hard, hard)


@pytest.mark.parametrize(("flags", "leads"), [(0, False), (NEW_SESSION, True)], ids=["without", "with"])
def test_new_session_is_made_on_request(session: Session, flags: int, leads: bool) -> None:
    pid, session_id = session.connection.shell("echo $$; cut -d' ' -f6 /proc/$$/stat", flags=flags).split()
    assert (pid == session_id) == leads


def test_process_that_kills_its_group_does_not_reach_anybody_else(session: Session) -> None:
    ran = session.connection.run(["/bin/sh", "-c", "kill -KILL 0; sleep 9"])
    assert ran.status == -signal.SIGKILL
    assert session.connection.shell("echo here") == "here\n"


@PLACES
@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", -15), ("kill -KILL $$", -9)]
)
def test_exit_status_is_told(session: Session, flags: int, script: str, status: int) -> None:
    assert session.connection.run(["/bin/sh", "-c", script], flags=flags).status == status


@PLACES
def test_pidfd_comes_with_the_answer_on_request(session: Session, flags: int) -> None:
    read, write = os.pipe()
    process = session.connection.spawn(["/bin/cat"], fds={0: read}, flags=flags | PIDFD)
    os.close(read)
    assert process.pidfd is not None
    assert not wait_readable(process.pidfd, 0)
    os.close(write)
    assert wait_readable(process.pidfd)
    os.close(process.pidfd)
    assert process.wait() == 0


@PLACES
@pytest.mark.parametrize(
    ("argv", "more", "code", "call"),
    [
        (["/nowhere/at/all"], [], errno.ENOENT, "execve"),
        (["/etc/passwd"], [], errno.EACCES, "execve"),
        (["true"], [], errno.EINVAL, "execve"),
        (["/bin/true"], [(Tag.DIRECTORY, "/nowhere")], errno.ENOENT, "chdir"),
        (["/bin/true"], [(Tag.CGROUP, "/nowhere")], errno.ENOENT, "open"),
        (["/bin/true"], [(Tag.CGROUP, "/tmp")], errno.ENOENT, "write cgroup.procs"),
        (["/bin/true"], [(Tag.NAMESPACE, "/nowhere")], errno.ENOENT, "open"),
        (["/bin/true"], [(Tag.NAMESPACE, "/etc/passwd")], errno.EINVAL, "setns"),
        (["/bin/true"], [(Tag.FLAGS, 64)], errno.EINVAL, "spawn"),
    ],
)
def test_what_cannot_be_executed_is_an_error_that_names_the_step(
    session: Session,
    refused: Refused,
    flags: int,
    argv: list[str],
    more: list[tuple[int, str | int]],
    code: int,
    call: str,
) -> None:
    has_flags = any(tag == Tag.FLAGS for tag, _ in more)
    error = refused(session.connection.spawn, argv, flags=0 if has_flags else flags, more=more)
    assert (error.errno, error.call) == (code, call)
    before = session.descriptors()
    refused(session.connection.spawn, argv, flags=0 if has_flags else flags, more=more)
    assert session.descriptors() == before


def test_namespaces_are_joined_in_order(session: Session) -> None:
    session.connection.ask(
        Kind.PIN,
        [(Tag.TARGET, str(session.directory)), (Tag.NAMESPACES, 0x44000000), (Tag.HOSTNAME, "pinned")],
    )
    joined = [(Tag.NAMESPACE, str(session.directory / "uts")), (Tag.NAMESPACE, str(session.directory / "net"))]
    name, netns = session.connection.shell("hostname; readlink /proc/self/ns/net", more=joined).split()
    assert name == "pinned"
    assert netns != namespaces(session, 0)["net"]


@pytest.mark.root
def test_process_is_in_its_cgroup_from_the_first_instruction(session: Session, cgroups: list[Path]) -> None:
    joined = [(Tag.CGROUP, str(path)) for path in cgroups]
    found = session.connection.shell("cat /proc/self/cgroup", more=joined)
    assert sum(f"/{cgroups[0].name}" in line for line in found.splitlines()) == len(cgroups)


@PLACES
def test_own_copy_is_sealed_and_not_the_file_on_disk(session: Session, flags: int) -> None:
    process = session.connection.spawn(["anything", "pause"], flags=HELPER | flags)
    executable = session.path(f"/proc/{process.pid}/exe")
    assert os.readlink(executable).startswith("/memfd:nsenter_helper")
    with pytest.raises(OSError, match=r"Text file busy|Operation not permitted|Permission denied"):
        os.open(executable, os.O_WRONLY)
    assert session.path(f"/proc/{process.pid}/cmdline").read_bytes() == b"anything\0pause\0"
    process.kill()
    assert process.wait() == -signal.SIGKILL
    with pytest.raises(FileNotFoundError):
        os.stat(executable)


def test_own_copy_cannot_be_changed_by_whoever_runs_it(session: Session) -> None:
    # A process that executes the copy may open it for writing as soon as nobody executes it: the seal is what holds.
    process = session.connection.spawn(["anything", "pause"], flags=HELPER | PIDFD)
    reader = os.open(session.path(f"/proc/{process.pid}/exe"), os.O_RDONLY)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert process.pidfd is not None
    os.close(process.pidfd)
    with pytest.raises(OSError, match=r"Operation not permitted|Permission denied|Text file busy"):
        os.write(os.open(f"/proc/self/fd/{reader}", os.O_RDWR), b"#!")
    os.close(reader)


@pytest.mark.parametrize("pid", [0, 1, 0xFFFFFFFF, 0x80000001])
def test_signal_refuses_init_and_groups(session: Session, refused: Refused, pid: int) -> None:
    error = refused(session.connection.ask, Kind.SIGNAL, [(Tag.PID, pid), (Tag.SIGNAL, 9)])
    assert error.errno == errno.EINVAL
    assert session.connection.shell("echo here") == "here\n"


def test_signal_zero_asks_and_a_missing_process_is_esrch(session: Session, refused: Refused) -> None:
    process = session.connection.spawn(["/bin/sleep", "1000"])
    process.kill(0)
    process.kill(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert refused(process.kill, 0).errno == errno.ESRCH


def test_orphans_are_reaped(session: Session) -> None:
    read, write = os.pipe()
    process = session.connection.spawn(
        ["/bin/sh", "-c", "(exec /bin/sleep 1000) & echo $!"], env=["PATH=/bin"], fds={1: write}
    )
    os.close(write)
    assert process.wait() == 0
    orphan = int(os.read(read, 32))
    os.close(read)
    pidfd = session.connection.ask(Kind.OPEN, [(Tag.PID, orphan)]).descriptors[0]
    session.connection.ask(Kind.SIGNAL, [(Tag.PID, orphan), (Tag.SIGNAL, 9)])
    assert wait_readable(pidfd)
    os.close(pidfd)
    # init has reaped it before it serves the next request that comes after.
    session.connection.shell("true")
    with pytest.raises(HelperError, match="No such process"):
        session.connection.ask(Kind.SIGNAL, [(Tag.PID, orphan), (Tag.SIGNAL, 0)])


def test_processes_leave_no_descriptor_behind(session: Session) -> None:
    before = session.descriptors()
    for _ in range(20):
        assert session.connection.run(["/bin/true"]).status == 0
    assert session.descriptors() == before


def test_large_message_up_to_the_limit_is_served(session: Session) -> None:
    content = "x" * (131_072 - 16 - 4 * 8 - len("/bin/sh-c-printf %s ${#0}") - 16)
    ran = session.connection.run(["/bin/sh", "-c", "printf %s ${#0}", content[:100_000]])
    assert ran.stdout == b"100000"


def test_cloned_helper_has_no_set_user_id(start: Sessions) -> None:
    assert not start.helper.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)
