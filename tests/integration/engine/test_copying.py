"""Files between containers and the host, what a container has changed, and which of its paths match: real containers,
running or not, some of which put links and devices in the way."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import ConflictError, InvalidInputError, NotFoundError, UnsafeEntryError
from pytest_pods.engine.records import Change
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import Files, build_tar, busybox_builder, directory, file, symlink

LONG_AGO = 1_000_000_000


def idle(engine: Engine, **options: object) -> Container:
    return engine.run(BUSYBOX, ["sleep", "1000"], network="none", **options)


@pytest.fixture(params=["running", "paused", "ended", "created"])
def container(request: pytest.FixtureRequest, engine: Engine) -> Container:
    if request.param == "created":
        return engine.create(BUSYBOX, ["sleep", "1000"], network="none", volumes=["/volume"])
    made = idle(engine, volumes=["/volume"])
    if request.param == "ended":
        made.stop()
    if request.param == "paused":
        made.pause()
    return made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "inner").mkdir(parents=True)
    (top / "program").write_text("#!/bin/sh\n")
    (top / "program").chmod(0o751)
    (top / "inner" / "link").symlink_to("../program")
    os.link(top / "program", top / "inner" / "hard")
    (top / "inner").chmod(0o1770)
    os.utime(top / "program", (LONG_AGO, LONG_AGO))
    os.utime(top / "inner", (LONG_AGO, LONG_AGO))
    return top


def check_tree(top: Path) -> None:
    assert sorted(str(path.relative_to(top)) for path in top.rglob("*")) == [
        "inner", "inner/hard", "inner/link", "program"
    ]
    program, inner = (top / "program").stat(), (top / "inner").stat()
    assert (stat.S_IMODE(program.st_mode), program.st_mtime, program.st_nlink) == (0o751, LONG_AGO, 2)
    assert (stat.S_IMODE(inner.st_mode), inner.st_mtime) == (0o1770, LONG_AGO)
    assert os.readlink(top / "inner" / "link") == "../program"


def test_tree_comes_back_as_it_went_whatever_the_state(container: Container, tree: Path, tmp_path: Path) -> None:
    container.copy_in(tree, "/new")
    container.copy_out("/new", tmp_path / "back")
    check_tree(tmp_path / "back")


def test_volume_is_reached_whatever_the_state(container: Container, tree: Path, tmp_path: Path) -> None:
    container.copy_in(tree, "/volume")
    container.write("/volume/written", "here")
    assert container.read("/volume/written") == b"here"
    assert container.glob("/volume/w*") == ["/volume/written"]
    container.copy_out("/volume/tree", tmp_path / "back")
    check_tree(tmp_path / "back")
    container.copy_out("/volume/.", tmp_path)
    assert (tmp_path / "written").read_text() == "here"


@pytest.mark.root
def test_owners_are_kept_by_number(engine: Engine, tree: Path, tmp_path: Path) -> None:
    os.chown(tree / "program", 1234, 5678)
    os.lchown(tree / "inner" / "link", 11, 22)
    container = idle(engine)
    container.copy_in(tree, "/")
    assert container.succeed("stat -c '%u:%g' /tree/program /tree/inner/link").split() == ["1234:5678", "11:22"]
    container.copy_out("/tree", tmp_path / "back")
    assert (tmp_path / "back" / "program").stat().st_uid == 1234
    assert (tmp_path / "back" / "inner" / "link").lstat().st_gid == 22


class TestDestinationsInContainer:
    def test_file_gets_its_name_in_a_directory(self, engine: Engine, tree: Path) -> None:
        container = idle(engine)
        container.copy_in(tree / "program", "/tmp")
        container.copy_in(tree / "program", "tmp/other")
        assert container.succeed("cd /tmp; ls").split() == ["other", "program"]

    def test_file_replaces_a_file_at_once(self, engine: Engine, tree: Path) -> None:
        container = idle(engine)
        container.succeed("echo old > /file; exec 3< /file; cat <&3")
        container.copy_in(tree / "program", "/file")
        assert container.succeed("cat /file; ls -A / | grep -c part || true") == "#!/bin/sh\n0\n"

    def test_directory_goes_into_a_directory_and_its_contents_with_a_dot(self, engine: Engine, tree: Path) -> None:
        container = idle(engine)
        container.succeed("mkdir -m 1777 /in /contents; touch /contents/stays")
        container.copy_in(tree, "/in")
        container.copy_in(f"{tree}/.", "/contents")
        assert container.succeed("cd /in; find . -type f | sort").split() == ["./tree/inner/hard", "./tree/program"]
        assert container.succeed("ls /contents; stat -c %a /contents").split() == [
            "inner", "program", "stays", "1777"
        ]

    def test_link_at_the_destination_is_followed_inside(self, engine: Engine, tree: Path) -> None:
        container = idle(engine)
        container.succeed("mkdir /real; ln -s /real /link; ln -s ../real/file /real/chain; ln -s /nowhere /loose")
        container.copy_in(tree / "program", "/link")
        container.copy_in(tree / "program", "/link/chain")
        container.copy_in(tree / "program", "/loose")
        assert container.succeed("ls -F /real; test -L /real/chain; ls /nowhere").split() == [
            "chain@", "file*", "program*", "/nowhere"
        ]

    @pytest.mark.parametrize(
        ("destination", "error", "says"),
        [
            pytest.param("/no/such/place", NotFoundError, "No such file", id="no parent"),
            pytest.param("/no/", NotFoundError, "no directory /no/", id="no directory"),
            pytest.param("/etc/passwd/", NotFoundError, "Not a directory|no directory", id="file as directory"),
        ],
    )
    def test_file_needs_a_place(
        self, engine: Engine, tree: Path, destination: str, error: type[Exception], says: str
    ) -> None:
        with pytest.raises(error, match=says):
            idle(engine).copy_in(tree / "program", destination)

    def test_directory_and_file_do_not_replace_each_other(self, engine: Engine, tree: Path) -> None:
        container = idle(engine)
        container.succeed("touch /file; mkdir -p /in/tree/program /other; touch /other/inner")
        with pytest.raises(ConflictError, match="/file is no directory"):
            container.copy_in(tree, "/file")
        with pytest.raises(ConflictError, match="'tree/program' is a directory"):
            container.copy_in(tree, "/in")
        with pytest.raises(ConflictError, match="'inner' is there, and is no directory"):
            container.copy_in(f"{tree}/.", "/other")

    def test_source_that_is_not_there_is_named(self, engine: Engine, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="absent: No such file"):
            idle(engine).copy_in(tmp_path / "absent", "/")

    def test_read_only_root_takes_nothing(self, engine: Engine, tree: Path) -> None:
        with pytest.raises(Exception, match="Read-only file system"):
            idle(engine, read_only=True).copy_in(tree, "/")


class TestDestinationsOnHost:
    def test_rules_are_the_same(self, engine: Engine, tmp_path: Path) -> None:
        container = idle(engine)
        container.succeed("mkdir /d; echo x > /d/f")
        container.copy_out("/d/f", tmp_path)
        container.copy_out("/d/f", tmp_path / "g")
        container.copy_out("/d", tmp_path)
        container.copy_out("/d/.", tmp_path / "new")
        for path in ("f", "g", "d/f", "new/f"):
            assert (tmp_path / path).read_text() == "x\n"
        with pytest.raises(ConflictError):
            container.copy_out("/d", tmp_path / "f")
        with pytest.raises(NotFoundError):
            container.copy_out("/d/f", f"{tmp_path}/absent/")
        with pytest.raises(NotFoundError, match="No such file"):
            container.copy_out("/absent", tmp_path)

    def test_link_as_source_is_copied_or_followed(self, engine: Engine, tmp_path: Path) -> None:
        container = idle(engine)
        container.succeed("mkdir /d; echo x > /d/f; ln -s d/f /file; ln -s d /dir")
        container.copy_out("/file", tmp_path)
        container.copy_out("/file", tmp_path / "followed", follow=True)
        container.copy_out("/dir/", tmp_path)
        assert os.readlink(tmp_path / "file") == "d/f"
        assert (tmp_path / "followed").read_text() == "x\n"
        assert (tmp_path / "dir" / "f").read_text() == "x\n"

    def test_names_that_are_no_text_are_kept(self, engine: Engine, tmp_path: Path) -> None:
        container = idle(engine)
        container.succeed(r"""mkdir /d; touch "$(printf '/d/\377 \n;')" """)
        container.copy_out("/d", tmp_path)
        assert os.listdir(os.fsencode(tmp_path / "d")) == [b"\xff \n;"]
        assert container.glob("/d/*") == [os.fsdecode(b"/d/\xff \n;")]

    def test_system_directories_are_empty(self, engine: Engine, tmp_path: Path) -> None:
        idle(engine).copy_out("/", tmp_path / "all")
        assert os.listdir(tmp_path / "all" / "proc") == []
        assert os.listdir(tmp_path / "all" / "sys") == []
        assert (tmp_path / "all" / "bin" / "busybox").is_file()


# hostile containers


def test_link_of_an_earlier_copy_is_not_followed_on_the_host(engine: Engine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_text("alive")
    container = idle(engine)
    container.succeed(f"mkdir /d; ln -s {outside} /d/sub; ln -s {outside}/canary /d/file")
    container.copy_out("/d", tmp_path / "to")
    container.succeed("rm /d/sub /d/file; mkdir /d/sub; echo bad > /d/sub/canary; echo bad > /d/file")
    with pytest.raises(ConflictError, match="'sub' is there, and is no directory"):
        container.copy_out("/d/.", tmp_path / "to")
    container.copy_out("/d/file", tmp_path / "to" / "other")
    container.succeed("rm -r /d/sub")
    container.copy_out("/d/.", tmp_path / "to")
    assert (tmp_path / "to" / "file").read_text() == "bad\n"
    assert os.listdir(outside) == ["canary"]
    assert (outside / "canary").read_text() == "alive"


def test_links_in_the_container_lead_to_its_own_files(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the host's")
    container = idle(engine)
    depth = "../" * 20
    container.succeed(f"ln -s {depth}{tmp_path} /up; ln -s {tmp_path} /absolute; ln -s /proc/1/root /magic")
    for path in ("/up/secret", "/absolute/secret", f"/{depth}{tmp_path}/secret", "/magic/etc/passwd"):
        with pytest.raises(NotFoundError):
            container.copy_out(path, tmp_path / "taken", follow=True)
        with pytest.raises(NotFoundError):
            container.copy_in(tmp_path / "secret", f"{path}/deeper")
    assert container.glob("/up/*") == container.glob("/absolute/*") == []
    assert os.listdir(tmp_path) == ["secret"]


def test_link_on_the_way_in_the_container_is_refused(engine: Engine, tree: Path) -> None:
    container = idle(engine)
    container.succeed("mkdir /in; ln -s /etc /in/inner")
    with pytest.raises(ConflictError, match="'inner' is there"):
        container.copy_in(f"{tree}/.", "/in")
    archive = build_tar({"inner/passwd": file(b"bad")})
    with pytest.raises(UnsafeEntryError, match="Not a directory"):
        container.import_("/in", io.BytesIO(archive))
    assert "bad" not in container.succeed("cat /etc/passwd")


@pytest.mark.root
def test_devices_and_set_id_bits_stay_in_the_container(engine: Engine, tmp_path: Path) -> None:
    container = idle(engine, cap_add=["MKNOD"])
    container.succeed("mkdir /d; cp /bin/busybox /d/su; chmod 6755 /d/su; mknod /d/disk b 7 0; mkfifo /d/fifo")
    container.copy_out("/d", tmp_path)
    assert sorted(os.listdir(tmp_path / "d")) == ["fifo", "su"]
    assert stat.S_IMODE((tmp_path / "d" / "su").stat().st_mode) == 0o755
    back = idle(engine)
    content = io.BytesIO()
    container.export("/d", content)
    back.import_("/", io.BytesIO(content.getvalue()))
    assert back.succeed("stat -c '%a %F' /d/su /d/disk").splitlines() == ["6755 regular file", "644 block special file"]


def test_directory_that_is_deeper_than_any_is_refused(engine: Engine, tmp_path: Path) -> None:
    container = idle(engine)
    container.succeed("mkdir /deep; cd /deep; i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done; touch f")
    with pytest.raises(UnsafeEntryError, match="directories deep"):
        container.copy_out("/deep", tmp_path)
    assert container.glob("/deep/**/f") == []


def test_half_a_file_has_no_name(engine: Engine, tmp_path: Path) -> None:
    archive = build_tar({"whole": file(b"1"), "half": file(b"x" * 100_000)})
    container = idle(engine)
    container.succeed("mkdir /in; echo before > /in/half")
    with pytest.raises(Exception, match="ends in the middle"):
        container.import_("/in", io.BytesIO(archive[:50_000]))
    assert container.succeed("ls -A /in; cat /in/half").split() == ["half", "whole", "before"]


# archives


def test_archive_goes_out_and_in(engine: Engine, tree: Path) -> None:
    container = idle(engine)
    container.copy_in(tree, "/")
    content = io.BytesIO()
    container.export("/tree", content)
    content.seek(0)
    with tarfile.open(fileobj=content) as archive:
        assert archive.getnames() == ["tree", "tree/inner", "tree/inner/hard", "tree/inner/link", "tree/program"]
    content.seek(0)
    container.import_("/tmp", content)
    assert container.succeed("cat /tmp/tree/program") == "#!/bin/sh\n"
    with pytest.raises(NotFoundError, match="Not a directory"):
        container.import_("/etc/passwd", io.BytesIO(build_tar({"a": b"1"})))


# patterns


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/d/*.db", ["/d/a.db", "/d/b.db"]),
        ("/d/?.log", ["/d/a.log"]),
        ("/d/[bc].*", ["/d/b.db"]),
        ("/d/.*", ["/d/.hidden"]),
        ("/d/**/*.db", ["/d/a.db", "/d/b.db", "/d/s/t/deep.db"]),
        ("/d/s/**", ["/d/s/t", "/d/s/t/deep.db"]),
        ("/d/link/a*", ["/d/link/a.db", "/d/link/a.log"]),
        ("/d", ["/d"]),
        ("/absent/*", []),
        ("/proc/*", []),
    ],
)
def test_pattern_finds_paths(engine: Engine, pattern: str, found: list[str]) -> None:
    container = idle(engine)
    container.succeed("mkdir -p /d/s/t; cd /d; touch a.db b.db a.log .hidden s/t/deep.db; ln -s /d link")
    assert container.glob(pattern) == found


def test_pattern_has_to_be_absolute(engine: Engine) -> None:
    with pytest.raises(InvalidInputError, match="begin with '/'"):
        idle(engine).glob("*.db")


# changes


@pytest.fixture(scope="session")
def layered(image_store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of several layers that hide and replace each other's files."""
    name = "localhost/layered:1"
    first: Files = {"a/one": b"1", "a/two": b"2", "b/x": b"x", "c/gone": b"g", "d/sub/f": b"f", "link": symlink("a")}
    second: Files = {
        "a/.wh.two": b"", "b/.wh..wh..opq": b"", "b/y": b"y", "c": file(b"a file"), "e/": directory(mode=0o700)
    }
    image = busybox_builder().layer(first).layer(second).build()
    archive = image.write_docker_archive(tmp_path_factory.mktemp("layered") / "image.tar", names=[name])
    with Engine.open(root=image_store) as engine:
        engine.load(archive)
    return name


def test_changes_are_what_the_container_did(engine: Engine, layered: str) -> None:
    container = engine.run(layered, ["sleep", "1000"], network="none")
    assert container.changed() == []
    container.succeed(
        "echo new > /a/two; echo more >> /a/one; rm /b/y; touch /b/x; rm /c; mkdir /c; touch /c/gone",
        "rm -r /d; mkdir -p /d/other; chmod 711 /e; rm /link; ln -s b /link; : >> /etc/passwd; touch /tmp/t",
    )
    changes = [Change("added", path) for path in ("/a/two", "/b/x", "/c/gone", "/d/other", "/tmp/t")]
    changes += [Change("changed", path) for path in ("/a/one", "/c", "/e", "/link")]
    changes += [Change("deleted", path) for path in ("/b/y", "/d/sub")]
    assert container.changed() == sorted(changes, key=lambda change: change.path)
    container.stop()
    assert container.changed() == sorted(changes, key=lambda change: change.path)


def test_what_is_made_for_a_container_is_none_of_its_changes(engine: Engine) -> None:
    container = idle(
        engine, volumes=["/data/deep/volume", "other:/var/run/linked"], workdir="/made/for/it", tmpfs=["/scratch/t"]
    )
    assert container.changed() == []
    container.succeed("touch /data/deep/volume/f /data/mine /etc/hostname /made/for/it/x")
    assert container.changed() == [Change("added", "/data/mine"), Change("added", "/made/for/it/x")]


def test_changes_of_a_hostile_tree_lead_nowhere(engine: Engine) -> None:
    container = idle(engine)
    container.succeed("mkdir /d; ln -s / /d/loop; ln -s ../../../.. /d/up; mkfifo /d/fifo")
    assert [change.path for change in container.changed()] == ["/d", "/d/fifo", "/d/loop", "/d/up"]
