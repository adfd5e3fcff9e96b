"""Real containers through marks, the factory, declared fixtures and the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fixtures_store import BUSYBOX

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import time
import pytest
from pytest_pods import container_fixture, waits

BUSYBOX = {BUSYBOX!r}
SERVE = ["sh", "-c", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"]
"""


def make_suite(pytester: pytest.Pytester, text: str, **files: str) -> None:
    pytester.makepyfile(test_it=HEAD + text, **{name: HEAD + content for name, content in files.items()})


def test_marked_container_serves_its_test_and_is_gone_for_the_next(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
        import urllib.request

        seen = []

        @pytest.mark.container(BUSYBOX, SERVE, ports=[8080], wait=waits.http("/", 8080))
        class TestServe:
            def test_one(self, container):
                with urllib.request.urlopen(container.url(8080)) as answer:
                    assert answer.read() == b"hello\\n"
                seen.append(container.id)

            def test_two(self, container, pods):
                assert container.id not in seen
                assert [one.id for one in pods.containers(all=False)] == [container.id]
        """.replace("\n        ", "\n"),
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["pods: 2 containers"])


def test_factory_makes_as_many_as_a_test_wants(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
def test_many(run_container):
    containers = [run_container(BUSYBOX, ["echo", str(number)], network="none") for number in range(3)]
    assert [one.wait(10) for one in containers] == [0, 0, 0]
    assert [one.logs() for one in containers] == ["0\\n", "1\\n", "2\\n"]
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["pods: 3 containers"])


def test_factory_may_be_called_from_threads(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
from concurrent.futures import ThreadPoolExecutor

def test_many(run_container):
    with ThreadPoolExecutor(4) as pool:
        containers = list(pool.map(lambda number: run_container(BUSYBOX, ["true"], network="none"), range(8)))
    assert [one.wait(10) for one in containers] == [0] * 8
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["pods: 8 containers"])


def test_declared_fixture_lives_as_long_as_its_scope(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
seen = {}

def test_one(wide, narrow):
    seen.update(wide=wide.id, narrow=narrow.id)

class TestClass:
    own = container_fixture(BUSYBOX, ["sleep", "100"], scope="class", network="none")

    def test_two(self, wide, narrow, own):
        assert wide.id == seen["wide"]
        assert narrow.id != seen["narrow"]
        seen.update(own=own.id)

    def test_three(self, own):
        assert own.id == seen["own"]

def test_four(pods):
    assert [one.id for one in pods.containers(all=False)] == [seen["wide"]]
""",
        conftest="""
wide = container_fixture(BUSYBOX, ["sleep", "100"], scope="session", network="none")
narrow = container_fixture(BUSYBOX, ["sleep", "100"], network="none")
""",
    )
    # Removal is in the background: only what is gone for good is counted.
    result = pytester.runpytest("-k", "not four")
    result.assert_outcomes(passed=3, deselected=1)
    result.stdout.fnmatch_lines(["pods: 4 containers"])


def test_declared_fixture_is_described_by_a_function_of_other_fixtures(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.fixture(params=["red", "blue"])
def colour(request):
    return request.param

def describe(colour, request):
    return {"image": BUSYBOX, "command": ["echo", colour, request.fixturename], "network": "none"}

painted = container_fixture(describe)

def test_colour(painted, colour):
    assert painted.wait(10) == 0
    assert painted.logs() == f"{colour} painted\\n"
""",
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_function_that_returns_no_description_is_named(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
def describe():
    return {"image": BUSYBOX, "prots": [1]}

wrong = container_fixture(describe)

def test_wrong(wrong): ...
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["InvalidSpecError: container_fixture(describe): unknown argument 'prots' *"])


def test_name_and_port_are_free_for_the_next_test(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
import socket
with socket.create_server(("127.0.0.1", 0)) as free:
    PORT = free.getsockname()[1]

@pytest.mark.container(BUSYBOX, ["sleep", "100"], name="db", ports=[f"{PORT}:80"])
class TestDb:
    @pytest.mark.parametrize("number", range(3))
    def test_one(self, container, number):
        assert container.name == "db"
        assert container.address(80) == ("127.0.0.1", PORT)
""",
    )
    pytester.runpytest().assert_outcomes(passed=3)


def test_container_that_a_test_forgets_goes_with_the_session_and_is_told(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
def test_one(pods):
    pods.run(BUSYBOX, ["sleep", "100"], name="forgotten", network="none")
    pods.run(BUSYBOX, ["sleep", "100"], network="none").remove()
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["pods: 2 containers, 1 not removed by its test but with the session (forgotten)"]
    )


def test_workers_have_engines_of_their_own_and_are_summed_up(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.parametrize("number", range(4))
def test_one(wide, run_container, number):
    assert wide.running
    assert run_container(BUSYBOX, ["true"], network="none").wait(10) == 0
""",
        conftest="""
wide = container_fixture(BUSYBOX, ["sleep", "100"], scope="session", network="none")
""",
    )
    result = pytester.runpytest_subprocess("-n2", "--dist=each")
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["pods: 9 containers"])


def test_hooks_are_told_of_ready_and_failed_containers(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(BUSYBOX, ["sleep", "100"], network="none")
def test_one(container): ...

@pytest.mark.container(BUSYBOX, ["false"], network="none", wait=waits.port(80))
def test_two(container): ...
""",
        conftest="""
def pytest_pods_container_ready(container, fixture, nodeid):
    print(f"<ready {container.image} {fixture} {nodeid} {container.running}>")

def pytest_pods_container_failed(container, fixture, nodeid, error):
    print(f"<failed {fixture} {nodeid} {type(error).__name__}>")
""",
    )
    result = pytester.runpytest("-s")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            f"*<ready {BUSYBOX} container test_it.py::test_one True>*",
            "*<failed container test_it.py::test_two ExitedEarlyError>*",
        ]
    )


def test_unknown_image_is_one_error_without_the_engines_inside(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container("localhost/no-such-image:1", pull="never")
def test_one(container): ...
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ImageNotFoundError: *localhost/no-such-image:1*"])
    result.stdout.no_fnmatch_line("During handling of the above exception*")
    assert ".py:" not in "".join(line for line in result.outlines if "engine/" in line)


@pytest.mark.parametrize(
    ("missing", "outcomes"),
    [("fail", {"failed": 1, "errors": 1}), ("skip", {"skipped": 2}), (None, {"failed": 1, "errors": 1})],
)
def test_what_the_machine_cannot_do_fails_or_skips(
    pytester: pytest.Pytester, missing: str | None, outcomes: dict[str, int]
) -> None:
    make_suite(
        pytester,
        """
from pytest_pods import MissingProgramError

def test_engine(pods):
    raise MissingProgramError("runc is not installed", hint="apt-get install runc")

@pytest.mark.container(BUSYBOX, ["true"], network="none")
def test_container(container): ...
""",
        conftest="""
from pytest_pods import MissingProgramError

def pytest_pods_container_ready():
    raise MissingProgramError("conmon is not installed", hint="apt-get install conmon")
""",
    )
    if missing is not None:
        pytester.makeini(f"[pytest]\npods_missing = {missing}\n")
    result = pytester.runpytest("-rs")
    result.assert_outcomes(**outcomes)
    result.stdout.fnmatch_lines(["*MissingProgramError: runc is not installed*"])
    result.stdout.fnmatch_lines(["*MissingProgramError: conmon is not installed*"])


def test_store_is_as_before(pytester: pytest.Pytester, store: Path) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo changed > /etc/passwd"], network="none")
def test_one(container):
    assert container.wait(10) == 0
""",
    )
    before = sorted(str(path) for path in store.rglob("*"))
    pytester.runpytest().assert_outcomes(passed=1)
    assert sorted(str(path) for path in store.rglob("*")) == before
