"""The life of a session: who may end it, who must not, and that nothing is left of it then."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.native.accounts import Account, ordinary_user, user_with_one_id
from tests.native.conftest import Sessions
from tests.native.sandbox import HelperError, SandboxGoneError, Session, processes_of, wait_readable, wait_until
from tests.native.traffic import children_of
from tests.native.wire import Content, Kind, Tag, pack
from tests.support.rootless import build_argv_as_user, environment_of_user

Refused = Callable[..., HelperError]

HOST_NETWORK, PIDFD = 1, 2
LEVELS = pytest.mark.parametrize("level", [1, 2], ids=["level 1", "level 2"])
ACCOUNTS = pytest.mark.parametrize(
    "who", [ordinary_user, user_with_one_id], ids=["with subordinate ids", "with a single id"]
)


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[bytes]]:
    """A process that can play the owner, and be killed."""
    with subprocess.Popen(["/bin/sleep", "1000"]) as process:
        yield process
        process.kill()


@contextmanager
def pidfd_of(process: subprocess.Popen[bytes]) -> Iterator[int]:
    pidfd = os.pidfd_open(process.pid)
    yield pidfd
    os.close(pidfd)


def spawn_family(session: Session, *fields: tuple[int, Content]) -> list[int]:
    """Pidfds of a process in each network and of a daemon of each, which has a process session of its own."""
    pidfds = []
    for flags in (0, HOST_NETWORK):
        read, write = os.pipe()
        script = "trap '' TERM HUP; setsid /bin/sleep 1000 & echo $!; exec /bin/sleep 1000"
        process = session.connection.spawn(
            ["/bin/sh", "-c", script], env=["PATH=/bin:/usr/bin"], fds={1: write}, flags=flags, more=list(fields)
        )
        os.close(write)
        assert wait_readable(read)
        for pid in (process.pid, int(os.read(read, 32))):
            pidfds += session.connection.ask(Kind.OPEN, [(Tag.PID, pid)]).descriptors
        os.close(read)
    return pidfds


def check_ended(pidfds: list[int]) -> None:
    for pidfd in pidfds:
        assert wait_readable(pidfd)
        os.close(pidfd)


def kill_janitor(session: Session) -> None:
    os.kill(session.janitor.pid, signal.SIGKILL)


def kill_init(session: Session) -> None:
    os.kill(session.init, signal.SIGKILL)


def kill_both(session: Session) -> None:
    # Neither may see the end of the other before its own.
    for pid in (session.janitor.pid, session.init):
        os.kill(pid, signal.SIGSTOP)
    kill_init(session)
    kill_janitor(session)


def hang_up(session: Session) -> None:
    session.connection.close()


def shut_down(session: Session) -> None:
    session.connection.ask(Kind.SHUTDOWN, [])


def listen(session: Session, lease_s: int = 0) -> Path:
    path = session.directory / "socket"
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, lease_s), (Tag.PATH, str(path))])
    return path


ENDS = {
    "init is killed": kill_init,
    "the owner hangs up": hang_up,
    "it is told to": shut_down,
}
"""Ends that the janitor survives."""


@LEVELS
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_processes_and_directory_go_when(start: Sessions, level: int, end: Callable[[Session], None]) -> None:
    session = start(level=level)
    family = spawn_family(session)
    end(session)
    check_ended(family)
    session.wait()
    assert session.janitor.returncode == 0
    assert not session.directory.exists()


@LEVELS
def test_processes_go_when_the_janitor_is_killed(start: Sessions, level: int) -> None:
    session = start(level=level)
    family = spawn_family(session)
    kill_janitor(session)
    check_ended(family)
    session.wait()
    with pytest.raises(SandboxGoneError):
        session.connection.receive()
    # Nobody is left to do it; the next session that finds a lock that it can take does.
    assert session.directory.exists()


def test_processes_go_when_janitor_and_init_are_killed_at_the_same_time(start: Sessions) -> None:
    session = start()
    family = spawn_family(session)
    kill_both(session)
    check_ended(family)
    session.wait()


@LEVELS
def test_session_ends_with_its_owner_even_if_somebody_else_holds_the_connection(
    start: Sessions, level: int, owner: subprocess.Popen[bytes]
) -> None:
    with pidfd_of(owner) as pidfd:
        session = start(level=level, owner=pidfd)
    family = spawn_family(session)
    owner.kill()
    check_ended(family)
    session.wait()
    assert not session.directory.exists()


@LEVELS
def test_owner_hears_that_init_was_killed(start: Sessions, level: int) -> None:
    session = start(level=level)
    kill_init(session)
    with pytest.raises(SandboxGoneError):
        session.connection.receive()


@pytest.mark.root
@LEVELS
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_cgroups_go_with_what_is_in_them_when(
    start: Sessions, level: int, cgroups: list[Path], end: Callable[[Session], None]
) -> None:
    session = start(level=level, cgroups=cgroups)
    inner = [path / "pod" / "container" for path in cgroups]
    for path in inner:
        path.mkdir(parents=True)
    family = spawn_family(session, *((Tag.CGROUP, str(path)) for path in inner))
    end(session)
    check_ended(family)
    session.wait()
    assert [path for path in cgroups if path.exists()] == []


@pytest.mark.root
@LEVELS
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_frozen_processes_do_not_hold_up_the_end_when(
    start: Sessions, level: int, cgroups: list[Path], end: Callable[[Session], None]
) -> None:
    session = start(level=level, cgroups=cgroups)
    family = spawn_family(session, *((Tag.CGROUP, str(path)) for path in cgroups))
    freezers = [path for path in cgroups if (path / "freezer.state").exists()]
    for path in freezers:
        (path / "freezer.state").write_text("FROZEN")
        wait_until(lambda path=path: (path / "freezer.state").read_text() == "FROZEN\n", "it is frozen")  # type: ignore[misc]
    if not freezers:
        (cgroups[0] / "cgroup.freeze").write_text("1")
        wait_until(lambda: "frozen 1" in (cgroups[0] / "cgroup.events").read_text(), "it is frozen")
    end(session)
    check_ended(family)
    session.wait()
    assert [path for path in cgroups if path.exists()] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE])
def test_janitor_is_not_reached_by_the_signals_of_a_terminal(session: Session, number: signal.Signals) -> None:
    assert os.getsid(session.janitor.pid) == session.janitor.pid
    os.kill(session.janitor.pid, number)
    assert session.connection.run(["/bin/true"]).status == 0
    status = Path(f"/proc/{session.janitor.pid}/status").read_text()
    ignored = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn"))
    assert ignored >> (number - 1) & 1


def test_descriptors_of_the_owner_are_not_inherited(start: Sessions) -> None:
    canary = start.place / "canary"
    canary.touch()
    session = start(Account(os.geteuid(), os.getegid(), ("/bin/sh", "-c", f'exec 9<{canary}; exec "$@"', "sh")))
    for pid in (session.janitor.pid, session.init):
        opened = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        assert str(canary) not in opened


def find_stem(session: Session) -> int:
    # It has its name a moment after init is ready.
    wait_until(lambda: children_of(session.init) == ["pods-stem"], "the stem has its name")
    (stem,) = set(processes_of(session.helper)) - {session.init, session.janitor.pid}
    return stem


@pytest.mark.parametrize("more", [0, 3])
def test_spawns_of_a_dead_stem_are_errors_and_the_rest_is_served(session: Session, refused: Refused, more: int) -> None:
    stem = find_stem(session)
    os.kill(stem, signal.SIGSTOP)
    fields, _ = session.connection.spawn_message(["/bin/true"], flags=HOST_NETWORK)
    waiting = [session.connection.send(Kind.SPAWN, fields) for _ in range(more)]
    assert session.connection.run(["/bin/true"]).status == 0
    os.kill(stem, signal.SIGKILL)
    for message_id in waiting:
        assert refused(session.connection.answer, message_id).errno == errno.EPIPE
    wait_until(lambda: children_of(session.init) == [], "the stem is gone")
    assert refused(session.connection.spawn, ["/bin/true"], flags=HOST_NETWORK).errno == errno.EPIPE
    assert session.connection.run(["/bin/true"]).status == 0


def test_directory_that_was_replaced_by_a_link_is_left_where_it_leads(start: Sessions) -> None:
    replaced, elsewhere = start.place / "replaced", start.place / "elsewhere"
    for path in (replaced, elsewhere):
        path.mkdir()
        (path / "canary").touch()
    session = start(more=("--directory", str(replaced)))
    replaced.rename(start.place / "moved")
    replaced.symlink_to(elsewhere)
    session.end()
    assert (elsewhere / "canary").exists()
    assert (start.place / "moved" / "canary").exists()
    assert not replaced.is_symlink()
    assert not session.directory.exists()


def test_directories_are_removed_where_they_were_when_the_session_began(start: Sessions) -> None:
    parent, doomed = start.place / "parent", start.place / "parent" / "doomed"
    doomed.mkdir(parents=True)
    session = start(more=("--directory", str(doomed)))
    parent.rename(start.place / "moved")
    doomed.mkdir(parents=True)
    (doomed / "canary").touch()
    session.end()
    assert not (start.place / "moved" / "doomed").exists()
    assert (doomed / "canary").exists()


# ---- level 2 ----


def test_level_2_shares_the_processes_of_the_host_and_nothing_else(start: Sessions) -> None:
    session = start(level=2)
    spaces = session.connection.shell("for n in pid mnt ipc net; do readlink /proc/self/ns/$n; done").split()
    own = [os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "mnt", "ipc", "net")]
    assert [one == other for one, other in zip(spaces, own, strict=True)] == [True, False, False, False]


def test_init_of_level_2_is_not_signalled_for_a_client(start: Sessions, refused: Refused) -> None:
    session = start(level=2)
    error = refused(session.connection.ask, Kind.SIGNAL, [(Tag.PID, session.init), (Tag.SIGNAL, 9)])
    assert error.errno == errno.EINVAL


def test_orphans_of_level_2_are_taken_up_and_reaped_by_init(start: Sessions) -> None:
    session = start(level=2)
    assert session.connection.spawn(["/bin/sh", "-c", "/bin/sleep 1000 &"]).wait() == 0
    wait_until(lambda: sorted(children_of(session.init)) == ["pods-stem", "sleep"], "the orphan is init's child")
    assert session.connection.spawn(["/bin/sh", "-c", "/bin/true &"]).wait() == 0
    wait_until(lambda: sorted(children_of(session.init)) == ["pods-stem", "sleep"], "the second one is reaped")


# ---- user namespaces ----


@pytest.mark.rootless
@ACCOUNTS
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_session_of_an_ordinary_user_leaves_nothing_when(
    start: Sessions, who: Callable[[], Account], end: Callable[[Session], None]
) -> None:
    session = start(who())
    family = spawn_family(session)
    session.connection.shell(f"mkdir {session.directory}/closed; touch {session.directory}/closed/file")
    session.connection.shell(f"chmod 0 {session.directory}/closed")
    end(session)
    check_ended(family)
    session.wait()
    assert not session.directory.exists()


@pytest.mark.rootless
@ACCOUNTS
def test_processes_of_an_ordinary_users_session_go_with_its_janitor(
    start: Sessions, who: Callable[[], Account]
) -> None:
    session = start(who())
    family = spawn_family(session)
    kill_janitor(session)
    check_ended(family)
    session.wait()


@pytest.mark.rootless
def test_subordinate_ids_are_mapped_and_their_files_are_removed(start: Sessions) -> None:
    account = ordinary_user()
    session = start(account)
    first, second = session.connection.shell("cat /proc/self/uid_map").splitlines()
    assert first.split() == ["0", str(account.uid), "1"]
    assert (second.split()[0], second.split()[2]) == ("1", "65536")
    place = session.directory / "of-another-id"
    session.connection.shell(f"mkdir -p {place}/deep; touch {place}/deep/file; chown -R 1000:1000 {place}; id")
    assert place.stat().st_uid == int(second.split()[1]) + 999
    session.end()
    assert not session.directory.exists()


@pytest.mark.rootless
def test_single_id_is_root_inside_and_groups_cannot_be_changed(start: Sessions) -> None:
    session = start(user_with_one_id())
    assert len(session.connection.shell("cat /proc/self/uid_map").splitlines()) == 1
    assert session.connection.shell("id -u; id -g; cat /proc/self/setgroups").split() == ["0", "0", "deny"]


@pytest.mark.rootless
@pytest.mark.parametrize(
    ("arguments", "call", "message"),
    [
        ((), "clone", ""),
        (("--user", "--uid-map", "0:0:1", "--gid-map", "0:0:1"), "write", ""),
        (("--newuidmap", "/nowhere"), "map", "No such file or directory"),
        (("--newgidmap", "/bin/false"), "map", ""),
        (("--uid-map", "70000:0:1"), "map", "newuidmap"),
    ],
    ids=["no user namespace", "somebody else's id", "no program", "program that fails", "program that refuses"],
)
def test_namespaces_that_cannot_be_had_are_an_error_and_nothing_is_left(
    start: Sessions, refused: Refused, arguments: tuple[str, ...], call: str, message: str
) -> None:
    account = ordinary_user()
    # Later arguments replace earlier ones or are added to them, as the rows need it.
    kept = account.arguments if call == "map" else ()
    error = refused(start, Account(account.uid, account.gid, account.prefix, (*kept, *arguments)))
    assert error.errno == errno.EPERM
    assert error.call == call
    assert message in error.message
    assert not (start.place / "session-0").exists()


# ---- keeping a session ----


def seconds_left(session: Session) -> int:
    """What the lease's timer says; 0 if it is not set."""
    for entry in Path(f"/proc/{session.init}/fdinfo").iterdir():
        for line in entry.read_text().splitlines():
            if line.startswith("it_value:"):
                return int(line.split("(")[1].split(",")[0])
    raise LookupError("there is no timer")


def test_kept_session_outlives_the_connection_of_its_owner(session: Session) -> None:
    path = listen(session)
    hang_up(session)
    other = session.connect(path)
    assert other.shell("echo here") == "here\n"
    other.ask(Kind.SHUTDOWN, [])
    with pytest.raises(SandboxGoneError):
        other.receive()
    session.wait()
    assert not session.directory.exists()


def test_kept_session_outlives_its_owner(start: Sessions, owner: subprocess.Popen[bytes]) -> None:
    with pidfd_of(owner) as pidfd:
        session = start(owner=pidfd)
    listen(session)
    owner.kill()
    owner.wait()
    assert session.connection.shell("echo here") == "here\n"
    shut_down(session)


def test_owner_that_goes_at_once_after_its_request_has_kept_the_session(start: Sessions) -> None:
    for _ in range(10):
        session = start()
        path = session.directory / "socket"
        session.connection.send(Kind.KEEP, [(Tag.LEASE, 0), (Tag.PATH, str(path))])
        hang_up(session)
        wait_until(path.exists, "it listens")
        wait_until(lambda session=session, path=path: connects(session, path), "it accepts")  # type: ignore[misc]
        session.others[-1].ask(Kind.SHUTDOWN, [])
        session.wait()


def connects(session: Session, path: Path) -> bool:
    try:
        session.connect(path)
    except ConnectionRefusedError:
        # Between bind() and listen().
        return False
    return True


def test_lease_ends_the_session(session: Session) -> None:
    family = spawn_family(session)
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, 1)])
    hang_up(session)
    check_ended(family)
    session.wait()
    assert not session.directory.exists()


def test_new_lease_replaces_the_old_one(session: Session) -> None:
    for seconds in (1000, 5000, 100, 0, 70):
        session.connection.ask(Kind.KEEP, [(Tag.LEASE, seconds)])
        assert max(0, seconds - 60) <= seconds_left(session) <= seconds
    shut_down(session)


def test_session_that_others_join_still_ends_with_its_owner(session: Session) -> None:
    path = session.directory / "socket"
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, 0), (Tag.FLAGS, 1), (Tag.PATH, str(path))])
    other = session.connect(path)
    assert other.shell("echo here") == "here\n"
    other.close()
    family = spawn_family(session)
    hang_up(session)
    check_ended(family)
    session.wait()


@pytest.mark.parametrize(("flags", "lease_s"), [(1, 5), (3, 0), (4, 0)])
def test_what_contradicts_itself_is_refused_and_keeps_nothing(
    session: Session, refused: Refused, flags: int, lease_s: int
) -> None:
    error = refused(session.connection.ask, Kind.KEEP, [(Tag.LEASE, lease_s), (Tag.FLAGS, flags)])
    assert error.errno == errno.EINVAL
    hang_up(session)
    session.wait()


def test_lease_does_not_run_while_somebody_holds_it(session: Session) -> None:
    path = listen(session, 1000)
    holders = [session.connect(path) for _ in range(2)]
    for holder in holders:
        holder.ask(Kind.KEEP, [(Tag.LEASE, 500), (Tag.FLAGS, 2)])
        holder.ask(Kind.KEEP, [(Tag.LEASE, 70), (Tag.FLAGS, 2)])
        assert seconds_left(session) == 0
    # One who says nothing of it does not hold it.
    session.connect(path).close()
    holders[0].close()
    session.settle()
    assert seconds_left(session) == 0
    holders[1].close()
    wait_until(lambda: seconds_left(session) > 0, "the lease begins")
    assert 10 <= seconds_left(session) <= 70
    shut_down(session)


def test_lease_that_begins_when_its_holder_is_gone_ends_the_session(session: Session) -> None:
    family = spawn_family(session)
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, 1), (Tag.FLAGS, 2)])
    hang_up(session)
    check_ended(family)
    session.wait()


def test_longest_lease_that_can_be_said_is_taken(session: Session) -> None:
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, 2**64 - 1)])
    assert seconds_left(session) > 10**9
    shut_down(session)


def test_kept_session_moves_to_another_path(session: Session) -> None:
    old, new = listen(session), session.directory / "other"
    client = session.connect(old)
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, 0), (Tag.PATH, str(new))])
    assert not old.exists()
    assert session.connect(new).shell("echo here") == "here\n"
    assert client.shell("echo here") == "here\n"
    shut_down(session)


def test_kept_session_stays_at_its_path_if_only_the_lease_is_new(session: Session) -> None:
    before = os.stat(listen(session)).st_ino
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, 1000), (Tag.PATH, str(session.directory / "socket"))])
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, 1000)])
    assert os.stat(session.directory / "socket").st_ino == before
    assert session.connect(session.directory / "socket").shell("echo here") == "here\n"
    shut_down(session)


def test_path_may_be_longer_than_the_name_of_a_socket(session: Session) -> None:
    directory = session.directory / ("x" * 200)
    directory.mkdir()
    session.connection.ask(Kind.KEEP, [(Tag.LEASE, 0), (Tag.PATH, str(directory / "socket"))])
    assert session.connect(directory / "socket").shell("echo here") == "here\n"
    shut_down(session)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("taken", errno.EADDRINUSE),
        ("missing/socket", errno.ENOENT),
        ("directory/", errno.EINVAL),
        ("x" * 108, errno.ENAMETOOLONG),
    ],
)
def test_session_that_cannot_listen_is_not_kept(session: Session, refused: Refused, path: str, code: int) -> None:
    (session.directory / "taken").touch()
    (session.directory / "directory").mkdir()
    before = session.descriptors()
    error = refused(session.connection.ask, Kind.KEEP, [(Tag.LEASE, 1000), (Tag.PATH, f"{session.directory}/{path}")])
    assert error.errno == code
    assert session.descriptors() == before
    hang_up(session)
    session.wait()


@pytest.mark.parametrize("end", [kill_janitor, kill_init], ids=["its janitor", "init"])
def test_kept_session_ends_with(session: Session, end: Callable[[Session], None]) -> None:
    listen(session)
    family = spawn_family(session)
    end(session)
    check_ended(family)
    session.wait()


CONNECT = """
import socket, sys
made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
made.settimeout(30)
made.connect(sys.argv[1])
try:
    made.send(bytes.fromhex(sys.argv[2]))
    print(made.recv(1000).hex())
except OSError:
    print("closed")
"""


def ask_as_user(path: Path, packet: bytes) -> bytes | None:
    """What an ordinary user's process is answered; None if it is not."""
    argv = build_argv_as_user([sys.executable, "-c", CONNECT, str(path), packet.hex()])
    ran = subprocess.run(argv, env=environment_of_user(), capture_output=True, text=True, check=True)
    answer = ran.stdout.strip()
    return None if answer in ("", "closed") else bytes.fromhex(answer)


@pytest.mark.root
def test_other_users_cannot_connect_and_are_not_answered_where_they_can(session: Session) -> None:
    path = listen(session)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o777)
    session.directory.chmod(0o711)
    before = session.descriptors()
    assert ask_as_user(path, pack(Kind.SHUTDOWN, 1, [])) is None
    assert session.descriptors() == before
    assert session.connect(path).shell("echo here") == "here\n"
    shut_down(session)


@pytest.mark.root
def test_session_of_an_ordinary_user_answers_that_user_alone(start: Sessions) -> None:
    session = start(ordinary_user())
    path = listen(session)
    # Root of the host is nobody in the session's user namespace.
    with pytest.raises((SandboxGoneError, BrokenPipeError)):
        session.connect(path).ask(Kind.SHUTDOWN, [])
    assert ask_as_user(path, pack(Kind.SHUTDOWN, 7, [])) == pack(Kind.OK, 7, [])
    session.wait()


# ---- the janitor's arguments ----


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "--control is missing"),
        (["--control"], "unknown argument"),
        (["--control", "x"], "not an open descriptor"),
        (["--control", ""], "not an open descriptor"),
        (["--control", "2"], "not an open descriptor"),
        (["--control", "-1"], "not an open descriptor"),
        (["--control", "1000"], "not an open descriptor"),
        (["--control", "99999999999999999999"], "not an open descriptor"),
        (["--control", "CONTROL", "--lock", "1000"], "not an open descriptor"),
        (["--control", "CONTROL", "--owner", "1000"], "not an open descriptor"),
        (["--control", "CONTROL", "--level", "3"], "--level is 1 or 2"),
        (["--control", "CONTROL", "--level", ""], "--level is 1 or 2"),
        (["--control", "CONTROL", "--nonsense"], "unknown argument"),
        (["--control", "CONTROL", "nonsense"], "unknown argument"),
        (["--control", "CONTROL", "--user"], "--user needs"),
        (["--control", "CONTROL", "--user", "--uid-map", "0:0:1"], "--user needs"),
        (["--control", "CONTROL", "--user", "--gid-map", "0:0:1", "--uid-map", "0:0"], "--user needs"),
        (["--control", "CONTROL", "--user", "--gid-map", "0:0:1", "--uid-map", "0:0:1:1"], "--user needs"),
        (["--control", "CONTROL", "--user", "--gid-map", "0:0:1", "--uid-map", "0:0:4294967296"], "--user needs"),
        (["--control", "CONTROL", "--user", "--gid-map", "0:0:1", "--uid-map", "0:-1:1"], "--user needs"),
        (["--control", "CONTROL", *["--directory", "/nowhere"] * 65], "too many"),
    ],
    ids=lambda value: " ".join(value[:8]) or "nothing" if isinstance(value, list) else "",
)
def test_janitor_refuses_arguments(helper: Path, arguments: list[str], why: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        filled = [str(theirs.fileno()) if one == "CONTROL" else one for one in arguments]
        ran = subprocess.run(
            [helper, "janitor", *filled], pass_fds=[theirs.fileno()], capture_output=True, text=True, env={}
        )
        theirs.close()
        assert ran.returncode == 125
        assert why in ran.stderr.splitlines()[-1]
        assert ours.recv(1) == b""
    assert processes_of(helper) == []


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["Janitor"]], ids=["none", "unknown", "capital"])
def test_program_without_a_known_face_says_which_there_are(helper: Path, arguments: list[str]) -> None:
    ran = subprocess.run([helper, *arguments], capture_output=True, text=True, env={})
    assert (ran.returncode, ran.stdout) == (125, "")
    assert "usage: nsenter_helper janitor|enter|remove|pause|version" in ran.stderr


def test_version_names_protocol_and_build(helper: Path) -> None:
    ran = subprocess.run([helper, "version"], capture_output=True, text=True, env={}, check=True)
    assert ran.stdout.splitlines()[0] == "protocol 1"
    assert ran.stdout.splitlines()[1].startswith("version ")
