"""OPEN and SOCKET: descriptors of what only the sandbox can reach."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.native.sandbox import HelperError, Session, wait_readable
from tests.native.wire import Content, Kind, Tag

Refused = Callable[..., HelperError]


def open_inside(session: Session, path: str | Path, flags: int, *fields: tuple[int, Content]) -> int:
    answer = session.connection.ask(Kind.OPEN, [(Tag.PATH, str(path)), (Tag.OPEN_FLAGS, flags), *fields])
    (descriptor,) = answer.descriptors
    return descriptor


def socket_inside(session: Session, domain: int, kind: int, *fields: tuple[int, Content]) -> socket.socket:
    answer = session.connection.ask(Kind.SOCKET, [(Tag.DOMAIN, domain), (Tag.TYPE, kind), *fields])
    return socket.socket(fileno=answer.descriptors[0])


def test_opens_what_only_the_sandbox_has_mounted(session: Session) -> None:
    target = session.directory / "mount"
    target.mkdir()
    session.connection.ask(Kind.MOUNT, [(Tag.FLAGS, 1), (Tag.FILESYSTEM, "tmpfs"), (Tag.TARGET, str(target))])
    created = open_inside(session, target / "new", os.O_RDWR | os.O_CREAT | os.O_EXCL, (Tag.MODE, 0o666))
    os.write(created, b"content")
    assert stat.S_IMODE(os.fstat(created).st_mode) == 0o666
    os.close(created)
    read = open_inside(session, target / "new", os.O_RDONLY)
    assert os.read(read, 100) == b"content"
    assert not fcntl.fcntl(read, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(read)
    assert list(target.iterdir()) == []


def test_error_of_open_names_the_path(session: Session, refused: Refused) -> None:
    error = refused(open_inside, session, "/nowhere/at/all", os.O_RDONLY)
    assert (error.errno, error.call, error.subject) == (errno.ENOENT, "openat2", "/nowhere/at/all")


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(Tag.PATH, "/")],
        [(Tag.OPEN_FLAGS, 0)],
        [(Tag.PID, 1), (Tag.PATH, "/"), (Tag.OPEN_FLAGS, 0)],
        [(Tag.PID, 1), (Tag.MODE, 0)],
        [(Tag.ROOT, "/"), (Tag.OPEN_FLAGS, 0)],
        [(Tag.PID, 1), (Tag.NETWORK_NAMESPACE, "/proc/self/ns/net")],
    ],
    ids=["nothing", "no flags", "no path", "pid and path", "pid and mode", "root and no path", "pid and network"],
)
def test_open_of_half_a_request_is_refused(
    session: Session, refused: Refused, fields: list[tuple[int, Content]]
) -> None:
    assert refused(session.connection.ask, Kind.OPEN, fields).errno == errno.EBADMSG


@pytest.mark.parametrize(
    "path",
    ["../../canary", "/../canary", "absolute", "relative", "through/canary", "/proc-link/root"],
)
def test_open_below_a_root_never_leaves_it(session: Session, refused: Refused, path: str) -> None:
    root = session.directory / "root"
    root.mkdir()
    (session.directory / "canary").write_text("outside")
    (root / "absolute").symlink_to(session.directory / "canary")
    (root / "relative").symlink_to("../canary")
    (root / "through").symlink_to("..")
    (root / "proc-link").symlink_to("/proc/self")
    error = refused(open_inside, session, path, os.O_RDONLY, (Tag.ROOT, str(root)))
    assert error.errno == errno.ENOENT


def test_open_below_a_root_resolves_its_links_inside(session: Session) -> None:
    root = session.directory / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "name").write_text("inside")
    (root / "link").symlink_to("/etc/name")
    descriptor = open_inside(session, "/link", os.O_RDONLY, (Tag.ROOT, str(root)))
    assert os.read(descriptor, 10) == b"inside"
    os.close(descriptor)


def test_open_below_a_root_takes_no_magic_links(session: Session, refused: Refused) -> None:
    error = refused(open_inside, session, "/self/root", os.O_RDONLY, (Tag.ROOT, "/proc"))
    assert error.errno == errno.ELOOP


def test_opens_what_a_network_shows_of_itself(session: Session) -> None:
    session.connection.ask(Kind.PIN, [(Tag.TARGET, str(session.directory)), (Tag.NAMESPACES, 0x40000000)])
    there = (Tag.NETWORK_NAMESPACE, str(session.directory / "net"))
    setting = "/proc/sys/net/ipv4/conf/lo/promote_secondaries"

    def read(*fields: tuple[int, Content]) -> int:
        with open(open_inside(session, setting, os.O_RDONLY, *fields), "rb") as file:
            return int(file.read())

    before = read()
    written = open_inside(session, setting, os.O_WRONLY, there)
    os.write(written, b"0" if before else b"1")
    os.close(written)
    assert (read(there), read()) == (1 - before, before)


@pytest.mark.parametrize(
    ("namespace", "code", "call"),
    [
        ("/nowhere", errno.ENOENT, "open"),
        ("/etc/passwd", errno.EINVAL, "setns"),
        ("/proc/self/ns/ipc", errno.EINVAL, "setns"),
    ],
)
def test_open_in_what_is_no_network_is_an_error_and_init_stays_where_it_is(
    session: Session, refused: Refused, namespace: str, code: int, call: str
) -> None:
    before = session.descriptors(), os.readlink(f"/proc/{session.init}/ns/net")
    there = (Tag.NETWORK_NAMESPACE, namespace)
    error = refused(open_inside, session, "/proc/sys/net/core/somaxconn", os.O_RDONLY, there)
    assert (error.errno, error.call, error.subject) == (code, call, namespace)
    missing = (Tag.NETWORK_NAMESPACE, "/proc/self/ns/net")
    assert refused(open_inside, session, "/proc/sys/net/none", os.O_RDONLY, missing).errno == errno.ENOENT
    assert (session.descriptors(), os.readlink(f"/proc/{session.init}/ns/net")) == before


def test_fifo_without_the_other_side_holds_up_nobody(session: Session, refused: Refused) -> None:
    os.mkfifo(session.directory / "fifo")
    reader = open_inside(session, session.directory / "fifo", os.O_RDONLY)
    assert not fcntl.fcntl(reader, fcntl.F_GETFL) & os.O_NONBLOCK
    writer = open_inside(session, session.directory / "fifo", os.O_WRONLY)
    os.close(reader)
    os.close(writer)
    assert refused(open_inside, session, session.directory / "fifo", os.O_WRONLY).errno == errno.ENXIO


def test_path_descriptors_and_non_blocking_ones_come_as_asked(session: Session) -> None:
    place = open_inside(session, "/etc", os.O_PATH | os.O_DIRECTORY)
    assert fcntl.fcntl(place, fcntl.F_GETFL) & os.O_PATH
    os.close(place)
    read = open_inside(session, "/etc/passwd", os.O_RDONLY | os.O_NONBLOCK)
    assert fcntl.fcntl(read, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(read)


def test_pidfd_of_a_process_counts_in_the_session(session: Session, refused: Refused) -> None:
    process = session.connection.spawn(["/bin/sleep", "1000"])
    answer = session.connection.ask(Kind.OPEN, [(Tag.PID, process.pid)])
    process.kill()
    assert wait_readable(answer.descriptors[0])
    os.close(answer.descriptors[0])
    process.wait()
    assert refused(session.connection.ask, Kind.OPEN, [(Tag.PID, process.pid)]).errno == errno.ESRCH
    assert refused(session.connection.ask, Kind.OPEN, [(Tag.PID, 0)]).errno == errno.EINVAL


def test_socket_lives_in_the_network_of_the_session(session: Session) -> None:
    server = socket_inside(session, socket.AF_INET, socket.SOCK_STREAM)
    client = socket_inside(session, socket.AF_INET, socket.SOCK_STREAM)
    outside = socket.socket()
    with server, client, outside:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(ConnectionRefusedError):
            outside.connect(server.getsockname())
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        accepted.close()


def test_socket_lives_in_a_pinned_network(session: Session) -> None:
    session.connection.ask(Kind.PIN, [(Tag.TARGET, str(session.directory)), (Tag.NAMESPACES, 0x40000000)])
    there = (Tag.NETWORK_NAMESPACE, str(session.directory / "net"))
    server = socket_inside(session, socket.AF_INET6, socket.SOCK_STREAM, there)
    client = socket_inside(session, socket.AF_INET6, socket.SOCK_STREAM, there)
    elsewhere = socket_inside(session, socket.AF_INET6, socket.SOCK_STREAM)
    with server, client, elsewhere:
        server.bind(("::1", 0))
        server.listen()
        with pytest.raises(ConnectionRefusedError):
            elsewhere.connect(server.getsockname())
        client.connect(server.getsockname())
    assert os.readlink(f"/proc/{session.init}/ns/net") == session.connection.shell("readlink /proc/self/ns/net").strip()


@pytest.mark.parametrize("kind", [socket.SOCK_RAW, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK])
def test_netlink_socket_sees_the_links_of_the_session(session: Session, kind: int) -> None:
    with socket_inside(session, socket.AF_NETLINK, kind, (Tag.PROTOCOL, 0)) as made:
        made.settimeout(30)
        # RTM_GETLINK, all of them
        made.send(bytes.fromhex("1400000012000103 0100000000000000 00000000"))
        assert b"lo\0" in made.recv(65536)


@pytest.mark.parametrize(
    ("fields", "code", "call"),
    [
        ([(Tag.DOMAIN, 9999), (Tag.TYPE, 1)], errno.EAFNOSUPPORT, "socket"),
        ([(Tag.DOMAIN, 2), (Tag.TYPE, 1), (Tag.NETWORK_NAMESPACE, "/nowhere")], errno.ENOENT, "open"),
        ([(Tag.DOMAIN, 2), (Tag.TYPE, 1), (Tag.NETWORK_NAMESPACE, "/etc/passwd")], errno.EINVAL, "socket"),
        ([(Tag.DOMAIN, 2), (Tag.TYPE, 1), (Tag.NETWORK_NAMESPACE, "/proc/self/ns/ipc")], errno.EINVAL, "socket"),
    ],
)
def test_socket_that_cannot_be_made_is_an_error_and_init_stays_where_it_is(
    session: Session, refused: Refused, fields: list[tuple[int, Content]], code: int, call: str
) -> None:
    before = session.descriptors(), os.readlink(f"/proc/{session.init}/ns/net")
    error = refused(session.connection.ask, Kind.SOCKET, fields)
    assert (error.errno, error.call) == (code, call)
    assert (session.descriptors(), os.readlink(f"/proc/{session.init}/ns/net")) == before


def test_descriptors_are_closed_by_init_when_they_are_sent(session: Session) -> None:
    before = session.descriptors()
    for _ in range(20):
        os.close(open_inside(session, "/etc/passwd", os.O_RDONLY))
        socket_inside(session, socket.AF_INET, socket.SOCK_DGRAM).close()
    assert session.descriptors() == before
