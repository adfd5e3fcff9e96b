"""Health checks of real containers: when they are made, what they find, and what follows."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_pods import HealthCheck, waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import (
    DeadlineExceededError,
    ExitedEarlyError,
    InvalidSpecError,
    NoHealthCheckError,
    NotReadyError,
    WrongStateError,
)
from pytest_pods.engine.health import Health
from pytest_pods.engine.specs.probes import Probe, Target
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import busybox_builder
from tests.support.machine import needs_control_groups

SLEEP = ["sleep", "1000"]
# Ends on its own accord when it is asked to.
OBEDIENT = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.01; done"]
OFTEN = 0.05
# Checked by `check_health` only.
NEVER = 1000.0
LISTED = "localhost/listed:1"


def run(engine: Engine, health: Any, command: list[str] = SLEEP, **options: Any) -> Container:
    return engine.run(BUSYBOX, command, network="none", health=health, **options)


def often(command: Any, **more: Any) -> dict[str, Any]:
    return {"command": command, "interval": OFTEN, **more}


def health_of(container: Container) -> Health:
    health = container.health
    assert health is not None
    return health


def await_health(container: Container, status: str) -> Health:
    container.wait_until(lambda: health_of(container).status == status, timeout=20)
    return health_of(container)


def checks_made(container: Container) -> int:
    """Of a check that writes a line into /checks each time."""
    return container.read("/checks").count(b"\n") if container.exists("/checks") else 0


def await_checks(container: Container, number: int) -> None:
    container.wait_until(lambda: checks_made(container) >= number, timeout=20)


COUNTED = "echo x >> /checks; test ! -e /bad"


def test_container_becomes_healthy_and_unhealthy_and_healthy_again(engine: Engine) -> None:
    container = run(engine, often("test ! -e /bad || { echo it is bad; exit 3; }", retries=2))
    assert await_health(container, "healthy").failing_streak == 0
    container.write("/bad", "")
    health = await_health(container, "unhealthy")
    assert health.failing_streak >= 2
    assert health.last is not None
    assert (health.last.exit_code, health.last.output) == (3, "it is bad\n")
    assert health.last.end >= health.last.start
    assert container.running
    container.succeed("rm /bad")
    assert await_health(container, "healthy").failing_streak == 0


def test_container_without_a_health_check_has_no_health_and_no_threads(engine: Engine) -> None:
    container = engine.run(BUSYBOX, SLEEP, network="none")
    assert container.health is None
    assert "Health" not in container.inspect()["State"]
    assert [one.name for one in threading.enumerate() if "health" in one.name] == []
    for ask in (container.check_health, container.hasten_health):
        with pytest.raises(NoHealthCheckError, match=f"container {container.name} .* has no health check"):
            ask()


def test_container_without_a_health_check_imports_nothing_for_it(image_store: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from pytest_pods.engine.api import Engine
with Engine.open(root=Path({str(image_store)!r})) as engine:
    container = engine.run({BUSYBOX!r}, {SLEEP!r}, network="none")
    container.stop(), container.start(), container.inspect(), engine.container(container.id).remove()
print([name for name in sys.modules if "health" in name or "prob" in name.split(".")[-1]])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_new_container_is_starting(engine: Engine) -> None:
    container = engine.create(BUSYBOX, SLEEP, network="none", health=["true"])
    assert container.health == Health("starting")
    container.start()
    assert container.health == Health("starting")
    with pytest.raises(InvalidSpecError, match="the health check of container nobody has no command"):
        engine.create(BUSYBOX, SLEEP, network="none", name="nobody", health={"interval": 1})


def test_check_on_demand_counts_and_tells(engine: Engine) -> None:
    container = run(engine, {"command": "echo out; echo err >&2; exit 5", "interval": NEVER, "retries": 2})
    first, second = container.check_health(), container.check_health()
    assert (first.status, second.status) == ("starting", "unhealthy")
    assert second == container.health
    assert second.last is not None
    assert (second.last.exit_code, second.last.output) == (5, "out\nerr\n")
    assert len(second.log) == 2
    document = container.inspect()
    assert document["State"]["Health"]["Status"] == "unhealthy"
    assert document["State"]["Health"]["FailingStreak"] == 2
    assert [entry["ExitCode"] for entry in document["State"]["Health"]["Log"]] == [5, 5]
    assert document["Config"]["Healthcheck"]["Test"] == ["CMD-SHELL", "echo out; echo err >&2; exit 5"]
    assert document["Config"]["Healthcheck"]["Retries"] == 2


def test_check_needs_a_container_that_runs(engine: Engine) -> None:
    container = run(engine, {"command": ["true"], "interval": NEVER})
    container.stop()
    with pytest.raises(WrongStateError, match=f"health of container {container.name} cannot be checked: it is exited"):
        container.check_health()


def test_command_that_is_not_there_is_a_failure(engine: Engine) -> None:
    health = run(engine, {"command": ["nowhere"], "interval": NEVER, "retries": 1}).check_health()
    assert health.status == "unhealthy"
    assert health.last is not None
    assert health.last.exit_code == 127
    assert "nowhere" in health.last.output


def test_check_runs_as_the_container_does(engine: Engine) -> None:
    container = run(
        engine, {"command": "id -u; pwd; echo $A; exit 1", "interval": NEVER}, user="tester", workdir="/tmp",
        env={"A": "b"},
    )
    last = container.check_health().last
    assert last is not None
    assert last.output == "1000\n/tmp\nb\n"


def test_endless_output_is_neither_kept_nor_a_hindrance(engine: Engine) -> None:
    last = run(engine, {"command": "yes | head -c 3000000; exit 1", "interval": NEVER}).check_health().last
    assert last is not None
    assert (last.exit_code, len(last.output)) == (1, 500)


def test_failures_of_the_start_period_do_not_count(engine: Engine) -> None:
    container = run(engine, {"command": "test -e /ok", "interval": NEVER, "start_period": NEVER, "retries": 1})
    assert container.check_health().status == "starting"
    assert container.check_health().failing_streak == 0
    container.write("/ok", "")
    assert container.check_health().status == "healthy"
    container.succeed("rm /ok")
    assert container.check_health().status == "unhealthy"


def test_start_period_has_checks_of_its_own_pace(engine: Engine) -> None:
    container = run(engine, {"command": COUNTED, "interval": NEVER, "start_period": NEVER, "start_interval": OFTEN})
    await_health(container, "healthy")
    made = checks_made(container)
    # Once it is well the start period is over, and the next check is a long way off.
    assert container.check_health().status == "healthy"
    assert checks_made(container) == made + 1


def sleepers(container: Container) -> list[str]:
    """Zombies, which its first process does not reap, have another look."""
    return [line for line in container.succeed("ps -o args").splitlines() if line.startswith("sleep 77")]


def test_check_that_takes_too_long_is_killed_with_all_that_it_started(engine: Engine) -> None:
    container = run(
        engine, {"command": "sleep 777 & sleep 778; true", "interval": NEVER, "timeout": 0.3, "retries": 1}
    )
    health = container.check_health()
    assert health.status == "unhealthy"
    assert health.last is not None
    assert (health.last.exit_code, health.last.output) == (-1, "no answer within 0.3 s")
    container.wait_until(lambda: sleepers(container) == [], timeout=20)
    assert container.running


def test_command_with_a_time_limit_is_killed_with_all_that_it_started(engine: Engine) -> None:
    container = engine.run(BUSYBOX, SLEEP, network="none")
    with pytest.raises(DeadlineExceededError, match="was killed"):
        container.exec(["sh", "-c", "sleep 777 | sleep 778; sleep 779"], timeout=0.3)
    container.wait_until(lambda: sleepers(container) == [], timeout=20)


@pytest.mark.parametrize("policy", [None, "no"])
def test_unhealthy_container_is_killed(engine: Engine, policy: str | None) -> None:
    check = often("echo no; exit 1", retries=2, on_failure="kill")
    container = run(engine, check, restart=policy)
    assert container.wait(20) == 137
    state = container.state()
    assert state.fault == (
        "its health check has failed 2 times in a row, last with exit code 1: no; it was killed"
    )
    assert (state.restarting, state.restarts) == (False, 0)
    assert health_of(container).status == "unhealthy"


def test_killed_for_its_health_it_is_restarted_by_its_policy(engine: Engine) -> None:
    command = ["sh", "-c", "echo start; exec sleep 1000"]
    check = often("test ! -e /bad", retries=1, on_failure="kill")
    container = run(engine, check, command, restart="on-failure", wait=waits.healthy())
    container.write("/bad", "")
    # The first restart does not help, since the file stays: it is another reason to restart it.
    container.wait_until(lambda: container.state().restarts >= 2, timeout=30)
    container.wait_until(lambda: container.running and container.exec(["rm", "/bad"]).ok, timeout=30)
    await_health(container, "healthy")
    assert container.state().fault is None
    assert container.logs().count("start") >= 3


def test_unhealthy_container_is_stopped_and_stays_so(engine: Engine) -> None:
    check = often("test ! -e /bad", retries=1, on_failure="stop")
    container = run(engine, check, OBEDIENT, restart="always", stop_timeout=20, wait=waits.healthy())
    container.write("/bad", "")
    assert container.wait(20) == 0
    state = container.state()
    assert state.fault is not None
    assert state.fault.endswith("it was stopped")
    assert (state.restarting, state.restarts) == (False, 0)
    container.start()
    assert container.running


def test_unhealthy_container_is_restarted_without_a_policy(engine: Engine) -> None:
    command = ["sh", "-c", "echo start; rm -f /bad; exec sleep 1000"]
    check = often("test ! -e /bad", retries=1, on_failure="restart")
    container = run(engine, check, command, stop_timeout=0.1, wait=waits.healthy())
    started = container.started_at
    container.write("/bad", "")
    container.wait_until(lambda: container.state().restarts == 1 and container.running, timeout=30)
    await_health(container, "healthy")
    assert container.started_at != started
    assert container.logs().count("start") == 2
    # Whoever ends it on purpose is not undone.
    container.kill()
    assert not container.state().restarting
    assert container.state().restarts == 1


def test_stop_on_purpose_prevails_over_a_restart_for_health(engine: Engine) -> None:
    container = run(engine, often("false", retries=1, on_failure="restart"))
    container.wait_until(lambda: container.state().restarts >= 1, timeout=30)
    container.stop()
    count = container.state().restarts
    assert not container.state().restarting
    assert (container.status, container.state().restarts) == ("exited", count)


def test_what_a_killed_checker_left_is_taken_back_when_the_container_is_well_again(engine: Engine) -> None:
    container = run(engine, {"command": "test ! -e /bad", "interval": NEVER, "retries": 1})
    container.write("/bad", "")
    assert container.check_health().status == "unhealthy"
    record = container.record
    assert record.health is not None
    # It was killed before it could end the container.
    engine._service.lifecycle.mark_unhealthy(record, replace(record.health, on_failure="restart"), why="it is bad")
    container.succeed("rm /bad")
    assert container.check_health().status == "healthy"
    engine._session.start().signal(container.container_pid or 0, signal.SIGKILL)
    assert container.wait(20) == 137
    assert (container.state().fault, container.state().restarting) == (None, False)


@pytest.fixture(scope="module")
def listed(image_store: Path) -> Iterator[str]:
    """An image with a health check of its own."""
    check = {"Test": ["CMD-SHELL", "test -e /ready"], "Interval": 50_000_000, "Retries": 2}
    archive = busybox_builder().config(Healthcheck=check).build().write_docker_archive(
        image_store / "listed.tar", names=[LISTED]
    )
    with Engine.open(root=image_store) as engine:
        engine.load(archive)
        yield LISTED
        engine.remove_image(LISTED)


def test_health_check_of_the_image_is_used_changed_and_disabled(engine: Engine, listed: str) -> None:
    used = engine.run(listed, SLEEP, network="none")
    assert await_health(used, "unhealthy").failing_streak >= 2
    used.write("/ready", "")
    await_health(used, "healthy")
    changed = engine.run(listed, SLEEP, network="none", health={"on_failure": "kill"})
    assert changed.wait(20) == 137
    disabled = engine.run(listed, SLEEP, network="none", health=False)
    assert disabled.health is None
    with pytest.raises(NoHealthCheckError) as caught:
        disabled.check_health()
    assert caught.value.hint == "it was asked to have none: health=False"


def test_checks_end_with_the_container_and_go_on_with_it(engine: Engine) -> None:
    container = run(engine, often(COUNTED))
    await_checks(container, 2)
    health = await_health(container, "healthy")
    container.stop()
    made = checks_made(container)
    assert health_of(container).status == "healthy"
    assert [one.output for one in health.log if one.exit_code] == []
    container.start()
    assert health_of(container).status in ("starting", "healthy")
    await_checks(container, made + 2)
    assert await_health(container, "healthy").failing_streak == 0


@needs_control_groups
def test_checks_stand_still_with_the_container(engine: Engine) -> None:
    container = run(engine, often(COUNTED, timeout=0.2, retries=1), wait=waits.healthy())
    container.pause()
    with pytest.raises(WrongStateError, match="it is paused"):
        container.check_health()
    made = checks_made(container)
    other = run(engine, often(COUNTED))
    await_checks(other, 10)
    assert checks_made(container) <= made + 1
    container.unpause()
    await_checks(container, made + 3)
    assert health_of(container).status == "healthy"


def test_restart_of_the_engine_forgets_what_was_known(engine: Engine) -> None:
    container = run(engine, {"command": "false", "interval": NEVER, "retries": 1})
    assert container.check_health().status == "unhealthy"
    container.restart()
    assert container.health == Health("starting")


def test_target_is_looked_at_from_outside(engine: Engine) -> None:
    command = ["sh", "-c", "mkdir /www; echo x > /www/ok; exec httpd -f -p 80 -h /www"]
    listening = HealthCheck(target=Target("tcp", 80), interval=NEVER, retries=1)
    container = run(engine, listening, command, wait=waits.healthy())
    assert container.inspect()["Config"]["Healthcheck"]["Test"] == ["TCP", "port 80"]
    answers = HealthCheck(target=Target("http", 80, "/ok"), interval=NEVER)
    answering = run(engine, answers, command, wait=waits.healthy())
    answering.succeed("rm /www/ok")
    last = answering.check_health().last
    assert last is not None
    assert last.output.startswith("status 404")


def test_startup_probe_gates_the_check(engine: Engine) -> None:
    startup = Probe(Target("exec", command=("test", "-e", "/up")), period=OFTEN, failures=100_000)
    check = HealthCheck(COUNTED, interval=OFTEN, retries=1, startup=startup)
    container = run(engine, check)
    container.wait_until(lambda: len(health_of(container).log) == 5, timeout=20)
    assert (health_of(container).status, checks_made(container)) == ("starting", 0)
    container.write("/up", "")
    await_health(container, "healthy")
    assert checks_made(container) > 0


def test_wait_does_not_wait_for_the_interval(engine: Engine) -> None:
    check = "echo x >> /checks; test $(wc -l < /checks) -ge 4"
    container = run(engine, {"command": check, "interval": NEVER, "retries": 1}, wait=waits.healthy())
    health = health_of(container)
    # It has failed more often than would make it unhealthy.
    assert [one.exit_code for one in health.log] == [1, 1, 1, 0]
    assert (health.status, health.failing_streak) == ("healthy", 0)


def test_wait_gives_up_with_what_was_last_seen(engine: Engine) -> None:
    with pytest.raises(NotReadyError) as caught:
        run(engine, {"command": "echo not yet; exit 4", "interval": NEVER}, wait=waits.healthy(timeout=3))
    assert caught.value.last_seen == "starting, exit code 4: not yet"
    assert "waited for its health check; last seen: starting, exit code 4: not yet" in caught.value.brief
    with pytest.raises(NoHealthCheckError):
        engine.run(BUSYBOX, SLEEP, network="none", wait=waits.healthy())
    assert engine.containers() == []


def test_wait_is_not_held_up_by_a_check_that_hangs(engine: Engine) -> None:
    with pytest.raises(NotReadyError, match="starting, not checked yet"):
        run(engine, {"command": ["sleep", "1000"], "interval": NEVER, "timeout": 1000}, wait=waits.healthy(timeout=0.3))
    assert engine.containers() == []


def test_container_that_is_killed_for_its_health_fails_its_wait_at_once(engine: Engine) -> None:
    check = often("exit 9", retries=1, on_failure="kill")
    with pytest.raises(ExitedEarlyError) as caught:
        run(engine, check, wait=waits.healthy())
    assert caught.value.exit_code == 137
    assert "its health check has failed once, last with exit code 9; it was killed" in (caught.value.details or "")


def test_member_of_a_pod_is_checked(engine: Engine) -> None:
    pod = engine.run_pod(
        network="none",
        db={"image": BUSYBOX, "command": SLEEP, "health": ["true"], "wait": waits.healthy()},
        web={"image": BUSYBOX, "command": SLEEP, "needs": ["db"]},
    )
    assert health_of(pod["db"]).status == "healthy"
    assert pod["web"].health is None


def test_session_ends_with_checks_in_flight(image_store: Path) -> None:
    engine = Engine.open(root=image_store)
    container = run(engine, often("touch /begun; sleep 1000", timeout=1000))
    container.wait_until(lambda: container.exists("/begun"), timeout=20)
    checking = [one for one in threading.enumerate() if one.name == f"pytest-pods check of {container.name}"]
    assert len(checking) == 1
    engine.close()
    checking[0].join(20)
    assert not checking[0].is_alive()
    assert not engine._session.layout.directory.exists()


def test_container_is_removed_with_a_check_in_flight(engine: Engine) -> None:
    container = run(engine, often("touch /begun; sleep 1000", timeout=1000))
    container.wait_until(lambda: container.exists("/begun"), timeout=20)
    container.remove()
    assert engine.containers() == []


def followers(container: Container) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"follow-health" in words and container.id.encode() in words:
            found.append(int(path.parent.name))
    return found


def test_kept_session_checks_without_the_process_that_made_it(image_store: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from pytest_pods.engine.api import Engine
engine = Engine.open(root=Path({str(image_store)!r}))
engine.run({BUSYBOX!r}, {SLEEP!r}, name="kept", network="none",
           health=dict(command={COUNTED!r}, interval=0.05, retries=1, on_failure="restart"))
engine.run({BUSYBOX!r}, {SLEEP!r}, name="plain", network="none")
print(engine.keep(600))
engine.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    engine = Engine.attach(done.stdout.strip(), root=image_store)
    try:
        container, plain = engine.container("kept"), engine.container("plain")
        made = checks_made(container)
        await_checks(container, made + 3)
        assert (len(followers(container)), followers(plain)) == (1, [])
        (first,) = followers(container)
        container.write("/bad", "")
        container.wait_until(lambda: container.state().restarts >= 1, timeout=30)
        # Each start has a follower, which ends with it.
        container.wait_until(lambda: container.running and container.exec(["rm", "-f", "/bad"]).ok, timeout=30)
        await_health(container, "healthy")
        container.wait_until(lambda: len(followers(container)) == 1, timeout=20)
        assert followers(container) != [first]
        container.stop()
        container.wait_until(lambda: followers(container) == [], timeout=20)
        container.start()
        container.wait_until(lambda: len(followers(container)) == 1, timeout=20)
    finally:
        engine.end()
    end = time.monotonic() + 20
    while followers(container):
        assert time.monotonic() < end
        time.sleep(0.01)
