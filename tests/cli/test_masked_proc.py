"""An ordinary user inside an ordinary container of somebody else's: parts of /proc are masked, so that the kernel gives
no PID namespace a /proc of its own. Sessions are of level 2 there."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from pytest_pods.engine.services.members import find_members
from tests.support.fixtures_user import RunAsUser, StartUser
from tests.support.images import busybox_image
from tests.support.leaks import wait_until_clean

pytestmark = [pytest.mark.root, pytest.mark.rootless]

IMAGE = "localhost/busybox:1"


@pytest.fixture
def run(user_on: StartUser) -> RunAsUser:
    return user_on("mount -t tmpfs tmpfs /proc/fs", busybox_image(), IMAGE)


def started(run: RunAsUser, *arguments: str) -> str:
    done = run("run", "-d", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_doctor_tells_the_level_and_the_reason(run: RunAsUser) -> None:
    document = json.loads(run("doctor", "--format", "json").stdout)
    assert document["Level"] == 2
    (finding,) = (one for one in document["Findings"] if one["Subject"] == "sandbox")
    assert "/proc" in finding["Found"]
    assert "unmask" in finding["Cure"]


def test_exit_code_output_and_ids_are_as_ever(run: RunAsUser) -> None:
    done = run("run", "--rm", "--network", "none", IMAGE, "sh", "-c", "id -u; exit 7")
    assert (done.returncode, done.stdout) == (7, "0\n"), done.stderr


def test_published_port_exec_and_removal_with_a_way_out(run: RunAsUser) -> None:
    container = started(run, "-p", "8080", IMAGE, "httpd", "-f", "-p", "8080")
    host, _, port = run("port", container, "8080").stdout.strip().rpartition(":")
    with socket.create_connection((host.rpartition(" ")[2], int(port)), timeout=10) as connection:
        connection.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
        assert b"404" in connection.recv(100)
    assert run("exec", container, "hostname").stdout.strip() == container[:12]
    assert run("rm", "-f", container).returncode == 0


def test_volumes_and_their_parts_are_mounted(run: RunAsUser) -> None:
    part = "type=volume,src=data,dst=/part,subpath=deep"
    assert run("run", "--rm", "--network", "none", "-v", "data:/d:U", IMAGE, "mkdir", "/d/deep").returncode == 0
    done = run("run", "--rm", "--network", "none", "--mount", part, "-v", "/own", IMAGE, "touch", "/part/x", "/own/y")
    assert done.returncode == 0, done.stderr
    assert run("volume", "rm", "data").stdout == "data\n"


@pytest.mark.parametrize("ending", [("rm", "-f"), ("stop", "-t", "0"), ("kill",)], ids=lambda words: words[0])
def test_children_that_the_first_process_does_not_know_end_with_it(run: RunAsUser, ending: tuple[str, ...]) -> None:
    script = "setsid sleep 1000 & (sleep 1001 &); exec sleep 1002"
    container = started(run, "--network", "none", IMAGE, "sh", "-c", script)
    assert wait_until_clean(lambda: [] if len(find_members(container)) == 3 else ["too few"], patience_s=10) == []
    assert run(*ending, container).returncode == 0
    assert find_members(container) == []


def test_health_is_checked_and_what_a_check_left_behind_is_killed_with_it(run: RunAsUser) -> None:
    check = "sleep 777 & echo x >> /begun; sleep 778; true"
    often = ("--health-interval", "50ms", "--health-retries", "1", "--health-timeout", "300ms")
    container = started(run, "--network", "none", "--health-cmd", check, *often, IMAGE, "sleep", "1000")

    def look() -> list[str]:
        return [] if run("exec", container, "cat", "/begun").stdout.count("x") >= 4 else ["too few checks"]

    assert wait_until_clean(look, patience_s=60) == []
    assert run("ps", "-q", "--filter", "health=unhealthy").stdout.strip() == container[:12]
    # Its own process, and the four of one check that may be under way.
    assert len(find_members(container)) <= 5
    assert run("kill", container).returncode == 0
    assert wait_until_clean(lambda: [str(pid) for pid in find_members(container)], patience_s=10) == []


def test_processes_and_what_they_use_are_those_of_the_container_alone(run: RunAsUser) -> None:
    commands = {"one": "sleep 1001", "two": "sleep 1002"}
    containers = [
        started(run, "--network", "none", "--name", name, IMAGE, *command.split()) for name, command in commands.items()
    ]

    def find_others() -> list[str]:
        """Also what starts a command, for a moment."""
        tables = {name: run("top", name).stdout.splitlines() for name in commands}
        seen = {name: [" ".join(line.split()[5:]) for line in lines[1:]] for name, lines in tables.items()}
        return [f"{name}: {shown}" for name, shown in seen.items() if shown != [commands[name]]]

    assert wait_until_clean(find_others, patience_s=20) == []
    shown = json.loads(run("stats", "--no-stream", "--format", "json").stdout)
    assert [one["stats"]["id"] for one in shown] == containers
    assert all(one["stats"]["memory"] > 0 and one["pids"] == "1" for one in shown)


def test_members_are_told_by_their_root_alone(tmp_path: Path) -> None:
    overlay = "26 25 0:25 / {} rw - overlay overlay rw,lowerdir=/l,upperdir=/scratch/{}/upper\n"
    for pid, text in (
        ("10", overlay.format("/", "abc")),
        ("11", overlay.format("/merged/abc", "abc")),
        ("12", overlay.format("/", "def")),
    ):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "mountinfo").write_text(text)
    (tmp_path / "self").mkdir()
    (tmp_path / str(os.getpid())).mkdir()
    assert find_members("abc", proc=tmp_path) == [10]
