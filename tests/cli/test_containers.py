"""The verbs on containers: what they do, print and answer, for one and for several."""

from __future__ import annotations

import json

from tests.support.fixtures_cli import CommandLine
from tests.support.fixtures_store import BUSYBOX
from tests.support.machine import needs_control_groups


def start(cli: CommandLine, name: str, *command: str, options: tuple[str, ...] = ()) -> str:
    command = command or ("sleep", "1000")
    return cli.ok("run", "-d", "--name", name, "--network", "none", *options, BUSYBOX, *command)


def states(cli: CommandLine) -> dict[str, str]:
    lines = cli.ok("ps", "-a", "--format", "{{.Names}} {{.State}}").splitlines()
    return dict(line.split() for line in lines)


@needs_control_groups
def test_life_of_a_container_from_create_to_removal(cli: CommandLine) -> None:
    cli.ok("create", "--name", "box", "--network", "none", BUSYBOX, "sleep", "1000")
    assert states(cli) == {"box": "created"}
    assert cli.ok("start", "box") == "box"
    assert states(cli) == {"box": "running"}
    assert cli.ok("pause", "box") == "box"
    assert states(cli) == {"box": "paused"}
    cli.ok("unpause", "box")
    cli.ok("stop", "-t", "0", "box")
    assert states(cli) == {"box": "exited"}
    cli.ok("start", "box")
    cli.ok("restart", "-t", "0", "box")
    assert states(cli) == {"box": "running"}
    assert cli.ok("kill", "box") == "box"
    assert cli.ok("wait", "box") == "137"
    assert cli.ok("rm", "box") == "box"
    assert states(cli) == {}


def test_containers_are_found_by_name_id_and_the_beginning_of_the_id(cli: CommandLine) -> None:
    container_id = start(cli, "box")
    for name in ("box", container_id, container_id[:12], container_id[:4]):
        assert cli.ok("inspect", "-f", "{{.Id}}", name) == container_id


def test_several_are_served_past_one_that_is_not_there(cli: CommandLine) -> None:
    start(cli, "one")
    start(cli, "two")
    done = cli("rm", "-f", "one", "missing", "two")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\n")
    done = cli("stop", "missing")
    assert done.returncode == 125
    assert done.stderr.startswith("Error: no container 'missing'\nhint: ")


def test_running_container_is_removed_by_force_only(cli: CommandLine) -> None:
    start(cli, "box")
    done = cli("rm", "box")
    assert done.returncode == 125
    assert "Error: container box runs" in done.stderr
    assert "hint: " in done.stderr
    cli.ok("rm", "-f", "box")


def test_remove_all_takes_what_has_ended_and_by_force_the_rest(cli: CommandLine) -> None:
    start(cli, "one")
    start(cli, "two", "true")
    cli.ok("wait", "two")
    cli.ok("rm", "-fa")
    assert states(cli) == {}


def test_name_that_is_taken_is_refused(cli: CommandLine) -> None:
    start(cli, "box")
    done = cli("run", "--name", "box", "--network", "none", BUSYBOX, "true")
    assert done.returncode == 125
    assert "the name box is in use" in done.stderr


def test_kill_sends_the_signal_that_is_named(cli: CommandLine) -> None:
    start(cli, "box", "sh", "-c", "trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done")
    cli.ok("exec", "box", "sh", "-c", "until grep -q 'SigCgt:.*[2367abef]..$' /proc/1/status; do :; done")
    cli.ok("kill", "-s", "USR1", "box")
    assert cli.ok("wait", "box") == "9"


def test_start_attached_shows_the_output_and_ends_with_the_exit_code(cli: CommandLine) -> None:
    cli.ok("create", "-i", "--name", "box", "--network", "none", BUSYBOX, "sh", "-c", "cat; exit 4")
    done = cli("start", "-ai", "box", stdin="given\n")
    assert (done.returncode, done.stdout) == (4, "given\n")


def test_exec_passes_streams_exit_code_and_options(cli: CommandLine) -> None:
    start(cli, "box")
    script = "cat; echo $A; pwd; id -u; echo err >&2; exit 3"
    done = cli("exec", "-i", "-e", "A=b", "-w", "/tmp", "-u", "5", "box", "sh", "-c", script, stdin="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, "in\nb\n/tmp\n5\n", "err\n")


def test_exec_of_what_is_not_there_or_no_program(cli: CommandLine) -> None:
    start(cli, "box")
    assert cli("exec", "box", "no-such-command").returncode == 127
    assert cli("exec", "box", "/etc/passwd").returncode == 126


def test_detached_exec_goes_on_after_the_command_line(cli: CommandLine) -> None:
    start(cli, "box", options=("--tmpfs", "/run"))
    cli.ok("exec", "-d", "box", "sh", "-c", "until [ -e /run/gate ]; do sleep 0.05; done; echo done > /run/result")
    cli.ok("exec", "box", "touch", "/run/gate")
    assert cli.ok("exec", "box", "sh", "-c", "until [ -s /run/result ]; do sleep 0.05; done; cat /run/result") == "done"


def test_exec_in_an_ended_container_says_so(cli: CommandLine) -> None:
    start(cli, "box", "true")
    cli.ok("wait", "box")
    done = cli("exec", "box", "true")
    assert done.returncode == 125
    assert "Error: container box does not run" in done.stderr


def test_large_input_of_exec_holds_up_no_output(cli: CommandLine) -> None:
    start(cli, "box")
    text = "x" * 99 + "\n"
    assert cli("exec", "-i", "box", "cat", stdin=text * 20_000).stdout == text * 20_000


def test_logs_come_apart_with_tail_and_time(cli: CommandLine) -> None:
    start(cli, "box", "sh", "-c", "echo one; echo two; echo three >&2")
    cli.ok("wait", "box")
    done = cli("logs", "box")
    assert (done.stdout, done.stderr) == ("one\ntwo\n", "three\n")
    assert cli("logs", "-n", "2", "box").stdout == "two\n"
    stamp, _, text = cli("logs", "-t", "box").stdout.splitlines()[0].partition(" ")
    assert text == "one"
    assert stamp.startswith("20")
    assert cli.ok("logs", "--since", "1h", "box").splitlines() == ["one", "two"]
    assert cli.ok("logs", "--until", "1h", "box") == ""


def test_followed_log_goes_on_until_the_end(cli: CommandLine) -> None:
    start(cli, "box", "sh", "-c", "trap 'echo last; exit 0' TERM; echo first; while :; do sleep 0.1; done")
    with cli.process("logs", "-f", "box") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        cli.ok("stop", "box")
        assert process.stdout.read() == b"last\n"
        assert process.wait(30) == 0


def test_ps_filters_and_prints_as_asked(cli: CommandLine) -> None:
    one = start(cli, "one", options=("-l", "tier=web"))
    start(cli, "two", "sh", "-c", "exit 4")
    cli.ok("wait", "two")
    assert cli.ok("ps", "-q") == one[:12]
    assert cli.ok("ps", "-f", "status=exited", "--format", "{{.Names}}") == "two"
    assert cli.ok("ps", "-a", "-f", "label=tier=web", "--format", "{{.Names}}") == "one"
    assert cli.ok("ps", "-f", "exited=4", "--format", "{{.Names}}") == "two"
    headers, row = cli.ok("ps").splitlines()
    assert headers.split("   ")[0] == "CONTAINER ID"
    assert row.split()[:2] == [one[:12], BUSYBOX]
    assert cli.ok("ps", "--format", "table {{.ID}}\\t{{.Names}}").splitlines()[1].split() == [one[:12], "one"]


def test_ps_as_json_is_an_array_of_documents(cli: CommandLine) -> None:
    container_id = start(cli, "box", options=("-l", "a=b"))
    (document,) = cli.json("ps", "--format", "json")
    assert document["Id"] == container_id
    assert document["Names"] == ["box"]
    assert document["State"] == "running"
    assert document["Command"] == ["sleep", "1000"]
    assert document["Labels"] == {"a": "b"}
    assert cli.json("ps", "--filter", "name=nobody", "--format", "json") == []


def test_inspect_shows_containers_and_images(cli: CommandLine) -> None:
    container_id = start(cli, "box", options=("-l", "a.b=c"))
    (document,) = cli.json("inspect", "box")
    assert document["Id"] == container_id
    assert document["State"]["Status"] == "running"
    assert cli.ok("inspect", "-f", '{{index .Config.Labels "a.b"}}', "box") == "c"
    (image,) = cli.json("image", "inspect", BUSYBOX)
    assert image["RepoTags"] == [BUSYBOX]
    assert image["Id"] == document["Image"]
    done = cli("inspect", "box", "missing")
    assert done.returncode == 125
    assert [one["Id"] for one in json.loads(done.stdout)] == [container_id]
    assert "no container, pod, image, volume or network 'missing'" in done.stderr


def test_published_ports_are_shown_and_lead_into_the_container(cli: CommandLine) -> None:
    import http.client

    command = ["httpd", "-f", "-p", "80", "-h", "/etc"]
    cli.ok("run", "-d", "--name", "web", "--network", "none", "-p", "80", BUSYBOX, *command)
    host, _, port = cli.ok("port", "web", "80").rpartition(":")
    assert cli.ok("port", "web") == f"80/tcp -> {host}:{port}"
    assert f"{host}:{port}->80/tcp" in cli.ok("ps")
    cli.ok("exec", "web", "sh", "-c", "until wget -q -O /dev/null 127.0.0.1/hostname; do sleep 0.05; done")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("GET", "/hostname")
    assert connection.getresponse().status == 200
    connection.close()


def test_container_of_a_kept_session_is_found_after_ones_own(cli: CommandLine) -> None:
    from pytest_pods.engine.api import Engine

    with Engine.open(root=cli.root) as engine:
        engine.run(BUSYBOX, ["sleep", "1000"], name="box", network="none", labels={"of": "test"})
        engine.run(BUSYBOX, ["sleep", "1000"], name="other", network="none")
        session = engine.keep(60)
    assert cli.ok("inspect", "-f", '{{index .Config.Labels "of"}}', "box") == "test"
    start(cli, "box", options=("-l", "of=mine"))
    assert cli.ok("inspect", "-f", '{{index .Config.Labels "of"}}', "box") == "mine"
    assert cli.ok("--session", session, "inspect", "-f", '{{index .Config.Labels "of"}}', "box") == "test"
    assert cli.ok("exec", "other", "echo", "there") == "there"
    assert session in cli.ok("ps")
    kinds = {line.split()[0]: line.split()[1] for line in cli.ok("sessions").splitlines()[1:]}
    assert kinds[session] == "kept"
    assert cli.ok("sessions", "end", session) == session
    assert cli("exec", "other", "true").returncode == 125
