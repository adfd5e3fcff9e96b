"""`run` in the foreground: streams, exit codes, options, and what is left afterwards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.fixtures_cli import CommandLine
from tests.support.fixtures_store import BUSYBOX

RUN = ("run", "--rm", "--network", "none")


def test_output_errors_and_exit_code_are_those_of_the_command(cli: CommandLine) -> None:
    done = cli(*RUN, BUSYBOX, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_container_of_rm_is_gone_afterwards(cli: CommandLine) -> None:
    cli.ok(*RUN, BUSYBOX, "true")
    assert cli.ok("ps", "-aq") == ""


def test_container_without_rm_stays_with_its_exit_code_and_log(cli: CommandLine) -> None:
    assert cli("run", "--network", "none", "--name", "once", BUSYBOX, "sh", "-c", "echo said; exit 3").returncode == 3
    assert cli.ok("ps", "-a", "--format", "{{.Names}} {{.State}} {{.ExitCode}}") == "once exited 3"
    assert cli.ok("logs", "once") == "said"


def test_input_from_a_pipe_arrives_whole_and_ends(cli: CommandLine) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    done = cli(*RUN, "-i", BUSYBOX, "cat", stdin=text)
    assert done.returncode == 0
    assert done.stdout == text


def test_without_interactive_the_container_gets_no_input(cli: CommandLine) -> None:
    assert cli(*RUN, BUSYBOX, "cat", stdin="unseen").stdout == ""


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        pytest.param(["no-such-command"], 127, "'no-such-command' does not exist", id="not found"),
        pytest.param(["/etc/passwd"], 126, "'/etc/passwd' is not executable", id="not executable"),
        pytest.param(["sh", "-c", "kill -9 $$"], 137, "", id="killed"),
        pytest.param(["sh", "-c", "exit 125"], 125, "", id="the engine's own code, by the command"),
    ],
)
def test_exit_codes_are_those_of_docker(cli: CommandLine, command: list[str], code: int, words: str) -> None:
    if command[-1] == "kill -9 $$":
        # The first process of a PID namespace cannot kill itself.
        command = ["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]
    done = cli(*RUN, BUSYBOX, *command)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert cli.ok("ps", "-aq") == ""


def test_options_behind_the_image_belong_to_the_command(cli: CommandLine) -> None:
    assert cli.ok(*RUN, BUSYBOX, "echo", "-n", "--rm", "-it", "--", "x") == "--rm -it -- x"


def test_environment_comes_from_options_files_and_the_caller(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "variables"
    file.write_text("# a comment\nFROM_FILE=1\nBOTH=file\n\nPASSED\nUNSET\n")
    script = "echo $FROM_FILE $BOTH $PASSED $OWN ${UNSET-unset}"
    done = cli(
        *RUN, "--env-file", str(file), "-e", "BOTH=option", "-e", "OWN", BUSYBOX, "sh", "-c", script,
        PASSED="by the caller", OWN="too",
    )  # fmt: skip
    assert done.stdout == "1 option by the caller too unset\n"


def test_options_reach_the_container(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host")
    tmp_path.chmod(0o755)
    script = "hostname; id -u; pwd; cat /data/file; echo; (: > /data/x) 2>/dev/null || echo read only; mount"
    output = cli.ok(
        *RUN, "-h", "box", "-u", "12:34", "-w", "/tmp", "-v", "./:/data:ro", "--tmpfs", "/scratch:size=1m",
        BUSYBOX, "sh", "-c", script, cwd=tmp_path,
    ).splitlines()  # fmt: skip
    assert output[:5] == ["box", "12", "/tmp", "from the host", "read only"]
    assert any(" on /scratch " in line and "size=1024k" in line for line in output)


def test_entrypoint_replaces_that_of_the_image(cli: CommandLine) -> None:
    assert cli.ok(*RUN, "--entrypoint", "echo", BUSYBOX, "said", "so") == "said so"


def test_capabilities_are_dropped(cli: CommandLine) -> None:
    output = cli.ok(*RUN, "--cap-drop", "ALL", BUSYBOX, "grep", "CapEff", "/proc/self/status")
    assert output.split()[1] == "0" * 16


def test_read_only_root_cannot_be_written(cli: CommandLine) -> None:
    assert cli(*RUN, "--read-only", BUSYBOX, "touch", "/x").returncode != 0


def test_reader_that_leaves_ends_the_container(cli: CommandLine) -> None:
    with cli.process(*RUN, "--name", "talker", BUSYBOX, "yes") as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == b"y\n"
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert cli.ok("ps", "-aq") == ""


def test_closed_standard_input_is_no_fault(cli: CommandLine) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" 0<&-', "sh", *cli.argv(*RUN, "-i", BUSYBOX, "cat")],
        env=cli.environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_detached_container_goes_on_and_its_whole_id_is_printed(cli: CommandLine) -> None:
    container_id = cli.ok("run", "-d", "--network", "none", BUSYBOX, "sleep", "1000")
    assert len(container_id) == 64
    assert cli.ok("ps", "-q", "--no-trunc") == container_id


def test_detached_container_of_rm_is_removed_by_the_next_command(cli: CommandLine) -> None:
    cli.ok("run", "-d", "--rm", "--name", "brief", "--network", "none", BUSYBOX, "true")
    cli("wait", "brief")
    assert cli.ok("ps", "-aq") == ""
    cli.ok("run", "-d", "--rm", "--name", "brief", "--network", "none", BUSYBOX, "true")


def test_many_command_lines_at_once_share_one_session(cli: CommandLine) -> None:
    processes = [
        subprocess.Popen(
            cli.argv(*RUN, BUSYBOX, "sh", "-c", f"echo {number}; exit {number}"),
            env=cli.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    results = [(process.communicate(timeout=60), process.returncode) for process in processes]
    assert results == [((f"{number}\n", ""), number) for number in range(6)]
    assert len(cli.json("sessions", "--format", "json")) == 1
