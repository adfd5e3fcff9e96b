"""What conftest files and other plugins are told of containers, and what they may decide."""

from __future__ import annotations

import pytest

from tests.support.fixtures_store import BUSYBOX

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import pytest
from pytest_pods import container_fixture, waits

BUSYBOX = {BUSYBOX!r}
SLEEP = ["sleep", "1000"]
"""

TELLING = """
def tell(event, container, nodeid):
    with open("told.txt", "a") as file:
        print(event, container.name, nodeid.rpartition("::")[2] or nodeid, file=file)

def pytest_pods_container_created(container, nodeid):
    assert container.status == "created" or container.name.startswith("shop-")
    tell("created", container, nodeid)

def pytest_pods_container_ready(container, nodeid):
    tell("ready", container, nodeid)

def pytest_pods_container_failed(container, nodeid, error):
    tell("failed", container, nodeid)

def pytest_pods_before_remove(container, nodeid):
    assert container.status in ("running", "exited")
    tell("before_remove", container, nodeid)

def pytest_pods_container_removed(container, nodeid, fixture):
    tell("removed", container, nodeid)
"""


def make_suite(pytester: pytest.Pytester, text: str, conftest: str) -> None:
    pytester.makepyfile(test_it=HEAD + text)
    pytester.makeconftest(HEAD + conftest)


def read_told(pytester: pytest.Pytester) -> list[str]:
    return (pytester.path / "told.txt").read_text().splitlines()


@pytest.mark.parametrize("named", [True, False], ids=["removed at once", "removed in the background"])
def test_whole_life_of_a_container_is_told_in_order(pytester: pytest.Pytester, named: bool) -> None:
    # A fixed name has to be free for the next test, which is why that one is not removed in the background.
    name = ", name='one'" if named else ""
    make_suite(
        pytester,
        f"""
@pytest.mark.container(BUSYBOX, SLEEP, network="none"{name})
def test_one(container):
    with open("name.txt", "w") as file:
        file.write(container.name)
""",
        TELLING,
    )
    pytester.runpytest().assert_outcomes(passed=1)
    name = (pytester.path / "name.txt").read_text()
    assert read_told(pytester) == [f"{event} {name} test_one" for event in (
        "created", "ready", "before_remove", "removed",
    )]


def test_container_that_fails_is_told_to_fail_and_to_go(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(BUSYBOX, ["false"], network="none", name="bad", wait=waits.port(80))
def test_one(container): ...
""",
        TELLING,
    )
    pytester.runpytest().assert_outcomes(errors=1)
    assert read_told(pytester) == [f"{event} bad test_one" for event in (
        "created", "failed", "before_remove", "removed",
    )]


def test_members_of_pods_are_told_of_as_well(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.pod(name="shop", network="none", a=dict(image=BUSYBOX, command=SLEEP),
                 b=dict(image=BUSYBOX, command=SLEEP))
def test_good(pod): ...

@pytest.mark.pod(name="shop", network="none", a=dict(image=BUSYBOX, command=SLEEP),
                 b=dict(image=BUSYBOX, command=["false"], needs=["a"], wait=waits.port(80)))
def test_bad(pod): ...
""",
        TELLING,
    )
    pytester.runpytest().assert_outcomes(passed=1, errors=1)
    told = read_told(pytester)
    good = [line for line in told if line.endswith("test_good")]
    assert sorted(good) == sorted(
        f"{event} shop-{member} test_good" for event in ("created", "ready", "before_remove", "removed")
        for member in "ab"
    )
    assert [line for line in told if "shop-b" in line and line.endswith("test_bad")] == [
        "created shop-b test_bad", "failed shop-b test_bad", "before_remove shop-b test_bad", "removed shop-b test_bad",
    ]


def test_what_is_raised_before_the_removal_fails_the_test_and_removes_the_container_all_the_same(
    pytester: pytest.Pytester,
) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(BUSYBOX, SLEEP, network="none")
def test_one(container): ...

def test_two(pods):
    pods.await_removals()
    assert pods.containers() == []
""",
        """
def pytest_pods_before_remove(container):
    raise RuntimeError("cannot save its state")
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*RuntimeError: cannot save its state*"])


def test_what_is_raised_after_the_removal_is_a_fault_of_the_run(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(BUSYBOX, SLEEP, network="none")
def test_one(container): ...
""",
        """
def pytest_pods_container_removed(container):
    raise RuntimeError("cannot write its statistics")
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["RuntimeError: cannot write its statistics", "*1 fault while removing*"])


def test_specification_can_be_changed_before_a_container_is_made(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(BUSYBOX, SLEEP, network="none")
def test_one(container):
    assert container.succeed("echo $WHO") == "container of test_it.py::test_one\\n"

@pytest.mark.pod(network="none", member=dict(image=BUSYBOX, command=SLEEP))
def test_two(pod):
    assert pod["member"].succeed("echo $WHO") == "pod of test_it.py::test_two\\n"
""",
        """
def pytest_pods_before_create(spec, fixture, nodeid):
    return spec.with_changes(env={**spec.env, "WHO": f"{fixture} of {nodeid}"})
""",
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_hook_that_returns_no_specification_is_named(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(BUSYBOX, SLEEP, network="none")
def test_one(container): ...
""",
        "def pytest_pods_before_create():\n    return {'env': {}}\n",
    )
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*InvalidSpecError: the hook pytest_pods_before_create returned {'env': {}}*"])


def test_waits_have_names(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo up; exec sleep 1000"], network="none", wait="up")
def test_mark(container):
    assert container.logs() == "up\\n"

def test_within_others(run_container):
    command = ["sh", "-c", "echo up; touch /there; exec sleep 1000"]
    made = run_container(BUSYBOX, command, network="none", wait=waits.all_of("up", "there"))
    assert made.exists("/there")
    assert made.logs() == "up\\n"

@pytest.mark.container(BUSYBOX, SLEEP, network="none", wait="no-such")
def test_unknown(container): ...
""",
        """
def pytest_pods_find_wait(name):
    if name == "up":
        return waits.log("up")
    if name == "there":
        return lambda container: container.exists("/there")
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*InvalidSpecError: no wait is called 'no-such'*"])


def test_failing_test_shows_the_sections_of_others(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container(BUSYBOX, SLEEP, network="none", name="db")
def test_one(container):
    assert False
""",
        """
def pytest_pods_report_sections(container, nodeid):
    yield f"queries of {container.name}", f"none, in {nodeid}"
""",
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- queries of db -*", "none, in test_it.py::test_one"])


@pytest.mark.parametrize(
    "arguments", [["--pods-image=no-such=" + BUSYBOX], ["--pods-image=other", "--pods-image=no-such:1=" + BUSYBOX]]
)
def test_image_is_replaced_for_a_run(pytester: pytest.Pytester, arguments: list[str]) -> None:
    if arguments[0] == "--pods-image=other":
        arguments[0] += "=unused:1"
    make_suite(
        pytester,
        """
@pytest.mark.container("no-such:1", SLEEP, network="none")
def test_mark(container):
    assert container.image == BUSYBOX

def test_engine(pods):
    with_image = dict(mounts=["type=image,source=no-such:1,target=/other"])
    made = pods.run("no-such:1", ["ls", "/other/bin"], network="none", **with_image)
    assert made.wait(10) == 0 and made.logs()
""",
        "",
    )
    result = pytester.runpytest(*arguments)
    result.assert_outcomes(passed=2)
    unused = "pods: no test asked for other, which --pods-image replaces"
    assert (unused in result.outlines) == (len(arguments) == 2)


def test_hook_resolves_images_and_the_option_goes_first(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        """
@pytest.mark.container("app:1", SLEEP, network="none")
def test_hook(container):
    assert container.image == BUSYBOX

@pytest.mark.container("app:2", SLEEP, network="none", pull="never")
def test_option(container): ...
""",
        """
def pytest_pods_resolve_image(image):
    return BUSYBOX if image.startswith("app") else None
""",
    )
    result = pytester.runpytest("--pods-image=app:2=localhost/not-there:1")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ImageNotFoundError: *localhost/not-there:1*"])
