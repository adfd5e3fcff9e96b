"""`shell`: into a container, into a pod, and beside those that have no shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fixtures_cli import CommandLine
from tests.support.fixtures_store import BUSYBOX
from tests.support.fixtures_user import StartUser
from tests.support.images import BuiltImage, ImageBuilder, busybox_image, file

SHELLLESS = "localhost/shell-less:1"


def shell_less_image() -> BuiltImage:
    """It has one program, under a name that is no shell's."""
    return ImageBuilder().layer({"bin/sleep": file(Path("/bin/busybox").read_bytes(), mode=0o755)}).build()


@pytest.fixture
def shell_less(cli: CommandLine, tmp_path: Path) -> str:
    cli.ok("load", "-i", str(shell_less_image().write_docker_archive(tmp_path / "image.tar", names=[SHELLLESS])))
    return SHELLLESS


@pytest.fixture
def pod(cli: CommandLine) -> str:
    cli.ok("pod", "create", "--name", "shop", "--network", "none")
    for name in ("db", "web"):
        cli.ok("run", "-d", "--pod", "shop", "--name", name, BUSYBOX, "sh", "-c", f"echo {name} > /who; sleep 1000")
    return "shop"


def test_pod_is_entered_in_its_first_member_that_runs(cli: CommandLine, pod: str) -> None:
    done = cli("shell", pod, stdin="cat /who; grep -c web /etc/hosts; exit 7\n")
    assert (done.returncode, done.stdout) == (7, "db\n1\n")
    assert f"in container db ({BUSYBOX}); --member enters another" in done.stderr
    cli.ok("kill", "db")
    assert cli("shell", pod, stdin="cat /who\n").stdout == "web\n"


def test_pod_is_entered_in_the_member_that_was_asked_for(cli: CommandLine, pod: str) -> None:
    assert cli("shell", "--member", "web", pod, stdin="cat /who\n").stdout == "web\n"
    done = cli("shell", "--member", "nobody", pod)
    assert (done.returncode, done.stderr) == (125, "Error: pod shop has no member 'nobody' (but db, web)\n")


def test_pod_that_has_ended_is_not_entered_but_its_network_is(cli: CommandLine, pod: str) -> None:
    cli.ok("pod", "stop", pod)
    done = cli("shell", pod)
    assert done.returncode == 125
    assert "no member of pod shop runs" in done.stderr
    done = cli("shell", "--network-only", pod, stdin="getent hosts db\n")
    assert done.stdout.split() == ["127.0.0.1", "db"]


def test_container_without_a_shell_is_entered_with_one_of_the_hosts(cli: CommandLine, shell_less: str) -> None:
    cli.ok("run", "-d", "--name", "bare", "--network", "none", shell_less, "/bin/sleep", "1000")
    script = "grep bare /etc/hosts; cat /proc/net/dev | wc -l; test -d /usr/bin && pwd; exit 5\n"
    done = cli("shell", "bare", stdin=script, cwd=Path("/usr"))
    names, interfaces, directory = done.stdout.splitlines()
    assert done.returncode == 5
    assert names.split()[-1] == "bare"
    # Two lines of heading, and loopback alone.
    assert interfaces.strip() == "3"
    assert directory == "/usr"
    assert "bare has no shell of its own: a shell of this machine in the network of bare" in done.stderr
    assert "bare" not in Path("/etc/hosts").read_text()


def test_rights_that_a_shell_of_the_host_cannot_have_are_refused(cli: CommandLine, shell_less: str) -> None:
    cli.ok("run", "-d", "--name", "bare", "--network", "none", shell_less, "/bin/sleep", "1000")
    done = cli("shell", "--user", "1", "bare")
    assert (done.returncode, "bare has no shell that could run as asked" in done.stderr) == (127, True)
    done = cli("shell", "--network-only", "--privileged", "bare")
    assert "--network-only gives a shell of the host's" in done.stderr


def test_network_with_names_is_the_shells_too(cli: CommandLine) -> None:
    cli.ok("network", "create", "--internal", "backend")
    cli.ok("run", "-d", "--name", "db", "--network", "backend", BUSYBOX, "sleep", "1000")
    cli.ok("run", "-d", "--name", "web", "--network", "backend", BUSYBOX, "sleep", "1000")
    assert cli("shell", "--network-only", "web", stdin="getent ahostsv4 db\n").stdout.split()[0].startswith("10.")


def test_name_servers_stay_the_hosts_where_the_container_has_those_of_its_image(cli: CommandLine) -> None:
    cli.ok("run", "-d", "--name", "db", "--network", "none", "--dns", "none", BUSYBOX, "sleep", "1000")
    done = cli("shell", "--network-only", "db", stdin="cat /etc/resolv.conf\n")
    assert done.stdout == Path("/etc/resolv.conf").read_text()
    assert "not replaced" not in done.stderr


def test_network_of_another_is_entered_through_whoever_is_in_it(cli: CommandLine) -> None:
    cli.ok("run", "-d", "--name", "db", "--network", "none", BUSYBOX, "sleep", "1000")
    cli.ok("run", "-d", "--name", "beside", "--network", "container:db", BUSYBOX, "sleep", "1000")
    assert cli("shell", "--network-only", "beside", stdin="grep -c db /etc/hosts\n").stdout == "1\n"


def test_shell_of_the_host_has_the_terminal_with_its_keys_and_its_size(cli: CommandLine) -> None:
    cli.ok("run", "-d", "--name", "box", "--network", "none", BUSYBOX, "sleep", "1000")
    cli.environment["SHELL"] = "/bin/sh"
    cli.environment["PS1"] = "<here> "
    with cli.terminal("shell", "--network-only", "box", rows=33, columns=111) as typist:
        typist.expect("<here> ")
        typist.type("stty size; tty; grep -c box /etc/hosts\n")
        typist.expect("33 111\r\n/dev/pts/[0-9]+\r\n1\r\n")
        typist.type("cat\nback\n")
        # What was typed, and what came of it.
        typist.expect("back\r\n")
        typist.expect("back\r\n")
        typist.type("\x03")
        typist.expect("<here> ")
        typist.type("exit 6\n")
        assert typist.wait() == 6


def test_name_that_nothing_has_is_refused(cli: CommandLine) -> None:
    done = cli("shell", "nowhere")
    assert done.returncode == 125
    assert "no container 'nowhere', nor a pod of that name" in done.stderr


@pytest.mark.root
@pytest.mark.rootless
def test_ordinary_user_enters_the_network_too(user_on: StartUser) -> None:
    run = user_on("true", busybox_image(), BUSYBOX)
    run("run", "-d", "--name", "db", "--network", "none", BUSYBOX, "sleep", "1000")
    done = run("shell", "--network-only", "db", stdin="grep -c db /etc/hosts; wc -l < /proc/net/dev\n")
    assert (done.returncode, done.stdout.split()) == (0, ["1", "3"]), done.stderr
