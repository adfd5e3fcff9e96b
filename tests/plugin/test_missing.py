"""What this machine really lacks: tests fail with the reason and what to do, or are skipped with it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from pytest_pods.engine.host.programs import get_program
from pytest_pods.engine.host.sandbox import helper_path
from tests.support.fixtures_store import BUSYBOX

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("store")]

SUITE = f"""
import pytest

@pytest.mark.container({BUSYBOX!r}, ["true"], network="none")
def test_mark(container): ...

def test_factory(run_container):
    run_container({BUSYBOX!r}, ["true"], network="none")

def test_engine(pods):
    pods.run({BUSYBOX!r}, ["true"], network="none")

def test_without(): ...
"""

LACKS = {
    "runc": ("runc", "MissingProgramError: the program runc is not installed", "apt install runc (Debian, Ubuntu) *"),
    "conmon": ("conmon", "MissingProgramError: the program conmon is not installed", "apt install conmon (Debian, *"),
    "helper": ("", "MissingProgramError: the native helper * cannot be executed: Permission denied", "install the *"),
    "namespaces": (None, "UnsupportedHostError: the session's sandbox cannot start: *", "pytest-pods doctor says *"),
}


def run_without(pytester: pytest.Pytester, program: str | None, *arguments: str) -> pytest.RunResult:
    """A run of pytest on a machine without a program, or without the right to make namespaces (None)."""
    pytest_itself = [sys.executable, "-m", "pytest", *arguments]
    if program is None:
        # setpriv and not unshare: it is a privilege that is missing, also to root.
        return pytester.run("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *pytest_itself)
    path = Path(get_program(program)) if program else helper_path()
    script = f"mount --bind /dev/null {shlex.quote(str(path.resolve()))} && exec {shlex.join(pytest_itself)}"
    return pytester.run("unshare", "--mount", "sh", "-c", script)


@pytest.mark.parametrize(("program", "reason", "hint"), LACKS.values(), ids=LACKS.keys())
def test_tests_fail_with_the_reason_and_what_to_do(
    pytester: pytest.Pytester, program: str | None, reason: str, hint: str
) -> None:
    pytester.makepyfile(SUITE)
    result = run_without(pytester, program)
    result.assert_outcomes(passed=1, failed=2, errors=1)
    # Each of the three says it, whichever came first.
    result.stdout.fnmatch_lines([f"*{reason}", f"*hint: {hint}"] * 3)


@pytest.mark.parametrize(("program", "reason", "hint"), LACKS.values(), ids=LACKS.keys())
def test_tests_are_skipped_with_the_reason_if_asked_for(
    pytester: pytest.Pytester, program: str | None, reason: str, hint: str
) -> None:
    pytester.makeini("[pytest]\npods_missing = skip\n")
    pytester.makepyfile(test_it=SUITE)
    result = run_without(pytester, program, "-rs")
    result.assert_outcomes(passed=1, skipped=3)
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"SKIPPED [[]1[]] test_it.py:*: {reason}"] * 3)
