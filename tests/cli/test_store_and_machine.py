"""Images, sessions, left-overs and the machine itself, at the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fixtures_cli import CommandLine, build_environment
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import BuiltImage, busybox_image
from tests.support.leaks import HostState, find_leaks, wait_until_clean
from tests.support.rootless import build_argv_as_user, environment_of_user

ALONE = "localhost/alone:2"
Push = Callable[[BuiltImage], str]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line on an empty store; its idle session is not waited for."""
    line = CommandLine(tmp_path / "store", build_environment(tmp_path / "store"))
    yield line
    line.ok("sessions", "end", "--all")


def test_image_is_loaded_listed_inspected_and_removed(own: CommandLine, tmp_path: Path) -> None:
    archive = busybox_image().write_docker_archive(tmp_path / "image.tar", names=[ALONE])
    assert own.ok("load", "-i", str(archive)) == f"Loaded image: {ALONE}"
    headers, row = own.ok("images").splitlines()
    assert headers.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert row.split()[:2] == ["localhost/alone", "2"]
    short_id = own.ok("images", "-q")
    assert row.split()[2] == short_id
    (document,) = own.json("images", "--format", "json")
    assert document["RepoTags"] == [ALONE]
    assert document["Id"].startswith(short_id)
    assert own.ok("images", "--format", "{{.Repository}}:{{.Tag}}") == ALONE
    assert own.ok("image", "inspect", "-f", "{{.Os}} {{len .RootFS.Layers}}", short_id) == "linux 1"
    assert own.ok("rmi", ALONE) == f"Removed: {ALONE}"
    assert own.json("images", "--format", "json") == []


def test_archive_comes_from_a_pipe(own: CommandLine, tmp_path: Path) -> None:
    archive = busybox_image().write_oci_archive(tmp_path / "image.tar", name=ALONE)
    with archive.open("rb") as file:
        done = subprocess.run(
            own.argv("load", "-q"), env=own.environment, stdin=file, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (0, f"Loaded image: {ALONE}\n"), done.stderr


def test_image_of_a_container_is_not_removed(cli: CommandLine) -> None:
    cli.ok("create", "--name", "user", "--network", "none", BUSYBOX, "true")
    done = cli("rmi", BUSYBOX)
    assert done.returncode == 125
    assert "user" in done.stderr
    assert cli.ok("images", "-q") != ""


@pytest.mark.registry
def test_pull_prints_the_id_and_tells_its_progress_in_lines(own: CommandLine, push: Push) -> None:
    name = push(busybox_image())
    done = own("pull", name)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) == 64
    assert "layer" in done.stderr
    assert "\033" not in done.stderr
    assert own("pull", "-q", name).stderr == ""


@pytest.mark.registry
def test_pull_shows_bars_on_a_terminal(own: CommandLine, push: Push) -> None:
    name = push(busybox_image())
    with own.terminal("pull", name) as typist:
        typist.expect(r"\033\[\d+F\033\[J")
        typist.expect("[0-9a-f]{64}")
        assert typist.wait() == 0


def test_run_pulls_nothing_when_it_must_not(own: CommandLine) -> None:
    done = own("run", "--pull", "never", "localhost/none:1")
    assert done.returncode == 125
    assert "hint: " in done.stderr


def test_sessions_are_listed_and_ended(cli: CommandLine) -> None:
    assert cli.json("sessions", "--format", "json") == []
    cli.ok("run", "-d", "--name", "box", "--network", "none", BUSYBOX, "sleep", "1000")
    (session,) = cli.json("sessions", "--format", "json")
    assert (session["Kind"], session["Containers"]) == ("command-line", 1)
    assert "with its last container" in cli.ok("sessions")
    assert cli.ok("--session", "command-line", "ps", "--format", "{{.Names}}") == "box"
    assert cli("--session", "nosuch", "ps").returncode == 125
    assert cli.ok("sessions", "end", "command-line") == "command-line"
    assert cli.json("sessions", "--format", "json") == []
    assert cli.ok("ps", "-aq") == ""


def test_listing_starts_no_session(own: CommandLine) -> None:
    for words in (["ps"], ["images"], ["sessions"], ["gc"], ["info"]):
        own.ok(*words)
    assert not list((own.root / "run/sessions").glob("*/session.json"))


def test_session_without_containers_ends_by_itself(own: CommandLine, tmp_path: Path) -> None:
    before = HostState.take()
    archive = busybox_image().write_docker_archive(tmp_path / "image.tar", names=[ALONE])
    own.ok("load", "-i", str(archive))
    own.ok("run", "--rm", "--network", "none", ALONE, "true")
    assert wait_until_clean(lambda: find_leaks(before, tmp_path), patience_s=20.0) == []


def test_left_overs_of_a_killed_session_are_swept_and_named(cli: CommandLine) -> None:
    assert cli.ok("gc") == "nothing to remove: no dead session left anything"
    code = (
        "import sys; from pathlib import Path; from pytest_pods.engine.api import Engine\n"
        f"engine = Engine.open(root=Path({str(cli.root)!r})); engine.start(); print(engine.session_id, flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env=cli.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        session = owner.stdout.readline().strip()
        # The janitor, which would tidy up, goes first.
        kill_janitor(session)
        owner.kill()
    directory = cli.root / "run/sessions" / session
    assert directory.exists()
    assert cli.ok("gc") == f"removed what session {session} left"
    assert not directory.exists()


def kill_janitor(session: str) -> None:
    """Kills the outermost of the session's own processes, which has the lowest pid."""
    pids = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (directory / "cmdline").read_bytes()
        except OSError:
            continue
        if session.encode() in arguments and b"janitor" in arguments:
            pids.append(int(directory.name))
    os.kill(min(pids), signal.SIGKILL)


def test_doctor_says_that_containers_can_run_here(cli: CommandLine) -> None:
    printed = cli.ok("doctor")
    who = "as root" if os.geteuid() == 0 else "rootless"
    assert f"Containers can run here, {who}, in sandboxes of level 1." in printed
    document = cli.json("doctor", "--format", "json")
    assert document["Able"]
    assert document["Level"] == 1
    subjects = {finding["Subject"]: finding["Health"] for finding in document["Findings"]}
    assert subjects["runc"] == subjects["overlayfs"] == subjects["native helper"] == "good"


@pytest.mark.root
def test_doctor_names_what_is_missing_and_fails(cli: CommandLine, tmp_path: Path) -> None:
    # A mount namespace in which the program is no program.
    script = 'mount --bind /dev/null "$0" && exec "$@"'
    hide = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script]
    runc = subprocess.run(["/bin/sh", "-c", "command -v runc"], capture_output=True, text=True, check=True).stdout
    done = subprocess.run(
        [*hide, str(Path(runc.strip()).resolve()), *cli.argv("doctor")],
        env=cli.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "runc: not installed" in done.stdout
    assert "do: apt install runc" in done.stdout
    assert "Containers cannot run here as root" in done.stdout


@pytest.mark.rootless
def test_doctor_of_an_ordinary_user_tells_about_ids(tmp_path: Path) -> None:
    done = subprocess.run(
        build_argv_as_user([sys.executable, "-m", "pytest_pods", "doctor", "--format", "json"]),
        env=environment_of_user(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["Rootless"]
    subjects = {finding["Subject"]: finding["Health"] for finding in document["Findings"]}
    assert subjects["subordinate ids"] == "good"


def test_info_counts_what_there_is(cli: CommandLine) -> None:
    cli.ok("create", "--network", "none", BUSYBOX, "true")
    document = cli.json("info", "--format", "json")
    assert document["Containers"]["Total"] == 1
    assert document["Store"]["Root"] == str(cli.root)
    assert "Images: 1" in cli.ok("info")


def test_version_costs_little_more_than_python(cli: CommandLine) -> None:
    code = "import sys; from pytest_pods.cli.main import main; main(['version']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=cli.environment, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[1].split())
    assert not loaded & {"typing", "argparse", "re", "dataclasses", "pathlib", "json", "subprocess"}
    assert not [name for name in loaded if name.startswith("pytest_pods.engine")]


def test_debugging_shows_where_an_error_comes_from(cli: CommandLine) -> None:
    assert "Traceback" not in cli("inspect", "nosuch").stderr
    for done in (cli("logs", "nosuch", PYTEST_PODS_DEBUG="1"), cli("--debug", "logs", "nosuch")):
        assert "Traceback" in done.stderr
        assert done.returncode == 125


def test_reader_that_leaves_early_is_no_error(cli: CommandLine) -> None:
    script = "set -o pipefail; \"$@\" | head -c 1 >/dev/null"
    done = subprocess.run(
        ["/bin/bash", "-c", script, "sh", *cli.argv("--help")], env=cli.environment, capture_output=True, check=False
    )
    assert done.stderr == b""
