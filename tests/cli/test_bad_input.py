"""What goes wrong for people.

Each gives one named error that says what, on what, why and what to do, with the exit code that Podman's users expect,
and leaves nothing half-made.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_proxy import Change, FaultyProxy
from tests.support.fixtures_cli import CommandLine, build_environment
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import ImageBuilder
from tests.support.registry import Registry, run_registry

Push = Callable[..., str]


def refused(cli: CommandLine, *arguments: str, words: tuple[str, ...], code: int = 125, **options: Any) -> str:
    """Runs a command that has to fail with one error that has all of `words` in it; returns what it said."""
    done = cli(*arguments, **options)
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert cli.ok("ps", "--all", "--quiet") == ""
    return done.stderr


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line on a store without images; its idle session is not waited for."""
    line = CommandLine(tmp_path / "store", build_environment(tmp_path / "store"))
    yield line
    line.ok("sessions", "end", "--all")


def images(cli: CommandLine) -> list[object]:
    found: list[object] = cli.json("images", "--format", "json")
    return found


def test_unknown_image(empty: CommandLine, registry: Registry) -> None:
    name = registry.reference("no/such:1")
    refused(empty, "run", "--rm", name, "true", words=("no/such", registry.host))
    assert images(empty) == []


def test_unreachable_registry(empty: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
    refused(empty, "pull", f"{host}/some/image:1", words=(host, "refused", "hint:"))


def test_registry_that_has_no_name(empty: CommandLine) -> None:
    refused(empty, "pull", "registry.invalid/some/image:1", words=("registry.invalid", "hint:"))


def test_wrong_digest(empty: CommandLine, faulty_proxy: FaultyProxy, push: Push) -> None:
    reference = push(ImageBuilder().layer({"file": "content"}).build())
    name = reference.partition("/")[2]
    faulty_proxy.inject(r"GET /v2/.*/blobs/", Change(lambda content: content[:-1] + b"X"), times=50)
    refused(empty, "pull", faulty_proxy.reference(name), words=("sha256:", "digest"))
    assert images(empty) == []


def test_corrupt_manifest(empty: CommandLine, faulty_proxy: FaultyProxy, push: Push) -> None:
    name = push(ImageBuilder().layer({"file": "content"}).build()).partition("/")[2]
    cut = Change(lambda content: content[: len(content) // 2], headers={"Docker-Content-Digest": ""})
    faulty_proxy.inject(r"GET /v2/.*/manifests/", cut, times=50)
    refused(empty, "pull", faulty_proxy.reference(name), words=("manifest", faulty_proxy.reference(name).split(":")[0]))
    assert images(empty) == []


def test_wrong_credentials(tmp_path: Path) -> None:
    with run_registry(tmp_path / "registry", basic=True) as registry:
        secret = "not-the-password"
        auth = base64.b64encode(f"somebody:{secret}".encode()).decode()
        file = tmp_path / "auth.json"
        file.write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        cli = CommandLine(tmp_path / "store", build_environment(tmp_path / "store"))
        said = refused(
            cli, "pull", registry.reference("a/b:1"), words=(registry.host, "hint:"), REGISTRY_AUTH_FILE=str(file)
        )
        assert secret not in said
        assert auth not in said
        cli.ok("sessions", "end", "--all")


@pytest.mark.root
def test_full_disk_while_pulling(tmp_path: Path, push: Push) -> None:
    reference = push(ImageBuilder().layer({"big": os.urandom(6_000_000)}).build())
    root = tmp_path / "store"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", root], check=True)
    try:
        cli = CommandLine(root, build_environment(root))
        refused(cli, "pull", reference, words=("space", str(root)))
        assert images(cli) == []
        cli.ok("sessions", "end", "--all")
        kept = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        assert kept < 100_000
    finally:
        subprocess.run(["umount", root], check=True)


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        pytest.param(["no-such-command"], 127, ("no-such-command", "does not exist"), id="not found in PATH"),
        pytest.param(["/no/such/command"], 127, ("/no/such/command", "does not exist"), id="not found by path"),
        pytest.param(["/etc/passwd"], 126, ("/etc/passwd", "not executable"), id="not executable"),
        pytest.param(["/etc"], 126, ("/etc", "directory"), id="a directory"),
    ],
)
def test_command_that_cannot_be_executed(
    cli: CommandLine, command: list[str], code: int, words: tuple[str, ...]
) -> None:
    refused(cli, "run", BUSYBOX, *command, words=words, code=code)


def test_port_in_use(cli: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        words = (str(port), "in use", "hint:")
        refused(cli, "run", "-d", "-p", f"127.0.0.1:{port}:80", BUSYBOX, "sleep", "1", words=words)


@pytest.mark.root
@pytest.mark.parametrize("program", ["runc", "conmon", "slirp4netns"])
def test_missing_program(cli: CommandLine, tmp_path: Path, program: str) -> None:
    # The programs' directories are emptied of one in a mount namespace of the command's own.
    script = """for directory in /usr/sbin /usr/bin /usr/local/sbin /usr/local/bin; do
        [ -e "$directory/$0" ] && mount --bind /dev/null "$directory/$0"
    done
    exec "$@\""""
    argv = ["unshare", "--mount", "sh", "-c", script, program, *cli.argv("run", "--rm", BUSYBOX, "true")]
    done = subprocess.run(argv, env=cli.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 125
    assert done.stderr.startswith(f"Error: the program {program} is not installed")
    assert f"apt install {program}" in done.stderr
    assert cli.ok("ps", "--all", "--quiet") == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["run", "Not A Reference"], ("Not A Reference",), id="reference"),
        pytest.param(["run", "-p", "99999:80", BUSYBOX], ("99999",), id="port"),
        pytest.param(["run", "--name", "a b", BUSYBOX], ("a b",), id="name"),
        pytest.param(["run", "-v", "relative/place:/data", BUSYBOX], ("relative/place",), id="volume"),
        pytest.param(["run", "-v", "/no/such/place:/data", BUSYBOX, "true"], ("/no/such/place",), id="volume's source"),
        pytest.param(["run", "--cap-add", "CAP_NONSENSE", BUSYBOX, "true"], ("CAP_NONSENSE",), id="capability"),
        pytest.param(["run", "-u", "mallory", BUSYBOX, "true"], ("mallory",), id="user"),
        pytest.param(["run", "--network", "moon", BUSYBOX, "true"], ("moon",), id="network"),
        pytest.param(["run", "--env-file", "/no/such/file", BUSYBOX], ("/no/such/file",), id="environment file"),
        pytest.param(["load", "-i", "/no/such/archive"], ("/no/such/archive",), id="archive"),
    ],
)
def test_argument_that_cannot_be_meant(cli: CommandLine, arguments: list[str], words: tuple[str, ...]) -> None:
    refused(cli, *arguments, words=words)


@pytest.mark.parametrize(
    "arguments",
    [["start"], ["stop"], ["kill"], ["wait"], ["exec", "@", "true"], ["logs"], ["rm"], ["inspect"], ["restart"]],
    ids=lambda arguments: arguments[0],
)
def test_unknown_container(cli: CommandLine, arguments: list[str]) -> None:
    given = ["nobody" if one == "@" else one for one in arguments]
    done = cli(*(given if "nobody" in given else [*given, "nobody"]))
    assert done.returncode in (1, 125)
    assert "nobody" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_option_shows_the_usage(cli: CommandLine) -> None:
    done = cli("run", "--zzyzx", BUSYBOX)
    assert done.returncode == 125
    assert "--zzyzx" in done.stderr
    assert "--help" in done.stderr


def test_archive_that_is_none(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "garbage.tar"
    file.write_bytes(os.urandom(10_000))
    before = images(cli)
    refused(cli, "load", "-i", str(file), words=(str(file),))
    assert images(cli) == before


