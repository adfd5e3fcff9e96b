"""Real pods through marks, the factory, declared fixtures; what is shown and kept of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fixtures_store import BUSYBOX

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import urllib.request
import pytest
from pytest_pods import pod_fixture, waits

SLEEP = dict(image={BUSYBOX!r}, command=["sleep", "1000"])
WEB = dict(
    image={BUSYBOX!r}, ports=[8080], wait=waits.port(8080),
    command=["sh", "-c", "mkdir /www; echo hello > /www/index.html; echo serving; exec httpd -f -p 8080 -h /www"],
)
"""


def make_suite(pytester: pytest.Pytester, text: str, **files: str) -> None:
    pytester.makepyfile(test_it=HEAD + text, **{name: HEAD + content for name, content in files.items()})


def test_marked_pod_serves_its_test_and_is_gone_for_the_next(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.pod(network="none", name="shop", web=WEB, client=dict(SLEEP, needs=["web"]))
class TestShop:
    def test_one(self, pod):
        assert list(pod) == ["web", "client"]
        assert urllib.request.urlopen(pod["web"].url(8080)).read() == b"hello\\n"
        assert pod["client"].succeed("wget -qO- http://web:8080/") == "hello\\n"
        pod.kill()

    def test_two(self, pod, pods):
        assert pod.status == "running"
        assert pods.pods() == [pod]
        assert len(pods.containers()) == 2

def test_nothing_left(pods):
    assert pods.pods() == []
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["pods: 4 containers"])


def test_member_that_fails_when_the_pod_is_up_is_the_first_that_a_failing_test_shows(
    pytester: pytest.Pytester,
) -> None:
    make_suite(
        pytester,
        """
def test_ends(shop):
    shop["web"].succeed("touch /dev/shm/go")
    assert shop["weak"].wait(20) == 3
    assert shop.status == "degraded"
    raise AssertionError("first")

def test_later(shop):
    raise AssertionError("second")
""",
        conftest="""
WEAK = dict(SLEEP, command=["sh", "-c", "until [ -e /dev/shm/go ]; do usleep 1000; done; echo no database; exit 3"])
shop = pod_fixture(network="none", name="shop", web=WEB, weak=WEAK, scope="session")
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=2)
    result.stdout.re_match_lines(
        [
            ".*AssertionError: first",
            "-* pods: containers of this test -*",
            r"weak: exited with exit code 3, .* s after its start",
            "web: running since .*",
            ".*weak +. no database",
            ".*AssertionError: second",
            "-* pods: containers of this test -*",
            r"weak: exited with exit code 3, .* s after its start",
            "web: running since .*",
        ]
    )


def test_factory_and_declared_fixtures_give_pods(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
def test_many(run_pod):
    pods = [run_pod(network="none", a=SLEEP) for _ in range(2)]
    assert [pod.status for pod in pods] == ["running", "running"]

def test_shared(shop, dynamic):
    assert shop["web"].url(8080)
    assert dynamic["one"].spec.env == {"PORT": "8080"}

def test_shared_again(shop, pods):
    assert shop.status == "running"
    assert shop in pods.pods()
""",
        conftest="""
shop = pod_fixture(network="none", web=WEB, scope="session")

@pytest.fixture
def port():
    return "8080"

def describe(port):
    return {"network": "none", "one": dict(SLEEP, env={"PORT": port})}

dynamic = pod_fixture(describe)
""",
    )
    pytester.runpytest().assert_outcomes(passed=3)


def test_failing_test_shows_every_member(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.pod(network="none", name="shop", web=WEB, other=SLEEP)
def test_fails(pod):
    pod["other"].kill()
    assert False, "on purpose"
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines_random(
        [
            "web: running since *",
            "    container shop-web (*), pod shop",
            "*  web    | serving",
            "other: exited with exit code 137 (SIGKILL), *",
            "    container shop-other (*), pod shop",
        ]
    )


def test_member_that_fails_is_an_error_with_its_log_and_hooks_are_told(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.pod(
    network="none", name="shop", ok=WEB,
    bad=dict(SLEEP, command=["sh", "-c", "echo cannot go on; exit 3"], wait=waits.port(1), needs=["ok"]),
)
def test_never(pod):
    pass

@pytest.mark.pod(network="none", name="shop", ok=WEB)
def test_after(pod, pods):
    assert pods.pods() == [pod]
""",
        conftest="""
def pytest_pods_container_ready(container, fixture, nodeid):
    print("READY", container.name, fixture)

def pytest_pods_container_failed(container, fixture, nodeid, error):
    print("FAILED", container.name, fixture, type(error).__name__, container.exit_code)
""",
    )
    result = pytester.runpytest("-s")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            "*PodFailedError: pod shop: member bad (*) ended with exit code 3 while the pod came up",
            "*cannot go on",
            "*FAILED shop-bad pod PodFailedError 3",
            "*READY shop-ok pod",
            "    container shop-ok (*), pod shop",
            "bad: exited with exit code 3, *",
        ]
    )


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        pytest.param("a=dict(SLEEP, needs=['b']), b=dict(SLEEP, needs='a')", "in a circle: a → b → a", id="circle"),
        pytest.param("a=dict(SLEEP, need='b')", "member 'a': unknown argument 'need'", id="argument"),
        pytest.param("", "names no member", id="empty"),
        pytest.param("SLEEP", "takes its members by name", id="position"),
        pytest.param("ports=[80]", "names no member", id="options only"),
    ],
)
def test_wrong_mark_is_an_error_of_collection(pytester: pytest.Pytester, mark: str, told: str) -> None:
    make_suite(pytester, f"@pytest.mark.pod({mark})\ndef test_never(pod):\n    pass\n")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*InvalidMarkerError: @pytest.mark.pod*{told.replace('[', '?')}*"])


def test_pod_without_a_mark_is_told_what_to_write(pytester: pytest.Pytester) -> None:
    make_suite(pytester, "def test_never(pod):\n    pass\n")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*asks for a pod, and has no @pytest.mark.pod*"])


def test_pod_of_a_failed_test_is_kept_as_a_whole(pytester: pytest.Pytester, store: Path) -> None:
    from pytest_pods.engine.api import Engine

    make_suite(
        pytester,
        """
@pytest.mark.pod(network="none", name="bad", web=WEB, other=SLEEP)
def test_fails(pod):
    assert False

@pytest.mark.pod(network="none", name="good", web=WEB)
def test_passes(pod):
    pass
""",
    )
    result = pytester.runpytest_subprocess("--pods-keep=failed", "--pods-keep-for=60s")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "    kept: pytest-pods * shell bad-web",
            "    kept: pytest-pods * shell bad-other",
            "pod bad (web, other running) of test_it.py::test_fails",
            "    pytest-pods * shell bad",
        ]
    )
    (record,) = Engine.sessions(store)
    engine = Engine.attach(record.id, root=store)
    try:
        (pod,) = engine.pods()
        assert (pod.name, pod.status, list(pod)) == ("bad", "running", ["web", "other"])
        assert pod["other"].succeed("wget -qO- http://web:8080/") == "hello\n"
        pod.restart()
        assert pod.status == "running"
        pod.remove()
        assert engine.containers() == []
    finally:
        engine.end()
