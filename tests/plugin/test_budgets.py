"""`max_memory=`: a test whose container has used more fails, and says what was used."""

from __future__ import annotations

import pytest

from tests.support.fixtures_store import BUSYBOX
from tests.support.machine import needs_control_groups

pytestmark = [pytest.mark.usefixtures("store"), needs_control_groups]

HEAD = f"""
import pytest
from pytest_pods import container_fixture

BUSYBOX = {BUSYBOX!r}
SLEEP = ["sleep", "1000"]
EAT = "dd if=/dev/zero of=/dev/null bs=64M count=1 2>&1"
"""


def test_test_fails_with_what_was_used_and_only_where_it_was_too_much(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, SLEEP, network="none", max_memory="40m")
def test_hungry(container):
    container.succeed(EAT)

@pytest.mark.container(BUSYBOX, SLEEP, network="none", max_memory="40m")
def test_modest(container): ...

@pytest.mark.container(BUSYBOX, SLEEP, network="none", max_memory="40m")
def test_broken(container):
    container.succeed(EAT)
    assert False

@pytest.mark.pod(one=dict(image=BUSYBOX, command=SLEEP, max_memory="40m"), two=dict(image=BUSYBOX, command=SLEEP))
def test_member(pod):
    pod["one"].succeed(EAT)
    pod["two"].succeed(EAT)

def test_by_hand(pods):
    container = pods.run(BUSYBOX, SLEEP, network="none", max_memory="40m", name="by-hand")
    container.succeed(EAT)
    container.remove()
"""
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, failed=4)
    result.stdout.re_match_lines(
        [
            r"BudgetExceededError: busybox \(\w+\) has used [67]\d(\.\d)? MiB of memory, and max_memory is 40 MiB",
            r"hint: this is the peak since its start, with file cache",
            r"E +assert False",
            r"BudgetExceededError: one \([\w-]+\) has used .* MiB of memory, and max_memory is 40 MiB",
            r"BudgetExceededError: by-hand \(by-hand\) has used .*",
        ]
    )
    assert result.stdout.str().count("BudgetExceededError: two") == 0


def test_shared_container_fails_the_test_that_saw_it_first(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
shared = container_fixture(BUSYBOX, SLEEP, scope="session", network="none", max_memory="40m")
def test_before(shared): ...
def test_hungry(shared):
    shared.succeed(EAT)
    shared.restart()
def test_after(shared): ...
"""
    )
    result = pytester.runpytest("-v")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*::test_hungry FAILED*", "*::test_after PASSED*", "BudgetExceededError: shared (*"])


def test_expected_failure_may_be_a_budget(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.xfail
@pytest.mark.container(BUSYBOX, SLEEP, network="none", max_memory="40m")
def test_known(container):
    container.succeed(EAT)
"""
    )
    pytester.runpytest().assert_outcomes(xfailed=1)


def test_container_that_workers_share_is_looked_at_by_each(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
shared = container_fixture(BUSYBOX, SLEEP, scope="session", network="none", max_memory="40m")
@pytest.mark.parametrize("number", range(2))
def test_hungry(shared, number):
    shared.succeed(EAT)
"""
    )
    pytester.runpytest("-n2", "--dist=each").assert_outcomes(failed=2, passed=2)
