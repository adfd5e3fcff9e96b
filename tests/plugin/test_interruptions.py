"""However a run ends, nothing of it is left a second later, and the store serves the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_store import BUSYBOX
from tests.support.leaks import HostState, find_leaks, wait_until_clean

_PATIENCE_S = 1.0

SUITE = f"""
import ctypes, os, signal, sys, time
import pytest
from pytest_pods import container_fixture

BUSYBOX = {BUSYBOX!r}
wide = container_fixture(BUSYBOX, ["sleep", "1000"], scope="session")

@pytest.mark.container(BUSYBOX, ["sh", "-c", "trap '' TERM; sleep 1000"], ports=[80])
def test_end(wide, container, run_container):
    run_container(BUSYBOX, ["sleep", "1000"], network="none", name="third")
    END

@pytest.mark.container(BUSYBOX, ["true"], network="none")
@pytest.mark.parametrize("number", range(3))
def test_other(container, number):
    assert container.wait(10) == 0
"""


class NothingLeft(Protocol):
    """Looks, for at most a second, for what the inner run left; processes of the test itself may be there."""

    def __call__(self, expected: Collection[int] = (), /) -> list[str]: ...


@pytest.fixture
def nothing_left(store: Path) -> Iterator[NothingLeft]:
    """At the end the store still serves: a container runs on it."""
    before = HostState.take()

    def look(expected: Collection[int] = (), /) -> list[str]:
        known = tuple(f"process {pid}:" for pid in expected)
        return wait_until_clean(
            lambda: [line for line in find_leaks(before, store) if not line.startswith(known or "\0")],
            patience_s=_PATIENCE_S,
        )

    yield look
    with Engine.open(root=store) as engine:
        assert engine.run(BUSYBOX, ["true"], network="none").wait(10) == 0


@pytest.mark.parametrize(
    ("end", "status"),
    [
        pytest.param("os._exit(33)", 33, id="os._exit"),
        pytest.param("os.abort()", -signal.SIGABRT, id="abort"),
        pytest.param("ctypes.string_at(0)", -signal.SIGSEGV, id="segmentation fault"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, id="SIGKILL"),
        pytest.param("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, id="SIGTERM"),
    ],
)
def test_process_that_dies_in_a_test(
    pytester: pytest.Pytester, nothing_left: NothingLeft, end: str, status: int
) -> None:
    pytester.makepyfile(SUITE.replace("END", end))
    assert pytester.runpytest_subprocess("-p", "no:faulthandler", timeout=60).ret == status
    assert nothing_left() == []


def test_child_of_the_test_that_lives_on_does_not_hold_the_session(
    pytester: pytest.Pytester, nothing_left: NothingLeft
) -> None:
    # It inherits every descriptor of the process, the sandbox's control socket as well.
    end = """
    child = os.fork()
    if child == 0:
        os.setsid()
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        signal.pause()
    with open("child", "w") as file:
        file.write(str(child))
    os._exit(33)
    """
    pytester.makepyfile(SUITE.replace("    END", end))
    assert pytester.runpytest_subprocess(timeout=60).ret == 33
    child = int((pytester.path / "child").read_text())
    try:
        assert nothing_left([child]) == []
    finally:
        os.kill(child, signal.SIGKILL)


def test_hard_end_by_a_time_out(pytester: pytest.Pytester, nothing_left: NothingLeft) -> None:
    pytester.makepyfile(SUITE.replace("END", "time.sleep(100)"))
    result = pytester.runpytest_subprocess("--timeout=3", "--timeout-method=thread", timeout=60)
    assert result.ret == 1
    result.stdout.no_fnmatch_line("*seconds ===*")
    assert nothing_left() == []


def test_worker_that_crashes_takes_its_containers_along(
    pytester: pytest.Pytester, nothing_left: NothingLeft
) -> None:
    pytester.makepyfile(SUITE.replace("END", "os._exit(33)"))
    result = pytester.runpytest_subprocess("-n2", timeout=90)
    result.stdout.fnmatch_lines(["*worker 'gw*' crashed while running '*::test_end'*"])
    result.assert_outcomes(passed=3, failed=1)
    assert nothing_left() == []


def test_first_failure_ends_the_run(pytester: pytest.Pytester, nothing_left: NothingLeft) -> None:
    pytester.makepyfile(SUITE.replace("END", "assert False"))
    result = pytester.runpytest_subprocess("-x", timeout=60)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["pods: 3 containers"])
    assert nothing_left() == []


@pytest.mark.parametrize("times", [1, 2])
def test_interrupt_from_the_keyboard(
    pytester: pytest.Pytester, nothing_left: NothingLeft, times: int
) -> None:
    pytester.makepyfile(SUITE.replace("END", "print('<in the test>', flush=True); time.sleep(100)"))
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "<in the test>" in line:
                break
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode in (pytest.ExitCode.INTERRUPTED, -signal.SIGINT), output
    assert nothing_left() == []


def test_error_inside_pytest(pytester: pytest.Pytester, nothing_left: NothingLeft) -> None:
    pytester.makepyfile(SUITE.replace("END", "pass"))
    pytester.makeconftest("def pytest_runtest_logreport(report): raise RuntimeError('a plugin is broken')")
    assert pytester.runpytest_subprocess(timeout=60).ret == pytest.ExitCode.INTERNAL_ERROR
    assert nothing_left() == []
