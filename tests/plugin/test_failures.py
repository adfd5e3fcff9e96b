"""What a failing test shows of its containers, and which of them are kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_store import BUSYBOX

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import pytest
from pytest_pods import container_fixture, waits

BUSYBOX = {BUSYBOX!r}
ECHO = ["sh", "-c", "mkfifo /talk; echo started; while true; do cat /talk; done"]
wide = container_fixture(BUSYBOX, ECHO, scope="module", network="none", wait=waits.log("started"))

def say(container, text):
    position = container.log_position()
    container.succeed(f"echo {{text}} > /talk")
    container.wait_ready(waits.log(text))
"""


def test_report_shows_state_ports_and_the_log_of_this_test_only(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
def test_before(wide):
    say(wide, "of-the-test-before")

@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo out; echo err >&2; exit 3"], ports=[80])
def test_failing(wide, container):
    assert container.wait(10) == 3
    say(wide, "of-this-test")
    assert False

def test_after(wide): ...
"""
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- pods: containers of this test -*",
            "busybox: exited with exit code 3, * s after its start",
            f"    container *_* ({BUSYBOX}) at *",
            "    ports: 80/tcp on 127.0.0.1:*",
            "wide: running since *:*:*",
            f"    container *_* ({BUSYBOX}), fixture wide",
            "*- Captured log of containers: timeline of this test -*",
            "*:*:*.*  test     setup begins",
            "*:*:*.*  busybox  started",
            "*:*:*.*  wide     | of-this-test",
            "*:*:*.*  test     call failed: AssertionError: assert False",
        ]
    )
    text = result.stdout.str()
    assert re.search(r"^[\d:.]+  busybox  \| out$", text, re.MULTILINE)
    assert re.search(r"^[\d:.]+  busybox  ! err$", text, re.MULTILINE)
    assert "of-the-test-before" not in text
    assert text.count("- pods: ") == 1


def test_container_that_does_not_get_ready_is_shown_with_what_was_seen_last(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo busy; sleep 100"], wait=waits.port(80, timeout=0.3))
def test_slow(container): ...

@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo broken; exit 7"], wait=waits.port(80))
def test_broken(container): ...
"""
    )
    result = pytester.runpytest()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "NotReadyError: container * is not ready after 0.* s: waited for port 80; last seen: nothing listens on it",
            "*- pods: containers of this test -*",
            "busybox: running since *",
            "    awaited in vain for 0.* s: port 80; last seen: nothing listens on it",
            "*:*:*.*  busybox  started",
            "*:*:*.*  busybox  | busy",
            "*:*:*.*  busybox  not ready after 0.* s: port 80; last seen: nothing listens on it",
            "*:*:*.*  test     setup failed: NotReadyError: container *",
            "ExitedEarlyError: container * ended with exit code 7 *",
            "*- pods: containers of this test -*",
            "busybox: exited with exit code 7, *",
            "*:*:*.*  busybox  | broken",
            "*:*:*.*  busybox  exited with exit code 7",
        ]
    )
    assert "ownership.py" not in result.stdout.str()


def test_factory_fails_with_the_tests_own_line_and_an_error_that_can_be_caught(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
from pytest_pods import ExitedEarlyError

def test_caught(run_container):
    with pytest.raises(ExitedEarlyError):
        run_container(BUSYBOX, ["false"], network="none", wait=waits.port(80))

def test_failing(run_container):
    run_container(BUSYBOX, ["false"], network="none", wait=waits.port(80))
"""
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       run_container(BUSYBOX, *",
            "E       pytest_pods.engine.errors.ExitedEarlyError: container * ended with exit code 1 *",
            "    container *_* (*)",
        ]
    )
    assert "/pytest_pods/" not in result.stdout.str()


def test_error_of_a_container_ends_at_the_tests_own_line_unless_all_is_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
def fails_late(container):
    container.succeed("echo deep >&2; exit 3")

@pytest.mark.container(BUSYBOX, ECHO, network="none")
def test_failing(container):
    fails_late(container)
"""
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       fails_late(container)",
            '>       container.succeed("echo deep >&2; exit 3")',
            "E       pytest_pods.engine.errors.CommandError: * in container * ended with exit code 3",
            "E       deep",
        ]
    )
    assert "execution.py" not in result.stdout.str()
    assert "execution.py" in pytester.runpytest("--full-trace").stdout.str()


def test_containers_that_the_test_made_with_the_engine_are_shown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
def test_before(pods):
    pods.run(BUSYBOX, ["sleep", "100"], name="of-before", network="none")

def test_failing(pods):
    pods.run(BUSYBOX, ["sleep", "100"], name="of-this", network="none")
    assert False
"""
    )
    result = pytester.runpytest()
    result.stdout.fnmatch_lines(["of-this: running since *", "    container of-this (*)"])
    result.stdout.no_fnmatch_line("*container of-before*")


def test_container_that_the_test_removed_is_shown_as_it_was(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo last words; exit 3"], network="none")
def test_failing(container):
    container.wait(10)
    container.remove()
    assert "this is" == "seen"
"""
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E       AssertionError: assert 'this is' == 'seen'",
            "busybox: exited with exit code 3, *",
            "*  busybox  | last words",
            "*  busybox  removed",
        ]
    )


@pytest.mark.usefixtures("kept_sessions_end")
def test_keep_failed_keeps_the_containers_of_failed_tests_only(pytester: pytest.Pytester, store: Path) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, ["sleep", "100"], name="good", network="none")
def test_passing(container): ...

@pytest.mark.container(BUSYBOX, ["sleep", "100"], name="bad", network="none")
def test_failing(container, wide):
    assert False

@pytest.mark.container(BUSYBOX, ["false"], name="worse", network="none", wait=waits.port(80))
def test_not_ready(container): ...
"""
    )
    result = pytester.runpytest_subprocess("--pods-keep=failed", "--pods-keep-for=2m")
    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*kept containers*",
            f"*_* ({BUSYBOX}, running) of test_it.py::test_failing",
            "    pytest-pods * shell *_*",
            f"bad ({BUSYBOX}, running) of test_it.py::test_failing",
            "    pytest-pods * shell bad",
            f"worse ({BUSYBOX}, exited) of test_it.py::test_not_ready",
            "    pytest-pods * logs worse",
            "until *:*:* (--pods-keep-for); earlier:",
            "pods: 4 containers, 3 kept",
        ]
    )
    (session,) = Engine.sessions(store)
    with Engine.attach(session.id, root=store) as attached:
        assert {"bad", "worse"} < {one.name for one in attached.containers()}
        assert len(attached.containers()) == 3
        assert attached.container("bad").exec(["echo", "still here"]).stdout == "still here\n"


@pytest.mark.usefixtures("kept_sessions_end")
def test_keep_keeps_all_and_gives_names_to_the_newest(pytester: pytest.Pytester, store: Path) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, ["sleep", "100"], name="db", network="none")
class TestDb:
    def test_one(self, container): ...
    def test_two(self, container):
        container.succeed("touch /second")

def test_three(wide, pods):
    pods.run(BUSYBOX, ["sleep", "100"], name="own", network="none")
"""
    )
    result = pytester.runpytest_subprocess("--pods-keep", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["pods: 4 containers, 3 kept"])
    (session,) = Engine.sessions(store)
    with Engine.attach(session.id, root=store) as attached:
        assert attached.container("db").exec(["ls", "/second"]).ok
        assert attached.container("own").running


def test_nothing_is_kept_without_asking(pytester: pytest.Pytester, store: Path) -> None:
    pytester.makepyfile(test_it=HEAD + "\ndef test_failing(wide):\n    assert False\n")
    pytester.runpytest_subprocess().assert_outcomes(failed=1)
    assert Engine.sessions(store) == []


@pytest.mark.usefixtures("kept_sessions_end")
def test_what_workers_keep_is_told_by_the_controller(pytester: pytest.Pytester, store: Path) -> None:
    pytester.makepyfile(test_it=HEAD + "\ndef test_failing(wide):\n    assert False\n")
    result = pytester.runpytest_subprocess("-n2", "--dist=each", "--pods-keep=failed")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*kept containers*", "*of test_it.py::test_failing", "pods: 2 containers, 2 kept"])
    sessions = Engine.sessions(store)
    assert len(sessions) == 2
    assert all(f"sessions end {session.id}" in result.stdout.str() for session in sessions)
