"""Restart policies, with the real runc and conmon: who restarts, how often, and who is never undone."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from pytest_pods import waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from tests.support.fixtures_store import BUSYBOX

# Ends with the given code after each start, which it logs, until there were so many.
TIRED = "echo start | tee -a /starts; [ $(wc -l < /starts) -ge {most} ] && exec sleep 1000; exit {code}"


def tired(most: int, code: int = 1) -> list[str]:
    return ["sh", "-c", TIRED.format(most=most, code=code)]


def starts(container: Container) -> int:
    return container.logs().count("start")


def test_container_that_fails_is_started_again_until_it_holds(engine: Engine) -> None:
    container = engine.run(BUSYBOX, tired(3), network="none", restart="on-failure")
    container.wait_until(lambda: container.running and starts(container) >= 3, timeout=20)
    assert container.state().restarts == 2
    document = container.inspect()
    assert (document["RestartCount"], document["HostConfig"]["RestartPolicy"]["Name"]) == (2, "on-failure")


KILLED = """
import os, sys
from pathlib import Path
from pytest_pods.engine.api import Engine
from pytest_pods.engine.services.lifecycle import Lifecycle
root, session_id, container_id, step, when = sys.argv[1:]
original = getattr(Lifecycle, step)
def run(self, *given, **named):
    if when == "after":
        original(self, *given, **named)
    os.kill(os.getpid(), 9)
setattr(Lifecycle, step, run)
engine = Engine.attach(session_id, root=Path(root))
engine.follow_end(engine.container(container_id))
"""


@pytest.mark.parametrize(
    ("step", "when", "counted"),
    [
        pytest.param("_start", "before", 0, id="announced and not started"),
        pytest.param("_open_gate", "after", 1, id="started"),
    ],
)
def test_restart_is_counted_if_it_happened_whenever_its_process_is_killed(
    image_store: Path, monkeypatch: pytest.MonkeyPatch, step: str, when: str, counted: int
) -> None:
    engine = Engine.open(root=image_store)
    with monkeypatch.context() as patch:
        # The one that is killed takes the place of the program that its monitor executes.
        patch.setattr(sys, "executable", "/bin/false")
        container = engine.create(BUSYBOX, tired(2), network="none", restart="on-failure:1")
    try:
        engine.keep(60)
        container.start()
        container.wait_until(lambda: container.status == "exited", timeout=20)
        argv = [sys.executable, "-c", KILLED, str(image_store), engine.session_id, container.id, step, when]
        assert subprocess.run(argv, timeout=60, check=False).returncode == -signal.SIGKILL
        state = container.state()
        assert (state.restarts, state.restarting, state.running) == (counted, not counted, bool(counted))
        if not counted:
            assert engine.follow_end(container)
            assert container.state().restarts == 1
        container.wait_until(lambda: starts(container) == 2, timeout=20)
    finally:
        engine.end()


def test_failures_are_counted_and_success_is_an_end(engine: Engine) -> None:
    failing = engine.run(BUSYBOX, tired(99), network="none", restart="on-failure:2")
    content = engine.run(BUSYBOX, ["true"], network="none", restart="on-failure")
    failing.wait_until(lambda: failing.state().restarts == 2 and not failing.state().restarting, timeout=20)
    failing.wait(20)
    assert (failing.status, starts(failing)) == ("exited", 3)
    assert (content.wait(20), content.state().restarts, content.state().restarting) == (0, 0, False)


def test_always_is_also_after_success_and_after_a_kill_from_outside(engine: Engine) -> None:
    container = engine.run(BUSYBOX, tired(2, code=0), network="none", restart="always")
    container.wait_until(lambda: container.running and starts(container) >= 2, timeout=20)
    engine._session.start().signal(container.container_pid or 0, signal.SIGKILL)
    container.wait_until(lambda: container.running and starts(container) >= 3, timeout=20)


@pytest.mark.parametrize("end", ["stop", "kill", "remove"])
def test_who_ends_it_on_purpose_is_not_undone(engine: Engine, end: str) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none", restart="always")
    getattr(container, end)()
    if end == "remove":
        assert engine.containers() == []
        return
    assert container.status == "exited"
    assert not container.state().restarting
    container.start()
    assert container.running
    engine._session.start().signal(container.container_pid or 0, signal.SIGKILL)
    container.wait_until(lambda: container.running and container.state().restarts >= 1, timeout=20)


def test_stop_during_the_pause_before_a_restart_holds(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["false"], network="none", restart="always")
    container.wait_until(lambda: container.state().restarting, timeout=20)
    container.stop()
    count = container.state().restarts
    container.wait_until(lambda: not container.running, timeout=20)
    assert not container.state().restarting
    assert container.state().restarts == count


def test_wait_outlasts_failures_that_are_followed_by_a_restart(engine: Engine) -> None:
    command = ["sh", "-c", "echo x >> /starts; [ $(wc -l < /starts) -lt 3 ] && exit 1; echo ready; exec sleep 1000"]
    container = engine.run(BUSYBOX, command, network="none", restart="on-failure", wait=waits.log("ready"))
    assert container.running
    assert container.state().restarts == 2


def test_published_port_leads_to_the_restarted_container(engine: Engine) -> None:
    command = ["sh", "-c", "mkdir -p /www; echo x >> /www/index.html; exec httpd -f -p 80 -h /www"]
    container = engine.run(BUSYBOX, command, network="none", restart="always", ports=[80], wait=waits.port(80))
    engine._session.start().signal(container.container_pid or 0, signal.SIGKILL)
    container.wait_until(lambda: container.running and container.state().restarts >= 1, timeout=20)
    container.wait_ready(waits.port(80), timeout=20)
    assert urllib.request.urlopen(container.url(80), timeout=20).read() == b"x\nx\n"


def test_member_of_a_pod_is_restarted_in_its_place(engine: Engine) -> None:
    pod = engine.run_pod(
        network="none", restart="on-failure",
        a={"image": BUSYBOX, "command": tired(2)}, b={"image": BUSYBOX, "command": ["sleep", "1000"]},
    )
    pod["b"].wait_until(lambda: pod["a"].running and starts(pod["a"]) >= 2, timeout=20)
    assert pod["a"].succeed("readlink /proc/self/ns/net") == pod["b"].succeed("readlink /proc/self/ns/net")


def test_restart_that_is_due_when_the_session_is_kept_is_made_without_the_process_that_made_it(
    image_store: Path,
) -> None:
    engine = Engine.open(root=image_store)
    # The pause before the restart is longer each time.
    container = engine.run(BUSYBOX, tired(4), network="none", restart="always")
    container.wait_until(lambda: container.state().restarts == 2 and container.state().restarting, timeout=20)
    session_id = engine.keep(60)
    engine.close()
    other = Engine.attach(session_id, root=image_store)
    try:
        found = other.container(container.id)
        found.wait_until(lambda: found.running and starts(found) == 4, timeout=20)
        assert found.state().restarts == 3
    finally:
        other.end()


def test_kept_session_restarts_without_the_process_that_made_it(image_store: Path) -> None:
    engine = Engine.open(root=image_store)
    command = ["sh", "-c", "echo start; exec sleep 1000"]
    container = engine.run(BUSYBOX, command, network="none", restart="always")
    session_id = engine.keep(60)
    engine.close()
    other = Engine.attach(session_id, root=image_store)
    try:
        found = other.container(container.id)
        found.wait_ready(waits.log("start"))
        other._session.start().signal(found.container_pid or 0, signal.SIGKILL)
        found.wait_until(lambda: found.running and found.state().restarts >= 1, timeout=20)
        found.wait_until(lambda: starts(found) >= 2, timeout=20)
        found.stop()
        assert not found.state().restarting
    finally:
        other.end()
