"""A suite that uses no container: the plugin is not felt."""

from __future__ import annotations

import pytest

SUITE = """
import os, sys, threading
import pytest

@pytest.mark.parametrize("number", range(20))
def test_many(number): ...

def test_failing(): assert False

def test_last():
    assert [name for name in sys.modules if name.startswith("pytest_pods.engine")] == []
    assert threading.active_count() == 1
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        assert file.read() == ""
"""


def test_no_engine_is_imported_and_no_process_or_thread_is_started(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess("-p", "no:xdist", "-p", "no:timeout")
    result.assert_outcomes(passed=21, failed=1)
    assert "pods" not in result.stdout.lines[-1]
    result.stdout.no_fnmatch_line("pods:*")


def test_nothing_is_written_where_stores_lie(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile("def test_one(): ...")
    root = pytester.path / "store"
    monkeypatch.setenv("PYTEST_PODS_ROOT", str(root))
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    assert not root.exists()
