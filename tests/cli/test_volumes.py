"""Volumes of the command line, through the real program."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_cli import CommandLine, build_environment
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import build_tar, file
from tests.support.rootless import build_argv_as_user, environment_of_user

IDLE = ("--network", "none", BUSYBOX, "sleep", "1000")


@pytest.fixture
def volumes(cli: CommandLine) -> Iterator[CommandLine]:
    """The command line; its volumes, which would stay, go with the test."""
    yield cli
    cli.ok("volume", "rm", "--all", "--force")
    assert cli.ok("volume", "ls", "-q") == ""


def test_volume_stays_when_the_session_ends(volumes: CommandLine) -> None:
    assert volumes.ok("volume", "create", "data", "-l", "a=b") == "data"
    assert volumes.ok("sessions", "-q") == ""
    volumes.ok("run", "--rm", "-v", "data:/d", "--network", "none", BUSYBOX, "sh", "-c", "echo hello > /d/file")
    volumes.ok("sessions", "end", "--all")
    assert volumes.ok("run", "--rm", "-v", "data:/d:ro", "--network", "none", BUSYBOX, "cat", "/d/file") == "hello"
    (document,) = volumes.json("volume", "inspect", "data")
    assert (document["Name"], document["Driver"], document["Labels"]) == ("data", "local", {"a": "b"})
    assert Path(document["Mountpoint"], "file").exists()


def test_list_shows_users_and_filters(volumes: CommandLine) -> None:
    volumes.ok("volume", "create", "idle", "-l", "kind=x")
    volumes.ok("run", "-d", "--name", "c", "-v", "busy:/d", "-v", "/own", *IDLE)
    own = [document["Name"] for document in volumes.json("volume", "ls", "--format", "json") if document["Anonymous"]]
    assert volumes.ok("volume", "ls", "--format", "{{.Name}} {{.Links}}").splitlines() == [
        "busy 1", "idle 0", *(f"{name} 1" for name in own)
    ]  # fmt: skip
    assert volumes.ok("volume", "list", "-q", "-f", "dangling=true") == "idle"
    assert volumes.ok("volume", "ls", "-q", "-f", "label=kind=x") == "idle"
    assert volumes.ok("volume", "ls", "-q", "-f", "name=us") == "busy"
    assert volumes.ok("volume", "ls").splitlines()[0].split() == ["DRIVER", "VOLUME", "NAME", "CONTAINERS", "CREATED"]
    assert {mount["Type"] for mount in volumes.json("inspect", "c")[0]["Mounts"]} == {"volume"}
    assert volumes.json("inspect", "idle")[0]["Name"] == "idle"
    volumes.ok("rm", "-f", "-v", "c")
    assert volumes.ok("volume", "ls", "-q").split() == ["busy", "idle"]


def test_volume_in_use_is_refused_and_goes_by_force(volumes: CommandLine) -> None:
    volumes.ok("run", "-d", "--name", "user", "-v", "data:/d", *IDLE)
    done = volumes("volume", "rm", "data", "other")
    assert done.returncode == 125
    assert "volume data is used by the container user" in done.stderr
    assert "no volume 'other'" in done.stderr
    assert volumes.ok("volume", "rm", "-f", "data", "other") == "data"
    assert volumes.ok("ps", "-aq") == ""


def test_exists_answers_by_its_exit_code(volumes: CommandLine) -> None:
    assert volumes("volume", "exists", "data").returncode == 1
    volumes.ok("volume", "create", "data")
    assert volumes("volume", "exists", "data").returncode == 0


def test_prune_asks_and_leaves_what_is_used(volumes: CommandLine) -> None:
    volumes.ok("volume", "create", "idle")
    volumes.ok("run", "-d", "-v", "busy:/d", *IDLE)
    for answer in ("", "n\n"):
        assert volumes("volume", "prune", stdin=answer).returncode == 1
    assert volumes.ok("volume", "prune", stdin="y\n") == "idle"
    assert volumes.ok("volume", "prune", "-f") == ""
    assert volumes.ok("volume", "ls", "-q") == "busy"


def test_archive_goes_out_and_comes_in(volumes: CommandLine, tmp_path: Path) -> None:
    volumes.ok("volume", "create", "one")
    volumes.ok("volume", "create", "two")
    archive = tmp_path / "in.tar"
    archive.write_bytes(build_tar({"dir/file": file("x", uid=7)}))
    volumes.ok("volume", "import", "one", str(archive))
    volumes.ok("volume", "export", "one", "-o", str(tmp_path / "out.tar"))
    with tarfile.open(tmp_path / "out.tar") as out:
        assert [(member.name, member.uid) for member in out] == [(".", 0), ("dir", 0), ("dir/file", 7)]
    content = subprocess.run(
        volumes.argv("volume", "export", "one"), env=volumes.environment, capture_output=True, check=True
    ).stdout
    subprocess.run(volumes.argv("volume", "import", "two"), env=volumes.environment, input=content, check=True)
    assert volumes.ok("run", "--rm", "-v", "two:/d", "--network", "none", BUSYBOX, "cat", "/d/dir/file") == "x"
    with tarfile.open(fileobj=io.BytesIO(content)) as piped:
        assert piped.getnames() == [".", "dir", "dir/file"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.tar", "out.tar"]


def test_mount_option_takes_every_kind(volumes: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host\n")
    volumes.ok(
        "run", "-d", "--name", "c",
        "--mount", f"type=bind,source={tmp_path},target=/b,readonly",
        "--mount", "type=volume,src=data,dst=/v",
        "--mount", "type=tmpfs,target=/t,tmpfs-size=64k",
        "--mount", f"type=image,source={BUSYBOX},target=/i",
        *IDLE,
    )  # fmt: skip
    seen = volumes.ok("exec", "c", "sh", "-ec", "cat /b/file; touch /v/x /t/x; test -x /i/bin/busybox; ! touch /b/y")
    assert seen == "host"
    assert volumes.ok("inspect", "-f", "{{len .Mounts}}", "c") == "4"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("volume", "create", "a/b"), "invalid name 'a/b'"),
        (("volume", "create", "a", "-d", "nfs"), "'nfs' is none of local"),
        (("volume", "create", "a", "-l", "=x"), "is not KEY=VALUE"),
        (("volume", "inspect", "nope"), "no volume 'nope'"),
        (("volume", "export", "nope"), "no volume 'nope'"),
        (("volume", "import", "nope"), "no volume 'nope'"),
        (("volume", "ls", "-f", "size=3"), "--filter 'size=3' is not known"),
        (("volume", "rm"), "missing VOLUME"),
        (("volume", "make"), "unknown command 'volume make'"),
        (("volume",), "unknown command 'volume'"),
        (("inspect", "--type", "volume", "nope"), "no volume 'nope'"),
        (("inspect", "nope"), "no container, pod, image, volume or network 'nope'"),
        (("run", "-v", "a:/b:quick", BUSYBOX), "unknown option 'quick'"),
        (("run", "--mount", "type=cifs,target=/x", BUSYBOX), "unknown type 'cifs'"),
    ],
)
def test_bad_input_is_a_named_error_and_leaves_nothing(
    volumes: CommandLine, arguments: tuple[str, ...], message: str
) -> None:
    done = volumes(*arguments)
    assert done.returncode == 125
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert volumes.ok("volume", "ls", "-q") == ""


def test_failed_export_leaves_no_file_and_import_of_nothing_is_refused(volumes: CommandLine, tmp_path: Path) -> None:
    volumes.ok("volume", "create", "data")
    assert volumes("volume", "export", "data", "-o", str(tmp_path / "no" / "such")).returncode == 125
    for content in ("", "no archive" * 100):
        done = volumes("volume", "import", "data", stdin=content)
        assert (done.returncode, "Traceback" in done.stderr) == (125, False)
    assert "there is a volume data already" in volumes("volume", "create", "data").stderr
    assert volumes.ok("volume", "create", "--ignore", "data") == "data"


def test_volumes_of_kept_sessions_are_listed_with_their_session(volumes: CommandLine) -> None:
    with Engine.open(root=volumes.root) as engine:
        engine.create_volume("kept", content={"a": "b"})
        assert volumes.ok("volume", "ls", "-q") == ""
        session = engine.keep(60)
        assert volumes.ok("volume", "ls", "--format", "{{.Name}} {{.Session}}") == f"kept {session}"
        assert volumes.ok("volume", "create", "--session", session, "more") == "more"
        assert volumes.ok("volume", "prune", "-f") == ""
        assert volumes.ok("volume", "rm", "kept") == "kept"
        assert volumes.ok("--session", session, "volume", "prune", "-f") == "more"


def test_ordinary_user_makes_uses_and_removes_volumes(tmp_path: Path) -> None:
    script = f"""
set -e
root=$(mktemp -d); export PYTEST_PODS_ROOT=$root/store
pods() {{ {CommandLine(tmp_path, {}).argv()[0]} -m pytest_pods "$@"; }}
pods load -q
pods volume create data
test "$(pods sessions -q)" = ""
pods run --rm -v data:/d --network none {BUSYBOX} sh -c 'mkdir /d/deep; echo hi > /d/deep/file; chown -R 1000 /d'
pods run --rm -v data:/d --network none -u 1000 {BUSYBOX} sh -c 'chmod 700 /d /d/deep'
pods sessions end --all
pods volume export data | tar -t
pods volume rm data
pods volume ls -q
test -z "$(ls $root/store/staging)"
pods sessions end --all
rm -rf "$root"
"""
    from tests.support.images import busybox_image

    archive = busybox_image().write_docker_archive(tmp_path / "image.tar", names=[BUSYBOX])
    environment = {**build_environment(tmp_path), **environment_of_user()}
    argv = build_argv_as_user(["/bin/sh", "-c", script])
    done = subprocess.run(argv, env=environment, input=archive.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert {b"./", b"deep/file"} <= set(done.stdout.splitlines())
