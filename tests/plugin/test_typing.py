"""What users write is typed: a suite that uses everything passes `mypy --strict`, and runs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import pytest_pods
from pytest_pods import waits
from pytest_pods.markers.definitions import FIXTURES
from tests.support.fixtures_store import BUSYBOX

SUITE = Path(__file__).parent / "typed"


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Path:
    """A copy of the suite, as the one directory of a project."""
    directory = pytester.path / "suite"
    shutil.copytree(SUITE, directory, ignore=shutil.ignore_patterns("__pycache__", "__init__.py"))
    return directory


WRONG = """
from pytest_pods import Container

def use(container: Container) -> int:
    return container.ip
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_suite_of_a_user_passes_mypy(pytester: pytest.Pytester, suite: Path) -> None:
    # One that is wrong on purpose, so that a check that sees no types is not taken for one that passes.
    (suite / "wrong.py").write_text(WRONG)
    result = pytester.run(sys.executable, "-m", "mypy", "--strict", "--config-file=", "suite")
    result.stdout.fnmatch_lines(
        ['suite/wrong.py:5: error: Incompatible return value type (got "str", expected "int")*', "Found 1 error *"]
    )


@pytest.mark.usefixtures("store")
def test_suite_of_a_user_runs(pytester: pytest.Pytester, suite: Path) -> None:
    images = [f"--pods-image=busybox={BUSYBOX}", f"--pods-image=busybox:other={BUSYBOX}"]
    pytester.runpytest_subprocess("suite", *images, "-W", "error").assert_outcomes(passed=12)


def test_suite_of_a_user_has_every_fixture_wait_and_declaration() -> None:
    text = "".join(path.read_text() for path in SUITE.glob("*.py"))
    declarations = [name for name in pytest_pods.__all__ if name.endswith("_fixture")]
    types = "Container Engine MakeNetwork MakeVolume Network Pod RunContainer RunPod Volume Wait".split()
    wanted = [*declarations, *types, *(f"waits.{name}(" for name in waits.__all__), *(f"{name}: " for name in FIXTURES)]
    assert [name for name in wanted if name not in text] == []
