"""Health checks in tests: awaited, told in a failure's report, and going on in sessions that are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_store import BUSYBOX

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import pytest
from pytest_pods import HealthCheck, container_fixture, waits

IMAGE = {BUSYBOX!r}
# Ready on its own accord, after some looks, and not for a long time by its own pace.
CHECK = HealthCheck("echo x >> /checks; test $(wc -l < /checks) -ge 3", interval=1000)
OPTIONS = dict(network="none", health=CHECK, wait=waits.healthy())
"""


def test_mark_factory_declared_fixture_and_pod_await_the_health_check(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        conftest=HEAD + "declared = container_fixture(IMAGE, ['sleep', '1000'], scope='session', **OPTIONS)",
        test_it=HEAD
        + """
def check(container):
    assert container.health.status == "healthy"
    assert [one.exit_code for one in container.health.log] == [1, 1, 0]

@pytest.mark.container(IMAGE, ["sleep", "1000"], **OPTIONS)
def test_mark(container):
    check(container)

def test_factory(run_container):
    check(run_container(IMAGE, ["sleep", "1000"], **OPTIONS))

def test_declared(declared):
    check(declared)

@pytest.mark.pod(
    network="none",
    db=dict(image=IMAGE, command=["sleep", "1000"], health=CHECK, wait=waits.healthy()),
    web=dict(image=IMAGE, command=["sleep", "1000"], needs=["db"]),
)
def test_pod(pod):
    check(pod["db"])
    assert pod["web"].health is None
""",
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=4)


def test_failure_tells_the_health_and_what_the_wait_has_seen(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        HEAD
        + """
SICK = HealthCheck("echo no such luck; exit 6", interval=1000, retries=1)

@pytest.mark.container(IMAGE, ["sleep", "1000"], network="none", health=SICK, wait=waits.healthy(timeout=3))
def test_wait(container): ...

@pytest.mark.container(IMAGE, ["sleep", "1000"], network="none", health=SICK)
def test_report(container):
    container.check_health()
    assert False

@pytest.mark.container(IMAGE, ["sleep", "1000"], network="none", wait=waits.healthy())
def test_none(container): ...

def test_mistake(run_container):
    run_container(IMAGE, ["sleep", "1000"], network="none", health={"intervall": 5})
"""
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=2, errors=2)
    result.stdout.fnmatch_lines_random(
        [
            "*NotReadyError: *waited for its health check; last seen: starting, exit code 6: no such luck*",
            "    health: unhealthy, exit code 6: no such luck",
            "*:*:*.*  busybox  health check failed: exit code 6: no such luck",
            f"*NoHealthCheckError: container * ({BUSYBOX}) has no health check*",
            "*unknown 'intervall' in health*",
        ]
    )


def test_checks_of_a_kept_session_go_on(pytester: pytest.Pytester, store: Path) -> None:
    pytester.makepyfile(
        HEAD
        + """
def test_it(run_container):
    run_container(IMAGE, ["sleep", "1000"], network="none", name="kept", health=HealthCheck("false", interval=0.05))
    assert False
"""
    )
    result = pytester.runpytest_subprocess("--pods-keep=failed", "--pods-keep-for=2m")
    result.assert_outcomes(failed=1)
    (record,) = Engine.sessions(store)
    engine = Engine.attach(record.id, root=store)
    try:
        container = engine.container("kept")
        health = container.health
        assert health is not None
        streak = health.failing_streak
        container.wait_until(lambda: (container.health or health).failing_streak >= streak + 3, timeout=20)
    finally:
        engine.end()
