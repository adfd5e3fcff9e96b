"""Volumes through the Engine: whose they are, how long they live, what is in them, and what must not lead out."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import (
    ContentError,
    ImageNotFoundError,
    InUseError,
    InvalidSpecError,
    NameInUseError,
    NotFoundError,
    UnsafeEntryError,
    VolumeNotFoundError,
)
from pytest_pods.engine.specs.mounts import BindMount, ImageMount, VolumeMount
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import build_tar, directory, file, symlink
from tests.support.volume_images import load_database

ITS_ROOT = "root"
"""The kernel's link to the root of a process, below its directory in /proc."""


@pytest.fixture(scope="session")
def database(image_store: Path) -> str:
    return load_database(image_store)


def idle(engine: Engine, image: str = BUSYBOX, **options: object) -> Container:
    return engine.run(image, ["sleep", "1000"], network="none", **options)


def look(container: Container, path: str) -> str:
    return container.succeed(f"stat -c '%a %u:%g' {path}").strip()


# whose they are


def test_named_volume_is_shared_and_stays_when_its_containers_go(engine: Engine) -> None:
    one = idle(engine, volumes=["data:/d"])
    other = idle(engine, volumes=["data:/e:ro"])
    one.succeed("echo hello > /d/file")
    assert other.succeed("cat /e/file") == "hello\n"
    other.fail("echo no > /e/file")
    volume = engine.volume("data")
    assert [user.name for user in volume.users()] == [one.name, other.name]
    assert volume.inspect()["UsageData"]["RefCount"] == 2
    one.remove()
    other.remove()
    assert (volume.users(), volume.read("file")) == ([], b"hello\n")
    volume.remove()
    assert engine.volumes() == []


def test_volume_of_a_session_goes_with_it_and_no_other_session_sees_it(image_store: Path) -> None:
    with Engine.open(root=image_store) as one, Engine.open(root=image_store) as other:
        path = one.create_volume("mine", content={"a": "b"}).path
        assert (path / "a").read_text() == "b"
        assert other.volumes() == []
        with pytest.raises(VolumeNotFoundError, match="no volume 'mine'"):
            other.volume("mine")
        other.create_volume("mine")
        with Engine.open_command_line_volumes(root=image_store) as command_line:
            assert command_line.volumes() == []
    assert not path.exists()


def test_volumes_of_a_session_that_was_not_started_are_none(engine: Engine) -> None:
    assert engine.volumes() == []
    assert not engine.sandbox_started


def test_volumes_of_the_command_line_need_no_session_and_stay(tmp_path: Path) -> None:
    with Engine.open_command_line_volumes(root=tmp_path) as engine:
        engine.create_volume("data", labels={"a": "b"}, content={"x": "y"})
        assert not engine.sandbox_started
    with Engine.open_command_line_volumes(root=tmp_path) as engine:
        (volume,) = engine.volumes()
        assert (volume.name, volume.labels, volume.read("x")) == ("data", {"a": "b"}, b"y")
        volume.remove()
        assert engine.volumes() == []
    assert os.listdir(tmp_path / "staging") == []


def test_volume_in_use_is_named_with_its_container_and_stays(engine: Engine) -> None:
    container = engine.create(BUSYBOX, ["true"], name="user", network="none", volumes=["data:/d"])
    with pytest.raises(InUseError, match="volume data is used by the container user"):
        engine.remove_volume("data")
    assert engine.volume("data").users() == [container]
    assert engine.prune_volumes() == []
    engine.remove_volume("data", force=True)
    assert (engine.containers(), engine.volumes()) == ([], [])


def test_prune_removes_what_nobody_uses(engine: Engine) -> None:
    engine.create_volume("left")
    idle(engine, volumes=["used:/d"])
    assert engine.prune_volumes() == ["left"]
    assert [volume.name for volume in engine.volumes()] == ["used"]


def test_unknown_volume_and_taken_name_are_named_errors(engine: Engine) -> None:
    engine.create_volume("data", content={"a": "1"})
    with pytest.raises(NameInUseError, match="there is a volume data already"):
        engine.create_volume("data", content={"a": "2"})
    assert engine.volume("data").read("a") == b"1"
    for name in ("other", "../data", "data/data", ".lock", ""):
        with pytest.raises(VolumeNotFoundError):
            engine.volume(name)
    with pytest.raises(VolumeNotFoundError):
        engine.remove_volume("other")
    volume = engine.volume("data")
    volume.remove()
    with pytest.raises(VolumeNotFoundError, match="was removed"):
        volume.read("a")


def test_one_of_many_gets_a_name_and_containers_share_what_they_make_at_once(engine: Engine, database: str) -> None:
    together = threading.Barrier(6)

    def create(_: int) -> str:
        together.wait()
        try:
            return engine.create_volume("one").name
        except NameInUseError:
            return "taken"

    def run(_: int) -> str:
        together.wait()
        return idle(engine, database, volumes=["shared:/data"]).succeed("cat /data/base /data/deep/file; ls /data")

    engine.start()
    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(create, range(6))) == ["one", *["taken"] * 5]
        assert set(pool.map(run, range(6))) == {"base\ndeep\nabsolute\nbase\ndeep\n"}


# what is in them


def test_volume_of_the_image_has_the_image_s_contents_and_goes_with_its_container(
    engine: Engine, database: str
) -> None:
    container = idle(engine, database)
    assert look(container, "/data") == "750 1000:1000"
    assert look(container, "/data/base") == "640 1000:1000"
    assert look(container, "/data/deep") == "2770 0:1000"
    assert look(container, "/data/deep/file") == "644 7:8"
    assert container.succeed("readlink /data/absolute") == "/etc/passwd\n"
    assert container.succeed("stat -c %Y /data/base") == "1600000000\n"
    container.succeed("touch /data/new /empty/new")
    assert [volume.anonymous for volume in engine.volumes()] == [True] * 3
    data = next(volume for volume in engine.volumes() if volume.users() and _has(volume, "base"))
    if os.geteuid() == 0:
        assert os.getxattr(data.path / "base", "user.colour") == b"blue"
    with pytest.raises(InUseError):
        data.remove()
    other = idle(engine, database)
    other.fail("test -e /data/new")
    path = data.path
    container.remove()
    assert not path.exists()
    other.remove()
    assert engine.volumes() == []


def _has(volume: object, name: str) -> bool:
    try:
        volume.read(name)  # type: ignore[attr-defined]
    except NotFoundError:
        return False
    return True


def test_link_of_the_image_does_not_lead_its_volume_out(engine: Engine, database: str) -> None:
    before = os.listdir("/etc")
    container = idle(engine, database)
    container.succeed("test -d /etc/x; touch /linked/x/here; test -e /etc/x/here")
    assert os.listdir("/etc") == before


def test_named_volume_is_filled_at_its_first_use_only(engine: Engine, database: str) -> None:
    first = idle(engine, database, volumes=["data:/data"])
    assert look(first, "/data") == "750 1000:1000"
    first.succeed("rm -r /data/*")
    second = idle(engine, database, volumes=["data:/data"])
    assert second.succeed("ls -A /data") == ""


def test_volume_with_contents_is_left_as_it_is(engine: Engine, database: str) -> None:
    volume = engine.create_volume(content={"mine": "x"})
    container = idle(engine, database, volumes={"/data": volume})
    assert container.succeed("ls /data") == "mine\n"
    assert look(container, "/data") == "755 0:0"


def test_volume_is_not_filled_where_that_is_not_wanted(engine: Engine, database: str) -> None:
    container = idle(engine, database, volumes=["data:/data:nocopy"])
    assert container.succeed("ls -A /data") == ""


def test_filling_that_was_cut_off_is_done_again(engine: Engine, database: str) -> None:
    layout = engine.create_volume("data").path.parent
    (layout / "filling").touch()
    (layout / "data" / "base").write_text("half")
    container = idle(engine, database, volumes=["data:/data"])
    assert container.succeed("cat /data/base /data/deep/file") == "base\ndeep\n"
    assert not (layout / "filling").exists()


def test_new_volume_belongs_to_the_user_where_the_image_has_nothing(engine: Engine, database: str) -> None:
    container = idle(engine, database, user="1000:1000", volumes=["fresh:/fresh", "own:/own"])
    assert look(container, "/fresh") == "755 1000:1000"
    assert look(container, "/own") == "711 1000:1000"
    container.succeed("touch /fresh/mine /own/mine /data/mine")


def test_mount_in_the_place_of_an_image_s_volume_replaces_it(engine: Engine, database: str) -> None:
    container = idle(engine, database, volumes=["/linked/x"], tmpfs=["/data", "/empty/"])
    assert container.succeed("ls -A /data /empty") == "/data:\n\n/empty:\n"
    assert len(engine.volumes()) == 1


def test_content_from_texts_files_and_directories(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "seed" / "inner").mkdir(parents=True)
    (tmp_path / "seed" / "inner" / "script").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "seed" / "inner" / "script").chmod(0o755)
    (tmp_path / "seed" / "link").symlink_to("inner/script")
    mask = os.umask(0o077)
    try:
        volume = engine.create_volume(
            content={"a/b.sql": "select 1", "c": b"\0\1", "copy": tmp_path / "seed" / "inner" / "script", "dir/": ""}
        )
    finally:
        os.umask(mask)
    whole = engine.create_volume(content=tmp_path / "seed")
    container = idle(engine, volumes=[volume.at("/v"), f"{whole}:/w:ro"])
    assert container.succeed("cat /v/a/b.sql; /v/copy; /w/link") == "select 1ran\nran\n"
    assert [look(container, path) for path in ("/v/a", "/v/a/b.sql", "/v/dir")] == ["755 0:0", "644 0:0", "755 0:0"]
    assert container.read("/v/c") == b"\0\1"


def test_volume_cannot_be_filled_with_what_is_no_file(engine: Engine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for content in ({"f": tmp_path / "fifo"}, tmp_path):
        with pytest.raises(InvalidSpecError, match="content"):
            engine.create_volume("bad", content=content)
    assert engine.volumes() == []


# sub-paths


def test_part_of_a_volume(engine: Engine) -> None:
    volume = engine.create_volume("v", content={"a/b/file": "x", "single": "one"})
    container = idle(
        engine, mounts=[VolumeMount("v", "/b", subpath="a/b"), "type=volume,src=v,dst=/single,subpath=single"]
    )
    assert container.succeed("cat /b/file /single") == "xone"
    container.succeed("echo new > /b/other")
    assert volume.read("a/b/other") == b"new\n"
    container.stop()
    container.start()
    assert container.succeed("cat /b/other") == "new\n"
    container.remove()
    assert volume.read("a/b/file") == b"x"


@pytest.mark.parametrize("target", ["/etc", "../../../../../../../../etc", f"/proc/self/{ITS_ROOT}/etc"])
def test_link_that_a_container_made_does_not_lead_a_sub_path_out(engine: Engine, target: str) -> None:
    maker = idle(engine, volumes=["v:/v"])
    maker.succeed(f"ln -s {target} /v/link", f"mkdir -p /v/etc /v/proc/self/{ITS_ROOT}/etc", "touch /v/etc/inside")
    container = idle(engine, mounts=[VolumeMount("v", "/mounted", subpath="link")])
    assert container.succeed("ls /mounted") == ("" if "proc" in target else "inside\n")


def test_sub_path_that_is_not_there_is_named_and_nothing_is_left(engine: Engine) -> None:
    with pytest.raises(InvalidSpecError, match="sub-path 'no/such' of volume v: No such file"):
        engine.run(BUSYBOX, mounts=[VolumeMount("v", "/m", subpath="no/such")], network="none")
    assert engine.containers() == []


def test_part_of_a_directory_of_the_host(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_text("x")
    (tmp_path / "out").symlink_to("/etc")
    container = idle(engine, mounts=[BindMount(str(tmp_path), "/m", subpath="inner", read_only=True)])
    assert container.succeed("cat /m/file") == "x"
    with pytest.raises(InvalidSpecError, match="sub-path 'out'"):
        engine.run(BUSYBOX, mounts=[BindMount(str(tmp_path), "/m", subpath="out")], network="none")
    container.remove()
    assert (tmp_path / "inner" / "file").exists()


# images, directories of the host, owners


def test_image_as_a_volume(engine: Engine, database: str) -> None:
    container = idle(
        engine,
        mounts=[
            ImageMount(database, "/ro"),
            ImageMount(database, "/rw", read_only=False),
            ImageMount(database, "/part", subpath="data"),
        ],
    )
    assert container.succeed("cat /ro/data/base /part/base") == "base\nbase\n"
    container.fail("touch /ro/new")
    container.fail("touch /part/new")
    container.succeed("touch /rw/new; rm /rw/data/base; test ! -e /rw/data/base; test -e /ro/data/base")
    with pytest.raises(InUseError, match="is used by the container"):
        engine.remove_image(database)
    container.remove()
    assert idle(engine, database).succeed("cat /data/base") == "base\n"


def test_unknown_image_as_a_volume_is_a_named_error(engine: Engine) -> None:
    with pytest.raises(ImageNotFoundError):
        engine.run(BUSYBOX, mounts=[ImageMount("localhost/nonesuch", "/i")], network="none", pull="never")
    assert engine.containers() == []


def test_owner_is_changed_for_the_user_and_no_link_is_followed(engine: Engine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x")
    shared = tmp_path / "shared"
    (shared / "deep").mkdir(parents=True)
    (shared / "deep" / "file").write_text("y")
    (shared / "link").symlink_to(outside)
    # Whatever the caller's umask.
    shared.chmod(0o755)
    (shared / "deep" / "file").chmod(0o644)
    before = outside.stat().st_uid
    volume = engine.create_volume(content={"a/b": "c"})
    container = idle(
        engine,
        user="1000:1000",
        mounts=[f"type=bind,src={shared},dst=/s,U", VolumeMount(volume.name, "/v", chown=True)],
    )
    assert [look(container, path) for path in ("/s", "/s/deep/file", "/v/a/b")] == [
        "755 1000:1000", "644 1000:1000", "644 1000:1000"
    ]  # fmt: skip
    assert outside.stat().st_uid == before


def has_flag(path: Path, flag: int) -> bool:
    return bool(os.statvfs(path).f_flag & flag)


def test_options_reach_the_mount(engine: Engine, tmp_path: Path) -> None:
    container = idle(engine, volumes=["v:/v:noexec,z", f"{tmp_path}:/b:suid,dev,rbind,Z"], tmpfs=["/t:size=64k"])
    lines = container.succeed("cat /proc/mounts").splitlines()
    options = {line.split()[1]: set(line.split()[3].split(",")) for line in lines}
    assert {"noexec", "nosuid", "nodev"} <= options["/v"]
    if os.geteuid() == 0:
        # What the file system has been mounted without, no option brings back: runc leaves it as it is.
        lacks = {name for name, flag in (("nosuid", os.ST_NOSUID), ("nodev", os.ST_NODEV)) if has_flag(tmp_path, flag)}
        assert {"nosuid", "nodev"} & options["/b"] == lacks
    assert "size=64k" in options["/t"]


def test_inspection_lists_mounts_as_docker_does(engine: Engine, database: str) -> None:
    container = idle(engine, database, volumes=["v:/data:ro"], tmpfs=["/empty"])
    mounts = {mount["Destination"]: mount for mount in container.inspect()["Mounts"]}
    volume = engine.volume("v")
    assert mounts["/data"]["Type"] == "volume"
    assert (mounts["/data"]["Name"], mounts["/data"]["Source"]) == ("v", str(volume.path))
    assert (mounts["/data"]["RW"], mounts["/data"]["Driver"]) == (False, "local")
    assert (mounts["/empty"]["Type"], mounts["/linked/x"]["Type"]) == ("tmpfs", "volume")
    assert container.inspect()["HostConfig"]["Binds"] == ["v:/data:ro"]


# reading, writing, archives


def test_reading_and_writing_do_not_leave_the_volume(engine: Engine) -> None:
    volume = engine.create_volume(content={"file": "x"})
    maker = idle(engine, volumes=[f"{volume}:/v"])
    maker.succeed("ln -s /etc/hostname /v/absolute", "ln -s ../../x /v/up", "mkfifo /v/p")
    for name in ("absolute", "up", "no/such"):
        with pytest.raises(NotFoundError):
            volume.read(name)
    with pytest.raises(NotFoundError):
        volume.write("absolute", "overwritten")
    volume.write("file", "y", mode=0o600)
    volume.write("new", b"z", mode=0o640)
    assert (volume.read("file"), volume.read("/new")) == (b"y", b"z")
    assert Path("/etc/hostname").read_text() != "overwritten"


def test_archive_of_a_volume_makes_the_same_volume(engine: Engine, database: str) -> None:
    container = idle(engine, database, volumes=["one:/data"])
    container.succeed("ln /data/base /data/second", "mkfifo /data/fifo", "head -c 3000000 /dev/zero > /data/zeros")
    buffer = io.BytesIO()
    engine.volume("one").export(buffer)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        members = {member.name: member for member in archive}
    assert members["second"].islnk()
    assert (members["base"].uid, members["base"].mode) == (1000, 0o640)
    assert members["base"].pax_headers["SCHILY.xattr.user.colour"] == "blue"
    buffer.seek(0)
    engine.create_volume("two").import_(buffer)
    other = idle(engine, database, volumes=["two:/data"])
    tree = "cd /data; find . | sort | xargs stat -c '%n %a %u:%g %s %h %F %Y'"
    assert other.succeed(tree) == container.succeed(tree)


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        pytest.param([("../out", file("x"))], UnsafeEntryError, id="above"),
        pytest.param([("a/../../out", file("x"))], UnsafeEntryError, id="above from inside"),
        pytest.param([("link", symlink("/no/where")), ("link/out", file("x"))], UnsafeEntryError, id="link to nothing"),
    ],
)
def test_archive_that_would_reach_out_is_refused(
    engine: Engine, entries: list[tuple[str, object]], kind: type[Exception]
) -> None:
    volume = engine.create_volume()
    with pytest.raises(kind):
        volume.import_(io.BytesIO(build_tar(entries)))  # type: ignore[arg-type]
    assert not (volume.path.parent / "out").exists()


def test_archive_writes_through_no_link_that_a_container_made(engine: Engine, tmp_path: Path) -> None:
    volume = engine.create_volume()
    idle(engine, volumes=[f"{volume}:/v"]).succeed(f"ln -s {tmp_path} /v/link", f"mkdir -p /v{tmp_path}")
    volume.import_(io.BytesIO(build_tar({"link/file": file("x")})))
    assert list(tmp_path.iterdir()) == []
    assert volume.read(f"{tmp_path}/file") == b"x"


def test_names_of_whiteouts_are_files_like_others(engine: Engine) -> None:
    volume = engine.create_volume(content={"kept": "x"})
    volume.import_(io.BytesIO(build_tar({".wh.kept": file("1"), "d/": directory(), "d/.wh..wh..opq": file("2")})))
    assert (volume.read("kept"), volume.read(".wh.kept"), volume.read("d/.wh..wh..opq")) == (b"x", b"1", b"2")


@pytest.mark.parametrize("content", [b"", b"not an archive" * 100, build_tar({"a": file("x" * 2000)})[:1000]])
def test_what_is_no_archive_is_refused(engine: Engine, content: bytes) -> None:
    with pytest.raises(ContentError):
        engine.create_volume().import_(io.BytesIO(content))


def test_failing_reader_of_an_export_is_not_hidden(engine: Engine) -> None:
    class Full:
        def write(self, content: bytes) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        engine.create_volume(content={"a": "x"}).export(Full())


def test_files_of_others_are_removed_with_their_volume(engine: Engine) -> None:
    container = idle(engine, volumes=["v:/v"])
    container.succeed("mkdir -p /v/a/b; touch /v/a/b/c; chown -R 1000:1000 /v; chmod 700 /v/a; chmod 0 /v/a/b")
    path = engine.volume("v").path
    assert stat.S_ISDIR(path.stat().st_mode)
    container.remove()
    engine.remove_volume("v")
    assert not path.parent.exists()
