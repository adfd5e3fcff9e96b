"""Suites with other plugins of pytest, which use containers: neither disturbs the other."""

from __future__ import annotations

import os

import pytest

from tests.plugin.conftest import OTHER_PLUGINS
from tests.support.fixtures_store import BUSYBOX

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import time
import pytest
from pytest_pods import container_fixture, waits

BUSYBOX = {BUSYBOX!r}
SLEEP = ["sleep", "1000"]
SERVE = ["sh", "-c", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"]
"""


@pytest.fixture
def beside(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets inner runs of pytest load every plugin that is installed."""
    options = os.environ["PYTEST_ADDOPTS"]
    for plugin in OTHER_PLUGINS:
        options = options.replace(f"-p no:{plugin}", "")
    monkeypatch.setenv("PYTEST_ADDOPTS", options)


def run(pytester: pytest.Pytester, suite: str, *arguments: str, plugin: str) -> pytest.RunResult:
    """A run with one of the other plugins, in a process of its own."""
    others = [f"-pno:{other}" for other in OTHER_PLUGINS if other != plugin]
    pytester.makepyfile(test_it=HEAD + suite)
    return pytester.runpytest_subprocess(*others, *arguments)


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_async_test_of_asyncio_uses_fixtures(pytester: pytest.Pytester, mode: str) -> None:
    pytester.makeini(f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n")
    result = run(
        pytester,
        """
import asyncio
import pytest_asyncio

wide = container_fixture(BUSYBOX, SLEEP, network="none", scope="session")

@pytest_asyncio.fixture
async def greeting(container):
    reader, writer = await asyncio.open_connection(*container.address(8080))
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    answer = await reader.read()
    writer.close()
    return answer.rpartition(b"\\r\\n")[2]

@pytest.mark.asyncio
@pytest.mark.container(BUSYBOX, SERVE, ports=[8080], wait=waits.port(8080))
async def test_container(greeting, container, wide):
    assert greeting == b"hello\\n"
    assert wide.running
    result = await asyncio.to_thread(container.exec, ["echo", "beside"])
    assert result.stdout == "beside\\n"

@pytest.mark.asyncio
async def test_factories(run_container, make_network):
    network = make_network()
    one = run_container(BUSYBOX, SLEEP, networks=[network])
    assert [found.id for found in network.containers()] == [one.id]

@pytest.mark.asyncio
@pytest.mark.pod(web=dict(image=BUSYBOX, command=SLEEP), network="none")
async def test_pod(pod):
    assert pod["web"].running

@pytest.mark.asyncio
@pytest.mark.container(spec=lambda greeting_text: {"image": BUSYBOX, "command": ["sleep", greeting_text]})
async def test_function_of_an_async_fixture(container):
    assert container.spec.command == ("sleep", "1000")

@pytest_asyncio.fixture
async def greeting_text():
    await asyncio.sleep(0)
    return "1000"
""",
        "-W", "error",
        plugin="asyncio",
    )
    result.assert_outcomes(passed=4)


@pytest.mark.usefixtures("beside")
def test_async_test_of_anyio_uses_fixtures(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import anyio

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.container(BUSYBOX, SERVE, ports=[8080], wait=waits.port(8080))
async def test_container(container, run_container):
    async with await anyio.connect_tcp(*container.address(8080)) as stream:
        await stream.send(b"GET / HTTP/1.0\\r\\n\\r\\n")
        assert b"200" in await stream.receive()
    assert run_container(BUSYBOX, SLEEP, network="none").running

@pytest.mark.container(spec=lambda words: {"image": BUSYBOX, "command": words, "network": "none"})
async def test_function_of_an_async_fixture(container):
    assert container.running

@pytest.fixture
async def words():
    await anyio.sleep(0)
    return SLEEP
""",
        "-W", "error",
        plugin="anyio",
    )
    result.assert_outcomes(passed=2)


def test_container_of_a_test_that_timeout_ends_is_removed(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
# Of the set-up's time nobody knows how long it is.
@pytest.mark.timeout(1, func_only=True)
@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo started; sleep 1000"], network="none", wait=waits.log("started"))
def test_hangs(container):
    container.wait()

def test_next(pods):
    pods.await_removals()
    assert pods.containers() == []
""",
        "--timeout-method=signal",
        plugin="timeout",
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*Failed: Timeout*", "* | started", "*test *call failed: *Timeout*"])


@pytest.mark.usefixtures("beside")
def test_rerun_has_containers_of_its_own_and_keeps_wider_ones(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
wide = container_fixture(BUSYBOX, SLEEP, network="none", scope="module")
seen, wide_seen = [], set()

@pytest.mark.flaky(reruns=2)
@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo started; sleep 1000"], network="none", wait=waits.log("started"))
def test_flaky(container, wide):
    assert container.logs() == "started\\n"
    assert not container.exec(["test", "-e", "/written"]).ok
    container.write("/written", b"")
    seen.append(container.id)
    wide_seen.add(wide.id)
    assert len(seen) == 3

def test_end():
    assert len(set(seen)) == 3
    assert len(wide_seen) == 1
""",
        plugin="rerunfailures",
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*2 rerun*"])


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["alone", "xdist"])
def test_rerun_tries_again_to_make_what_is_session_scoped(pytester: pytest.Pytester, workers: list[str]) -> None:
    pytester.makeconftest(
        """
created = []

def pytest_pods_container_created(container):
    created.append(container.id)
"""
    )
    result = run(
        pytester,
        """
def is_ready(container):
    from conftest import created
    return len(created) > 1

wide = container_fixture(BUSYBOX, SLEEP, network="none", scope="session", wait=is_ready, timeout=0.2)

@pytest.mark.flaky(reruns=1)
def test_it(wide):
    assert wide.running
""",
        *workers,
        plugin="rerunfailures",
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 rerun*"])


@pytest.mark.usefixtures("beside")
def test_shuffled_tests_have_their_own_containers(pytester: pytest.Pytester) -> None:
    suite = """
@pytest.mark.container(images=[BUSYBOX], command=SLEEP, network="none")
@pytest.mark.parametrize("number", range(6))
def test_it(container, number, pods):
    assert not container.exec(["test", "-e", "/written"]).ok
    container.write("/written", b"")
"""
    orders = []
    for seed in (1, 2, 3):
        result = run(pytester, suite, "-v", "-p", "randomly", f"--randomly-seed={seed}", plugin="randomly")
        result.assert_outcomes(passed=6)
        orders.append([line.split(" ")[0] for line in result.outlines if " PASSED" in line])
    assert len({tuple(order) for order in orders}) > 1
    assert len({tuple(sorted(order)) for order in orders}) == 1


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["alone", "xdist"])
def test_coverage_is_measured_beside_containers(pytester: pytest.Pytester, workers: list[str]) -> None:
    pytester.makepyfile(
        shop="""
        def buy(container):
            container.succeed("true")
            return "bought"

        def steal():
            return "stolen"
        """
    )
    result = run(
        pytester,
        """
import shop

@pytest.mark.container(BUSYBOX, SLEEP, network="none")
def test_buy(container):
    assert shop.buy(container) == "bought"
""",
        "--cov=shop", "--cov-report=term-missing", *workers,
        plugin="pytest_cov",
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["shop.py * 5 * 1 * 80% * 6"])


@pytest.mark.usefixtures("beside")
def test_database_of_django_and_container_are_used_together(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nDJANGO_SETTINGS_MODULE = site_settings\npythonpath = .\n")
    pytester.makepyfile(
        site_settings="""
        SECRET_KEY = "of a test"
        INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        USE_TZ = True
        """
    )
    result = run(
        pytester,
        """
from django.contrib.auth import get_user_model

wide = container_fixture(BUSYBOX, SLEEP, network="none", scope="session")

@pytest.mark.container(BUSYBOX, SERVE, ports=[8080], wait=waits.port(8080))
def test_both(db, container, wide):
    get_user_model().objects.create(username=container.name)
    assert get_user_model().objects.get().username == container.name
    assert wide.running

@pytest.mark.django_db
@pytest.mark.container(BUSYBOX, SLEEP, network="none")
def test_next(container):
    assert get_user_model().objects.count() == 0
""",
        plugin="django",
    )
    result.assert_outcomes(passed=2)


def test_workers_of_xdist_have_containers_of_their_own(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.container(BUSYBOX, SERVE, ports=[8080], wait=waits.port(8080))
@pytest.mark.parametrize("number", range(4))
def test_it(container, number):
    assert not container.exec(["test", "-e", "/written"]).ok
    container.write("/written", b"")
""",
        "-n2",
        plugin="xdist",
    )
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["pods: 4 containers*"])
