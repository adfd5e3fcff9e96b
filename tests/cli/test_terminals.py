"""On a terminal: keys, sizes, detaching and signals do what people expect, and the terminal is given back as it was."""

from __future__ import annotations

import signal
import termios

import pytest

from tests.support.fixtures_cli import CommandLine
from tests.support.fixtures_store import BUSYBOX

RUN = ("run", "--rm", "--network", "none")


def test_shell_on_a_terminal_has_its_size_from_the_start_and_follows_it(cli: CommandLine) -> None:
    with cli.terminal(*RUN, "-it", BUSYBOX, "sh", rows=33, columns=111) as typist:
        typist.expect("/ # ")
        typist.type("stty size; tty\n")
        typist.expect("33 111\r\n/dev/pts/0")
        typist.terminal.resize(rows=44, columns=99)
        typist.process.send_signal(signal.SIGWINCH)
        typist.type("sleep 0.3; stty size\n")
        typist.expect("44 99")
        typist.type("exit 5\n")
        assert typist.wait() == 5


def test_interrupt_key_goes_to_the_program_in_the_container(cli: CommandLine) -> None:
    with cli.terminal(*RUN, "-it", BUSYBOX, "sh") as typist:
        typist.expect("/ # ")
        typist.type("sh -c 'echo o''n; sleep 1000'\n")
        typist.expect("on\r\n")
        typist.type("\x03")
        typist.expect("/ # ")
        typist.type("echo code $?; exit\n")
        typist.expect("code 130")
        assert typist.wait() == 0


def test_terminal_is_given_back_as_it_was(cli: CommandLine) -> None:
    with cli.terminal(*RUN, "-it", BUSYBOX, "sh") as typist:
        before = termios.tcgetattr(typist.terminal.outer)
        typist.expect("/ # ")
        assert termios.tcgetattr(typist.terminal.outer) != before
        typist.type("exit\n")
        typist.wait()
        assert termios.tcgetattr(typist.terminal.outer) == before


def test_detach_keys_leave_the_container_running_and_attach_comes_back(cli: CommandLine) -> None:
    with cli.terminal("run", "-it", "--name", "box", "--network", "none", BUSYBOX, "sh") as typist:
        typist.expect("/ # ")
        typist.type("remembered=yes\n")
        typist.expect("/ # ")
        typist.type("\x10\x11")
        typist.expect("detached: box goes on")
        assert typist.wait() == 0
    assert cli.ok("ps", "--format", "{{.Names}} {{.State}}") == "box running"
    with cli.terminal("attach", "box") as typist:
        typist.type("echo it was $remembered; exit 6\n")
        typist.expect("it was yes")
        assert typist.wait() == 6


def test_exec_on_a_terminal_is_interactive_and_resized(cli: CommandLine) -> None:
    cli.ok("run", "-d", "--name", "box", "--network", "none", BUSYBOX, "sleep", "1000")
    with cli.terminal("exec", "-it", "-e", "GIVEN=1", "box", "sh", rows=20, columns=70) as typist:
        typist.expect("/ # ")
        typist.type("stty size; tty; echo given $GIVEN\n")
        typist.expect("20 70\r\n/dev/pts/[0-9]+\r\ngiven 1")
        typist.terminal.resize(rows=30, columns=60)
        typist.process.send_signal(signal.SIGWINCH)
        typist.type("sleep 0.3; stty size; exit 9\n")
        typist.expect("30 60")
        assert typist.wait() == 9


def test_exec_without_terminal_takes_keys_and_their_end(cli: CommandLine) -> None:
    cli.ok("run", "-d", "--name", "box", "--network", "none", BUSYBOX, "sleep", "1000")
    with cli.terminal("exec", "-i", "box", "cat") as typist:
        typist.type("typed\n")
        typist.expect("typed\r\ntyped\r\n")
        typist.type("\x04")
        assert typist.wait() == 0


def test_shell_finds_one_and_ends_with_the_key_for_it(cli: CommandLine) -> None:
    cli.ok("run", "-d", "--name", "box", "--network", "none", BUSYBOX, "sleep", "1000")
    with cli.terminal("shell", "box") as typist:
        typist.expect("/ # ")
        typist.type("\x04")
        assert typist.wait() == 0


def test_interrupt_without_terminal_in_the_container_is_passed_on(cli: CommandLine) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    with cli.terminal(*RUN, BUSYBOX, "sh", "-c", script) as typist:
        typist.expect("ready")
        typist.type("\x03")
        typist.expect("caught")
        assert typist.wait() == 9


def test_third_interrupt_ends_it_whatever_the_container_does(cli: CommandLine) -> None:
    script = "trap 'echo heard' INT; echo ready; while :; do sleep 0.1; done"
    with cli.terminal(*RUN, "--name", "deaf", BUSYBOX, "sh", "-c", script) as typist:
        typist.expect("ready")
        for _ in range(2):
            typist.type("\x03")
            # Signals that come before the last one was taken are one.
            typist.expect("heard")
        typist.type("\x03")
        typist.expect("deaf did not end at 3 signals: it is removed by force")
        assert typist.wait() == 130
    assert cli.ok("ps", "-aq") == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(cli: CommandLine, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo caught; exit 9' {name}; echo ready; while :; do sleep 0.1; done"
    with cli.process(*RUN, BUSYBOX, "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == b"caught\n"
        assert process.wait(30) == 9


def test_interrupt_of_a_followed_log_is_quiet(cli: CommandLine) -> None:
    cli.ok("run", "-d", "--name", "box", "--network", "none", BUSYBOX, "sh", "-c", "echo said; sleep 1000")
    with cli.terminal("logs", "-f", "box") as typist:
        typist.expect("said")
        typist.type("\x03")
        assert typist.wait() == 130
        assert "Traceback" not in typist.seen


def test_terminal_without_one_to_read_from_says_so_and_works(cli: CommandLine) -> None:
    done = cli(*RUN, "-it", BUSYBOX, "sh", stdin="echo $((40+2)); exit 3\n")
    assert done.returncode == 3
    assert "42" in done.stdout
    assert "not a terminal" in done.stderr
