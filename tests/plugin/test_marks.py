"""Marks at collection: wrong ones, the nearest one, and `pods` on what reaches the engine."""

from __future__ import annotations

import pytest

WRONG = """
import pytest

@pytest.mark.container("redis:7", prots=[6379])
def test_wrong(container): ...

def test_right(): ...

@pytest.mark.container("redis:7", ports=["x"])
def test_wrong_value(container): ...
"""


def test_wrong_mark_is_an_error_of_collection_that_names_test_and_argument(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=WRONG)
    result = pytester.runpytest("-rE")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "*ERROR collecting test_it.py*",
            "test_it.py::test_wrong: InvalidMarkerError: @pytest.mark.container: unknown argument 'prots' *",
            "hint: did you mean 'ports'?",
            "*ERROR collecting test_it.py*",
            "test_it.py::test_wrong_value: InvalidMarkerError: @pytest.mark.container: invalid port 'x'",
            "ERROR test_it.py::test_wrong - InvalidMarkerError: @pytest.mark.container: *",
            "*Interrupted: 2 errors during collection*",
        ]
    )


def test_wrong_mark_leaves_the_other_tests_collected(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(WRONG)
    result = pytester.runpytest("--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=2)


def test_wrong_mark_is_found_in_a_test_that_is_left_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(WRONG)
    assert pytester.runpytest("-k", "right").ret == pytest.ExitCode.INTERRUPTED


def test_wrong_mark_is_told_once_by_several_workers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(WRONG)
    result = pytester.runpytest_subprocess("-n2", "-rE")
    assert result.ret != pytest.ExitCode.OK
    # Not in the short summary, where pytest shows whole messages on CI and their beginnings elsewhere.
    told = [line for line in result.outlines if "unknown argument 'prots'" in line and not line.startswith("ERROR")]
    assert len(told) == 1
    result.assert_outcomes(passed=1, errors=2)


def test_test_that_wants_a_container_without_a_mark_is_told_how_to_ask(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(container): ...")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "InvalidMarkerError: *::test_one asks for a container, and has no @pytest.mark.container",
            'hint: write @pytest.mark.container("redis:7") *',
        ]
    )
    assert "ownership.py" not in result.stdout.str()


@pytest.mark.parametrize(
    ("place", "image"),
    [("TestClass::test_own", "own"), ("TestClass::test_class", "class"), ("test_module", "module")],
)
def test_nearest_mark_counts(pytester: pytest.Pytester, place: str, image: str) -> None:
    pytester.makeconftest(
        """
        import pytest
        from pytest_pods.markers.parsing import plan_container

        @pytest.fixture
        def image(request):
            return plan_container(request.node).fixed.image
        """
    )
    pytester.makepyfile(
        test_it=f"""
        import pytest
        pytestmark = pytest.mark.container("module")

        @pytest.mark.container("class")
        class TestClass:
            @pytest.mark.container("own")
            def test_own(self, image): assert image == {image!r}
            def test_class(self, image): assert image == {image!r}

        def test_module(image): assert image == {image!r}
        """
    )
    pytester.runpytest(f"test_it.py::{place}").assert_outcomes(passed=1)


def test_mark_of_a_parameter_set_is_nearer_than_the_functions(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_pods.markers.parsing import plan_container

        @pytest.mark.container("function")
        @pytest.mark.parametrize(
            "image", [pytest.param("six", marks=pytest.mark.container("six")), "function"]
        )
        def test_one(request, image):
            assert plan_container(request.node).fixed.image == image
        """
    )
    pytester.runpytest().assert_outcomes(passed=2)


REACHING = """
import pytest
from pytest_pods import container_fixture

redis = container_fixture("redis:7", scope="session")

def describe(redis):
    return {"image": "web"}

web = container_fixture(describe)

@pytest.fixture
def client(web): ...

@pytest.fixture
def lonely(): ...

class TestClass:
    db = container_fixture("postgres:16")
    def test_fixture_of_class(self, db): ...

@pytest.mark.container("redis:7")
def test_mark(container): ...
def test_factory(run_container): ...
def test_engine(pods): ...
def test_declared(redis): ...
def test_chain(client): ...
@pytest.mark.usefixtures("web")
def test_used(): ...
def test_nothing(lonely): ...
@pytest.mark.container("redis:7")
def test_mark_alone(): ...
"""


def test_tests_that_reach_the_engine_are_marked_pods(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=REACHING)
    chosen = pytester.runpytest("--collect-only", "-q", "-m", "pods", "--strict-markers")
    names = {line.rpartition("::")[2] for line in chosen.outlines if "::" in line}
    assert names == {
        "test_fixture_of_class", "test_mark", "test_factory", "test_engine", "test_declared", "test_chain", "test_used"
    }


def test_tests_that_do_not_reach_the_engine_run_with_not_pods(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=REACHING)
    pytester.runpytest("-m", "not pods", "--strict-markers", "-W", "error").assert_outcomes(passed=2, deselected=7)


def test_own_fixture_of_the_same_name_keeps_the_engine_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def container(): return "mine"

        @pytest.fixture
        def pods(): return "mine"

        def test_one(container, pods): assert container == pods == "mine"
        """
    )
    pytester.runpytest("-m", "not pods").assert_outcomes(passed=1)


def test_marks_are_listed(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.container(image, command=None, *", "@pytest.mark.pods: *"])


def test_fixtures_are_listed_with_what_they_give(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=REACHING)
    result = pytester.runpytest("--fixtures")
    result.stdout.fnmatch_lines(["container -- *", "    The container of the nearest @pytest.mark.container*"])
    result.stdout.fnmatch_lines(["redis *session scope* -- *", "    A container of redis:7."])
    result.stdout.no_fnmatch_line("*_pods_owner*")


def test_declared_fixture_with_a_wrong_argument_fails_where_it_is_declared(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_wrong="from pytest_pods import container_fixture\nredis = container_fixture('redis:7', prots=[1])\n",
        test_right="def test_one(): ...",
    )
    result = pytester.runpytest("--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["test_wrong.py:2: in <module>", "*InvalidSpecError: unknown argument 'prots'*"])
