"""Health checks on the command line: their options, what is shown of them, and who makes them when we are gone."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.fixtures_cli import CommandLine
from tests.support.fixtures_store import BUSYBOX

STATUS = "{{.State.Health.Status}}"


def start(cli: CommandLine, *options: str, name: str = "box") -> str:
    return cli.ok("run", "-d", "--name", name, "--network", "none", *options, BUSYBOX, "sleep", "1000")


def status_of(cli: CommandLine, name: str) -> str:
    return cli.ok("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}")


def find_followers() -> set[str]:
    """The IDs of the containers that have one."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if "follow-health" in words:
            found.add(words[words.index("follow-health") + 4])
    return found


def test_detached_container_becomes_healthy_and_unhealthy_by_itself(cli: CommandLine) -> None:
    container_id = start(cli, "--health-cmd", "test ! -e /bad", "--health-interval", "50ms", "--health-retries", "2")
    plain_id = start(cli, name="plain")
    cli.await_output("healthy", "inspect", "-f", STATUS, "box")
    assert status_of(cli, "box").startswith("Up ")
    assert status_of(cli, "box").endswith(" (healthy)")
    assert "(" not in status_of(cli, "plain")
    assert cli.ok("ps", "-q", "--no-trunc", "--filter", "health=healthy") == container_id
    assert cli.ok("ps", "-q", "--no-trunc", "--filter", "health=none") == plain_id
    assert cli.json("ps", "--filter", "health=healthy", "--format", "json")[0]["Status"].endswith("(healthy)")
    assert find_followers() & {container_id, plain_id} == {container_id}
    cli.ok("exec", "box", "touch", "/bad")
    cli.await_output(container_id[:12], "ps", "-q", "--filter", "health=unhealthy")
    assert status_of(cli, "box").endswith(" (unhealthy)")
    health = cli.json("inspect", "box")[0]["State"]["Health"]
    assert (health["Status"], health["Log"][-1]["ExitCode"]) == ("unhealthy", 1)
    assert health["FailingStreak"] >= 2
    cli.ok("rm", "-f", "box")
    assert "Health" not in cli.json("inspect", "plain")[0]["State"]


def test_check_on_demand_tells_by_its_exit_code(cli: CommandLine) -> None:
    start(cli, "--health-cmd", "test ! -e /bad || { echo too bad; exit 7; }", "--health-interval", "1h")
    assert status_of(cli, "box").endswith(" (health: starting)")
    done = cli("healthcheck", "run", "box")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert cli.ok("inspect", "-f", STATUS, "box") == "healthy"
    cli.ok("exec", "box", "touch", "/bad")
    done = cli("healthcheck", "run", "box")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "healthy: exit code 7: too bad\n")
    for _ in range(2):
        done = cli("healthcheck", "run", "box")
    assert (done.returncode, done.stderr) == (1, "unhealthy: exit code 7: too bad\n")
    cli.ok("stop", "-t", "0", "box")
    done = cli("healthcheck", "run", "box")
    assert (done.returncode, "cannot be checked: it is exited" in done.stderr) == (125, True)


def test_check_of_a_container_without_one_is_an_error(cli: CommandLine) -> None:
    start(cli)
    done = cli("healthcheck", "run", "box")
    assert done.returncode == 125
    assert f"container box ({BUSYBOX}) has no health check" in done.stderr


def test_what_follows_is_done_without_us(cli: CommandLine) -> None:
    often = ("--health-interval", "50ms", "--health-retries", "1")
    start(cli, "--health-cmd", "false", *often, "--health-on-failure", "kill", name="killed")
    start(cli, "--health-cmd", "test ! -e /bad", *often, "--health-on-failure", "restart", name="restarted")
    assert cli.ok("wait", "killed") == "137"
    assert "it was killed" in cli.ok("inspect", "-f", "{{.State.Error}}", "killed")
    cli.ok("exec", "restarted", "touch", "/bad")
    cli.await_output("1", "inspect", "-f", "{{.RestartCount}}", "restarted")


def test_container_is_followed_from_each_start_to_each_end(cli: CommandLine) -> None:
    container_id = start(cli, "--health-cmd", "true", "--health-interval", "50ms")
    cli.await_output("healthy", "inspect", "-f", STATUS, "box")
    assert container_id in find_followers()
    cli.ok("stop", "-t", "0", "box")
    # Its end is noticed at once, whenever the next check were due.
    while container_id in find_followers():
        assert cli.ok("ps", "-q") == ""
    cli.ok("start", "box")
    cli.await_output("healthy", "inspect", "-f", STATUS, "box")
    assert container_id in find_followers()


def test_health_check_of_an_image_is_shown(cli: CommandLine, tmp_path: Path) -> None:
    from tests.support.images import busybox_builder

    check = {"Test": ["CMD", "test", "-e", "/ready"], "Interval": 3_000_000_000}
    image = busybox_builder().config(Healthcheck=check).build()
    cli.ok("load", "-i", str(image.write_docker_archive(tmp_path / "image.tar", names=["localhost/shown:1"])))
    try:
        found = cli.json("image", "inspect", "localhost/shown:1")[0]["Config"]["Healthcheck"]
        assert (found["Test"], found["Interval"], found["Retries"]) == (check["Test"], 3_000_000_000, 0)
        cli.ok("create", "--name", "box", "--network", "none", "--health-retries", "9", "localhost/shown:1", "true")
        found = json.loads(cli.ok("inspect", "-f", "{{json .Config.Healthcheck}}", "box"))
        assert (found["Test"], found["Interval"], found["Retries"]) == (check["Test"], 3_000_000_000, 9)
        cli.ok("create", "--name", "none", "--network", "none", "--no-healthcheck", "localhost/shown:1", "true")
        assert "Healthcheck" not in cli.json("inspect", "none")[0]["Config"]
    finally:
        cli.ok("rm", "-f", "box", "none")
        cli.ok("rmi", "localhost/shown:1")
