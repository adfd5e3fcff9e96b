"""MOUNT, UNMOUNT and PIN: what they do is there in the sandbox, and on the host there is nothing of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.native.conftest import Sessions
from tests.native.sandbox import HelperError, Session
from tests.native.wire import Content, Kind, Tag

Refused = Callable[..., HelperError]

FILE_SYSTEM, BIND, RECURSIVE, CLASSIC, PROPAGATION = 1, 2, 4, 8, 16
READ_ONLY, NO_SUID, NO_DEVICES, NO_EXECUTION, NO_ACCESS_TIME = 1, 2, 4, 8, 0x10
MS_REC, MS_SHARED, MS_PRIVATE = 0x4000, 0x100000, 0x40000
NET, IPC, UTS = 0x40000000, 0x08000000, 0x04000000


def mount(session: Session, flags: int, target: Path, *fields: tuple[int, Content]) -> None:
    session.connection.ask(Kind.MOUNT, [(Tag.FLAGS, flags), (Tag.TARGET, str(target)), *fields])


def tmpfs(session: Session, target: Path, *fields: tuple[int, Content]) -> None:
    target.mkdir(exist_ok=True)
    mount(session, FILE_SYSTEM, target, (Tag.FILESYSTEM, "tmpfs"), (Tag.SOURCE, "a name"), *fields)


def mount_line(session: Session, target: Path) -> str:
    lines = Path(f"/proc/{session.init}/mountinfo").read_text().splitlines()
    return [line for line in lines if line.split()[4] == str(target)][-1]


def layers(session: Session, count: int, *, name_length: int = 8) -> list[Path]:
    """Directories with one file each."""
    made = []
    for number in range(count):
        layer = session.directory / f"{number:0{name_length}}"
        layer.mkdir()
        (layer / f"file-{number}").write_text(str(number))
        made.append(layer)
    return made


def test_file_system_is_mounted_in_the_sandbox_alone(session: Session) -> None:
    target = session.directory / "mount"
    tmpfs(session, target, (Tag.OPTION, "size=64k"), (Tag.OPTION, "mode=0711"))
    assert session.mounted(target)
    assert not os.path.ismount(target)
    (session.path(target) / "file").write_text("inside")
    assert list(target.iterdir()) == []
    assert session.connection.shell(f"stat -fc %T {target}; stat -c %a {target}").split() == ["tmpfs", "711"]
    session.connection.ask(Kind.UNMOUNT, [(Tag.TARGET, str(target))])
    assert not session.mounted(target)


def test_attributes_are_set_on_the_mount(session: Session) -> None:
    target = session.directory / "mount"
    tmpfs(session, target, (Tag.ATTRIBUTES, READ_ONLY | NO_SUID | NO_DEVICES | NO_EXECUTION | NO_ACCESS_TIME))
    options = mount_line(session, target).split()[5].split(",")
    assert {"ro", "nosuid", "nodev", "noexec", "noatime"} <= set(options)


@pytest.mark.parametrize(
    ("fields", "code", "call"),
    [
        ([(Tag.FILESYSTEM, "nonesuch")], errno.ENODEV, "fsopen"),
        ([(Tag.FILESYSTEM, "tmpfs"), (Tag.OPTION, "nonesuch=1")], errno.EINVAL, "fsconfig"),
        ([(Tag.FILESYSTEM, "tmpfs"), (Tag.OPTION, "nonesuch")], errno.EINVAL, "fsconfig"),
    ],
)
def test_mount_error_says_what_the_kernel_says(
    session: Session, refused: Refused, fields: list[tuple[int, Content]], code: int, call: str
) -> None:
    before = session.descriptors()
    error = refused(mount, session, FILE_SYSTEM, session.directory, *fields)
    assert (error.errno, error.call) == (code, call)
    if call == "fsconfig":
        assert "nonesuch" in error.message
    assert session.descriptors() == before


def test_target_that_is_a_link_is_not_followed(session: Session, refused: Refused) -> None:
    real, link = session.directory / "real", session.directory / "link"
    real.mkdir()
    link.symlink_to(real)
    error = refused(mount, session, FILE_SYSTEM, link, (Tag.FILESYSTEM, "tmpfs"))
    assert error.errno == errno.ELOOP
    assert not session.mounted(real)


@pytest.mark.parametrize("flags", [0, 3, 5, 12, 20, 24, 32], ids=str)
def test_flags_that_name_no_single_way_are_refused(session: Session, refused: Refused, flags: int) -> None:
    error = refused(mount, session, flags, session.directory, (Tag.FILESYSTEM, "tmpfs"), (Tag.SOURCE, "/tmp"))
    assert error.errno == errno.EINVAL


@pytest.mark.parametrize(
    ("flags", "fields", "code"),
    [
        (FILE_SYSTEM, [], errno.EBADMSG),
        (BIND, [], errno.EBADMSG),
        (CLASSIC, [], errno.EBADMSG),
        (PROPAGATION, [], errno.EBADMSG),
        (PROPAGATION, [(Tag.PROPAGATION, 0)], errno.EINVAL),
        (PROPAGATION, [(Tag.PROPAGATION, 0x1)], errno.EINVAL),
        (CLASSIC, [(Tag.FILESYSTEM, "tmpfs"), (Tag.PROPAGATION, MS_PRIVATE)], errno.EINVAL),
    ],
)
def test_mount_with_the_wrong_fields_for_its_flags_is_refused(
    session: Session, refused: Refused, flags: int, fields: list[tuple[int, Content]], code: int
) -> None:
    assert refused(mount, session, flags, session.directory, *fields).errno == code


def test_bind_of_a_directory_and_of_a_file(session: Session) -> None:
    source, target, file = (session.directory / name for name in ("source", "target", "file"))
    source.mkdir()
    target.mkdir()
    file.write_text("covered")
    (source / "content").write_text("bound")
    mount(session, BIND, target, (Tag.SOURCE, str(source)))
    mount(session, BIND, file, (Tag.SOURCE, str(source / "content")), (Tag.ATTRIBUTES, READ_ONLY))
    assert session.connection.shell(f"cat {target}/content {file}") == "boundbound"
    assert session.connection.run(["/bin/sh", "-c", f"echo > {file}"]).status != 0
    assert file.read_text() == "covered"


@pytest.mark.parametrize(("flags", "seen"), [(BIND, False), (BIND | RECURSIVE, True)], ids=["alone", "recursive"])
def test_bind_brings_what_is_mounted_below_if_asked(session: Session, flags: int, seen: bool) -> None:
    source, target = session.directory / "source", session.directory / "target"
    source.mkdir()
    target.mkdir()
    tmpfs(session, source / "below")
    (session.path(source) / "below" / "file").write_text("")
    mount(session, flags, target, (Tag.SOURCE, str(source)), (Tag.ATTRIBUTES, READ_ONLY))
    assert (session.path(target) / "below" / "file").exists() == seen
    assert session.mounted(target / "below") == seen
    if seen:
        assert "ro" in mount_line(session, target / "below").split()[5].split(",")


def test_propagation_is_changed_below_if_asked(session: Session) -> None:
    tmpfs(session, session.directory / "outer", (Tag.PROPAGATION, MS_SHARED))
    assert " shared:" in mount_line(session, session.directory / "outer")
    mount(session, PROPAGATION, session.directory / "outer", (Tag.PROPAGATION, MS_PRIVATE | MS_REC))
    assert " shared:" not in mount_line(session, session.directory / "outer")


def test_mounts_of_the_host_come_in_and_mounts_of_the_sandbox_do_not_go_out(session: Session) -> None:
    line = Path(f"/proc/{session.init}/mountinfo").read_text().splitlines()
    root = next(one for one in line if one.split()[4] == "/")
    assert " shared:" not in root


def overlay_options(session: Session, lowers: list[Path], *, one_by_one: bool) -> list[tuple[int, Content]]:
    for name in ("upper", "work", "merged"):
        (session.directory / name).mkdir()
    lower = [f"lowerdir+={path}" for path in lowers] if one_by_one else ["lowerdir=" + ":".join(map(str, lowers))]
    options = [*lower, f"upperdir={session.directory}/upper", f"workdir={session.directory}/work"]
    if os.geteuid() != 0:
        options.append("userxattr")
    return [(Tag.FILESYSTEM, "overlay"), (Tag.SOURCE, "overlay"), *((Tag.OPTION, one) for one in options)]


def knows_lowerdir_plus(session: Session) -> bool:
    """Whether this kernel's overlayfs takes its layers one by one, asked in the sandbox as the engine does."""
    try:
        mount(session, FILE_SYSTEM, session.directory, (Tag.FILESYSTEM, "overlay"), (Tag.OPTION, "lowerdir+=/"))
    except HelperError as error:
        # One layer alone is not enough, but the option was understood.
        return "lowerdir+" not in error.message and error.subject != "lowerdir+=/"
    return True


def test_overlay_of_many_layers(session: Session) -> None:
    if not knows_lowerdir_plus(session):
        pytest.skip("overlayfs of this kernel takes its layers in one string only")
    lowers = layers(session, 60, name_length=100)
    merged = session.directory / "merged"
    mount(session, FILE_SYSTEM, Path("/tmp"), *overlay_options(session, lowers, one_by_one=True))
    assert sum(name.startswith("file-") for name in os.listdir(session.path("/tmp"))) == 60
    assert list(merged.iterdir()) == []


def test_overlay_of_a_layer_with_a_long_path(session: Session) -> None:
    if not knows_lowerdir_plus(session):
        pytest.skip("overlayfs of this kernel takes its layers in one string only")
    deep = session.directory / ("d" * 200) / ("e" * 200)
    deep.mkdir(parents=True)
    (deep / "file-0").write_text("")
    lowers = [deep, *layers(session, 1)]
    merged = session.directory / "merged"
    try:
        mount(session, FILE_SYSTEM, session.directory, *overlay_options(session, lowers, one_by_one=True))
    except HelperError as error:
        # Kernels before 6.13 know the option but take no descriptor for it.
        assert error.errno == errno.EINVAL
        pytest.skip("overlayfs of this kernel takes no descriptors")
    assert "file-0" in os.listdir(session.path(session.directory))
    assert list(merged.iterdir()) == []


def classic_data(session: Session, lowers: list[Path]) -> str:
    for name in ("upper", "work", "merged"):
        (session.directory / name).mkdir()
    data = "lowerdir=" + ":".join(path.name for path in lowers) + ",upperdir=upper,workdir=work"
    return data + ("" if os.geteuid() == 0 else ",userxattr")


def test_classic_mount_takes_names_relative_to_a_directory(session: Session) -> None:
    data = classic_data(session, layers(session, 40))
    mount(
        session,
        CLASSIC,
        session.directory / "merged",
        (Tag.FILESYSTEM, "overlay"),
        (Tag.DATA, data),
        (Tag.DIRECTORY, str(session.directory)),
        (Tag.ATTRIBUTES, NO_SUID | NO_DEVICES),
    )
    assert len(os.listdir(session.path(session.directory / "merged"))) == 40
    assert {"nosuid", "nodev"} <= set(mount_line(session, session.directory / "merged").split()[5].split(","))
    assert os.readlink(f"/proc/{session.init}/cwd") == "/"


def test_classic_mount_with_data_that_the_kernel_would_cut_is_refused(session: Session, refused: Refused) -> None:
    data = "lowerdir=/" + "x" * 4090
    fields = [(Tag.FILESYSTEM, "overlay"), (Tag.DATA, data)]
    assert refused(mount, session, CLASSIC, session.directory, *fields).errno == errno.EINVAL
    longest = "lowerdir=/" + "x" * 4085
    assert refused(mount, session, CLASSIC, session.directory, fields[0], (Tag.DATA, longest)).errno != errno.EBADMSG


def test_unmount_of_what_is_in_use_needs_to_be_lazy(session: Session, refused: Refused) -> None:
    target = session.directory / "mount"
    tmpfs(session, target)
    held = os.open(session.path(target), os.O_RDONLY)
    ask = session.connection.ask
    assert refused(ask, Kind.UNMOUNT, [(Tag.TARGET, str(target))]).errno == errno.EBUSY
    ask(Kind.UNMOUNT, [(Tag.TARGET, str(target)), (Tag.FLAGS, 2)])
    assert not session.mounted(target)
    os.close(held)
    assert refused(ask, Kind.UNMOUNT, [(Tag.TARGET, str(target))]).errno == errno.EINVAL


def test_unmount_does_not_follow_a_link(session: Session, refused: Refused) -> None:
    target, link = session.directory / "mount", session.directory / "link"
    tmpfs(session, target)
    link.symlink_to(target)
    refused(session.connection.ask, Kind.UNMOUNT, [(Tag.TARGET, str(link)), (Tag.FLAGS, 2)])
    assert session.mounted(target)


def pin(session: Session, directory: Path, namespaces: int, hostname: str | None = None) -> None:
    fields: list[tuple[int, Content]] = [(Tag.TARGET, str(directory)), (Tag.NAMESPACES, namespaces)]
    if hostname is not None:
        fields.append((Tag.HOSTNAME, hostname))
    session.connection.ask(Kind.PIN, fields)


def test_pinned_namespaces_are_new_and_ready(session: Session) -> None:
    pin(session, session.directory, NET | IPC | UTS, "pod")
    assert {path.name for path in session.directory.iterdir()} == {"lock", "net", "ipc", "uts"}
    join = [(Tag.NAMESPACE, str(session.directory / name)) for name in ("net", "ipc", "uts")]
    script = "hostname; for n in net ipc uts; do readlink /proc/self/ns/$n; done; cat /proc/net/if_inet6"
    hostname, *rest = session.connection.shell(script, more=join).split()
    assert hostname == "pod"
    own = [os.readlink(f"/proc/{session.init}/ns/{name}") for name in ("net", "ipc", "uts")]
    assert set(rest[:3]).isdisjoint(own)
    assert "lo" in rest
    assert session.connection.shell("hostname").strip() == os.uname().nodename


def test_pin_lives_without_a_process_and_ends_with_its_mounts(session: Session) -> None:
    pin(session, session.directory, UTS, "first")
    path = session.directory / "uts"
    inode = session.path(path).stat().st_ino
    assert session.connection.shell("readlink /proc/self/ns/uts", more=[(Tag.NAMESPACE, str(path))]).strip() == (
        f"uts:[{inode}]"
    )
    session.connection.ask(Kind.UNMOUNT, [(Tag.TARGET, str(path)), (Tag.FLAGS, 2)])
    assert path.stat().st_size == 0
    assert not session.mounted(path)


@pytest.mark.parametrize(
    ("namespaces", "hostname", "code"),
    [(0, None, errno.EINVAL), (0x20000, None, errno.EINVAL), (NET | 1, None, errno.EINVAL), (NET, "x", errno.EINVAL)],
)
def test_pin_of_other_namespaces_is_refused(
    session: Session, refused: Refused, namespaces: int, hostname: str | None, code: int
) -> None:
    assert refused(pin, session, session.directory, namespaces, hostname).errno == code
    assert [path.name for path in session.directory.iterdir()] == ["lock"]


@pytest.mark.parametrize("existing", ["net", "ipc", "uts"])
def test_failed_pin_takes_back_its_own_and_leaves_what_was_there(
    session: Session, refused: Refused, existing: str
) -> None:
    (session.directory / existing).write_text("somebody's")
    assert refused(pin, session, session.directory, NET | IPC | UTS).errno == errno.EEXIST
    assert {path.name for path in session.directory.iterdir()} == {"lock", existing}
    assert (session.directory / existing).read_text() == "somebody's"
    assert not any(session.mounted(session.directory / name) for name in ("net", "ipc", "uts"))


def test_pin_in_a_directory_behind_a_link_is_refused(session: Session, refused: Refused) -> None:
    (session.directory / "real").mkdir()
    (session.directory / "link").symlink_to("real")
    assert refused(pin, session, session.directory / "link", NET).errno in (errno.ELOOP, errno.ENOTDIR)
    assert list((session.directory / "real").iterdir()) == []


def test_many_pins_at_the_same_time(session: Session) -> None:
    ids = []
    for number in range(50):
        directory = session.directory / str(number)
        directory.mkdir()
        ids.append(session.connection.send(Kind.PIN, [(Tag.TARGET, str(directory)), (Tag.NAMESPACES, NET | UTS)]))
    for message_id in ids:
        session.connection.answer(message_id)
    inodes = {session.path(session.directory / str(number) / "net").stat().st_ino for number in range(50)}
    assert len(inodes) == 50


def test_live_mounts_do_not_stand_in_the_way_of_the_end(start: Sessions) -> None:
    session = start()
    canary = start.place / "canary"
    canary.mkdir()
    (canary / "file").write_text("must survive")
    tmpfs(session, session.directory / "tmpfs")
    (session.directory / "bound").mkdir()
    mount(session, BIND, session.directory / "bound", (Tag.SOURCE, str(canary)))
    pin(session, session.directory, NET)
    session.end()
    assert not session.directory.exists()
    assert (canary / "file").read_text() == "must survive"
