"""`pod` on the command line: made, joined, shown, ended, removed."""

from __future__ import annotations

import re
import urllib.request

import pytest

from pytest_pods.engine.api import Engine
from pytest_pods.engine.services.infra import build_infra_record
from tests.support.fixtures_cli import CommandLine
from tests.support.fixtures_store import BUSYBOX

CREATE = ("pod", "create", "--network", "none")


def join(cli: CommandLine, pod: str, name: str, *command: str, options: tuple[str, ...] = ()) -> str:
    words = command or ("sleep", "1000")
    return cli.ok("run", "-d", "--stop-timeout", "0", "--pod", pod, "--name", name, *options, BUSYBOX, *words)


def test_containers_of_a_pod_share_what_it_has_and_go_with_it(cli: CommandLine) -> None:
    options = ("--name", "shop", "--hostname", "counter", "-p", "8080", "--label", "a=b", "--shm-size", "8m")
    pod_id = cli.ok(*CREATE, *options)
    assert re.fullmatch("[0-9a-f]{64}", pod_id)
    join(cli, "shop", "web", "sh", "-c", "mkdir /w; echo hi > /w/x; exec httpd -f -p 8080 -h /w")
    join(cli, pod_id[:12], "client")
    assert cli.ok("exec", "client", "hostname") == "counter"
    assert cli.ok("exec", "client", "sh", "-c", "until wget -qO- http://localhost:8080/x; do sleep 0.05; done") == "hi"
    assert cli.ok("exec", "client", "wget", "-qO-", "http://web:8080/x") == "hi"
    document = cli.json("pod", "inspect", "shop")[0]
    port = document["PortBindings"]["8080/tcp"][0]["HostPort"]
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/x").read() == b"hi\n"
    assert (document["State"], document["NumContainers"], document["Labels"]) == ("Running", 2, {"a": "b"})
    assert cli.json("inspect", "--type", "pod", "shop")[0]["Id"] == pod_id
    assert cli("pod", "rm", "shop").returncode == 125
    assert cli.ok("pod", "rm", "-f", "shop") == "shop"
    assert cli.ok("ps", "-aq") == ""


def test_pods_are_listed_with_their_containers(cli: CommandLine) -> None:
    for name in ("one", "two"):
        cli.ok(*CREATE, "--label", f"of={name}", name)
    join(cli, "one", "main")
    table = cli.ok("pod", "ps").splitlines()
    assert re.split(r"\s{2,}", table[0]) == ["POD ID", "NAME", "STATUS", "CREATED", "# OF CONTAINERS"]
    assert re.match(r"[0-9a-f]{12} +two +Created +.* ago +0$", table[1])
    assert re.match(r"[0-9a-f]{12} +one +Running +.* ago +1$", table[2])
    shown = cli.ok("pod", "ls", "--ctr-names", "--ctr-status", "-f", "status=running")
    assert shown.split()[-2:] == ["main", "running"]
    for words, names in (
        (("name=wo",), ["two"]),
        (("label=of=one", "label=of=two"), ["two", "one"]),
        (("ctr-names=main",), ["one"]),
        (("ctr-number=0",), ["two"]),
    ):
        given = [word for text in words for word in ("-f", text)]
        assert cli.ok("pod", "ps", "--format", "{{.Name}}", *given).splitlines() == names
    documents = {one["Name"]: one for one in cli.json("pod", "ps", "--format", "json")}
    assert [one["Names"] for one in documents["one"]["Containers"]] == ["main"]
    assert documents["two"]["Containers"] == []
    assert cli.ok("ps", "--pod", "--format", "{{.Names}} {{.PodName}}") == "main one"
    assert cli.ok("ps", "-p").splitlines()[0].split()[-3:] == ["POD", "ID", "PODNAME"]
    assert cli("pod", "ps", "-f", "colour=red").returncode == 125


def test_containers_of_a_pod_stop_start_pause_and_are_killed_together(cli: CommandLine) -> None:
    cli.ok(*CREATE, "shop")
    for name in ("a", "b"):
        join(cli, "shop", name)

    def states() -> set[str]:
        return set(cli.ok("ps", "-a", "--format", "{{.State}}").splitlines())

    for verb, state in (
        ("pause", "paused"),
        ("unpause", "running"),
        ("stop", "exited"),
        ("start", "running"),
        ("restart", "running"),
        ("kill", "exited"),
    ):
        if verb == "pause" and cli("pod", "pause", "shop").returncode:
            # Not every machine can freeze.
            continue
        assert cli.ok("pod", verb, "shop") == "shop"
        assert states() == {state}
    assert cli.ok("pod", "start", "--all")
    assert cli("pod", "kill", "-s", "NOPE", "shop").returncode == 125


def test_logs_of_a_pod_name_the_container(cli: CommandLine) -> None:
    cli.ok(*CREATE, "shop")
    join(cli, "shop", "a", "sh", "-c", "echo from a; echo again; echo bad >&2")
    join(cli, "shop", "long", "echo", "from long")
    cli.ok("wait", "a", "long")
    done = cli("pod", "logs", "shop")
    assert sorted(done.stdout.splitlines()) == ["a    | again", "a    | from a", "long | from long"]
    assert done.stderr == "a    | bad\n"
    assert sorted(cli.ok("pod", "logs", "-f", "shop").splitlines()) == sorted(done.stdout.splitlines())
    assert cli.ok("pod", "logs", "-c", "a", "--tail", "2", "shop") == "again"
    assert re.match(r"long \| \d{4}-\d\d-\d\dT", cli.ok("pod", "logs", "-t", "shop").splitlines()[-1])
    assert "it has: a, long" in cli("pod", "logs", "-c", "none", "shop").stderr


def test_new_pod_is_made_for_its_first_container_and_not_left_without_it(cli: CommandLine) -> None:
    assert cli("run", "--pod", "new:fresh", BUSYBOX, "echo", "hi").stdout == "hi\n"
    assert cli.ok("pod", "ps", "--format", "{{.Name}} {{.Status}} {{.NumberOfContainers}}") == "fresh Exited 1"
    assert cli("run", "--pod", "new:bad", "--pull", "never", "localhost/none:1", "true").returncode == 125
    assert cli("pod", "exists", "bad").returncode == 1
    assert cli("pod", "exists", "fresh").returncode == 0
    cli.ok("create", "--pod", "new:waiting", BUSYBOX, "true")
    assert cli.ok("pod", "prune", "-f") == "fresh"
    assert cli.ok("pod", "ps", "--format", "{{.Name}}") == "waiting"


def test_processes_of_a_pod_are_shown_by_container(cli: CommandLine) -> None:
    cli.ok(*CREATE, "shop")
    join(cli, "shop", "a", "sh", "-c", "sleep 1000; true")
    join(cli, "shop", "b", "sleep", "2000")
    rows = [line.split(maxsplit=6) for line in cli.ok("pod", "top", "shop").splitlines()]
    assert rows[0] == ["CONTAINER", "USER", "PID", "PPID", "CPU", "MEMORY", "COMMAND"]
    seen = {(row[0], row[2], row[3], " ".join(row[-1].split()[-2:])) for row in rows[1:]}
    assert ("b", "1", "0", "sleep 2000") in seen
    assert any(row[0] == "a" and row[3] == "1" and row[-1].endswith("sleep 1000") for row in rows[1:])


def test_pod_takes_the_place_of_one_with_its_name_where_that_is_asked_for(cli: CommandLine) -> None:
    first = cli.ok(*CREATE, "shop")
    assert cli(*CREATE, "shop").returncode == 125
    assert cli.ok(*CREATE, "--replace", "shop") != first


def test_restart_policy_of_a_pod_is_that_of_its_containers(cli: CommandLine) -> None:
    cli.ok(*CREATE, "--restart", "on-failure:2", "shop")
    join(cli, "shop", "a", "false")
    join(cli, "shop", "b", options=("--restart", "no"))
    policies = [cli.json("inspect", name)[0]["HostConfig"]["RestartPolicy"]["Name"] for name in ("a", "b")]
    assert policies == ["on-failure", "no"]
    assert cli.json("pod", "inspect", "shop")[0]["RestartPolicy"] == "on-failure:2"


def test_options_of_a_container_that_a_pod_does_not_need_have_the_effect_that_they_would_have(
    cli: CommandLine,
) -> None:
    cli.ok(*CREATE, "--infra", "--infra-image", "none/such", "--infra-name", "x", "--infra-command", "/pause", "shop")
    assert cli.json("pod", "inspect", "shop")[0]["SharedNamespaces"] == ["ipc", "net", "uts"]
    cli.ok("pod", "create", "--infra=false", "alone")
    assert cli.json("pod", "inspect", "alone")[0]["SharedNamespaces"] == []
    for words, said in (
        (("--infra=false", "--share", "net"), "containers share nothing then, not net"),
        (("--infra=false", "-p", "80"), "the pod's ports need a shared network"),
        (("--share", "+pid", "--infra-command", "/init"), "process 1 of a shared PID namespace is the engine's own"),
        (("--network", "container:x"), "a pod cannot be in the network of a container (x)"),
        (("--restart", "often"), "unknown restart policy 'often'"),
    ):
        done = cli("pod", "create", *words, "wrong")
        assert (done.returncode, said in done.stderr) == (125, True), done.stderr


def test_pod_that_is_to_stop_ends_with_its_last_container(cli: CommandLine) -> None:
    cli.ok(*CREATE, "--share", "+pid", "--exit-policy", "stop", "shop")
    for name in ("a", "b"):
        join(cli, "shop", name)
    (record,) = Engine.sessions(cli.root)
    engine = Engine.attach(record.id, root=cli.root)
    try:
        lifecycle, infra = engine._service.lifecycle, build_infra_record(engine.pod("shop").record)
        cli.ok("stop", "a")
        assert lifecycle.state(infra).status == "running"
        cli.ok("kill", "b")
        assert lifecycle.wait(infra, timeout=20) == 137
        join(cli, "shop", "late")
        assert cli.ok("exec", "late", "cat", "/proc/1/comm") == "pause"
        cli.ok("rm", "-f", "late")
        assert lifecycle.wait(infra, timeout=20) == 137
        assert cli.ok("pod", "start", "shop") == "shop"
        assert cli.ok("exec", "b", "echo", "again") == "again"
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pod", "rm", "none"), "no pod 'none'"),
        (("pod", "rm"), "missing POD"),
        (("pod", "create", "--share", "all"), "'all' cannot be shared"),
        (("pod", "create", "a/b"), "a/b"),
        (("pod", "create", "--memory", "much"), "invalid size 'much'"),
        (("pod", "clone"), "unknown command 'pod clone'"),
        (("run", "--pod", "none", BUSYBOX), "no pod 'none'"),
        (("inspect", "--type", "pod", "none"), "no pod 'none'"),
    ],
)
def test_mistakes_are_told(cli: CommandLine, words: tuple[str, ...], said: str) -> None:
    done = cli(*words)
    assert done.returncode == 125
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_removing_one_that_is_not_there_is_no_fault_where_that_is_said(cli: CommandLine) -> None:
    assert cli("pod", "rm", "--ignore", "none").returncode == 0
    assert cli("pod", "rm", "-fa").returncode == 0
