"""What went wrong with containers: found, told to GitHub and to JUnit files, listed by time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_pods.engine.events import ContainerEventKind as K
from pytest_pods.engine.records import PublishedPort
from pytest_pods.report.durations import Duration, build_table, build_title
from pytest_pods.report.failed_tests import PROBLEMS, FailedTest, Problem, find_failed_tests
from pytest_pods.report.github import append_job_summary, build_annotations, build_job_summary
from pytest_pods.report.junit import build_properties
from pytest_pods.report.problems import find_problems
from tests.support.looks import IMAGE_ID, make_event, make_health, make_look, make_state

NEVER = make_event(K.NOT_READY, 1, took_s=0.3, text="port 80; last seen: refused")


@pytest.mark.parametrize(
    ("values", "what"),
    [
        pytest.param({}, None, id="runs"),
        pytest.param({"state": make_state(code=0)}, None, id="ended well"),
        pytest.param({"state": make_state(code=3)}, "exited with exit code 3", id="ended badly"),
        pytest.param({"state": make_state(code=143), "events": (make_event(K.STOPPED, 1),)}, None, id="was stopped"),
        pytest.param({"state": make_state(code=137), "events": (make_event(K.KILLED, 1),)}, None, id="was killed"),
        pytest.param(
            {"state": make_state(code=137, oom_killed=True), "events": (make_event(K.KILLED, 1),)},
            "exited with exit code 137 (SIGKILL), out of memory",
            id="ran out of memory and was killed",
        ),
        pytest.param({"state": make_state(oom_killed=True)}, "ran out of memory", id="ran out of memory and runs"),
        pytest.param({"events": (NEVER,)}, "not ready after 0.3 s: port 80; last seen: refused", id="never ready"),
        pytest.param(
            {"state": make_state(code=1), "events": (NEVER,)},
            "exited with exit code 1 while port 80; last seen: refused was awaited",
            id="ended while it was awaited",
        ),
        pytest.param(
            {"state": make_state(health=make_health("unhealthy"))}, "unhealthy, exit code 1: refused", id="unhealthy"
        ),
        pytest.param({"state": make_state(health=make_health("starting"))}, None, id="not yet healthy"),
        pytest.param(
            {"state": make_state(code=137, fault="its health check failed; it was killed\nmore")},
            "exited with exit code 137 (SIGKILL): its health check failed; it was killed",
            id="ended by the engine",
        ),
        pytest.param({"error": "CommandNotFoundError: x\nmore"}, "CommandNotFoundError: x", id="did not start"),
    ],
)
def test_problem_of_a_container_is_found(values: dict[str, Any], what: str | None) -> None:
    found = find_problems([make_look(**values)], error="")
    assert found == ([] if what is None else [Problem("redis", "example.test/redis:7", what)])


def test_error_of_the_engine_counts_where_no_container_explains_it() -> None:
    error = "ImageNotFoundError: no image 'x'\nhint: pull it"
    assert find_problems([make_look()], error=error) == [Problem("", "", "ImageNotFoundError: no image 'x'")]
    (problem,) = find_problems([make_look(state=make_state(code=1))], error="ExitedEarlyError: …")
    assert problem.container == "redis"


def make_test(*problems: Problem, line: int | None = 12, file: str = "tests/test_it.py") -> FailedTest:
    return FailedTest("tests/test_it.py::test_one[a,b]", file, line, problems)


def test_annotation_is_one_line_with_everything_escaped_that_would_end_it(tmp_path: Path) -> None:
    problem = Problem("db", "r.test:5000/db,x:1", "100% full\r\n::error::fake")
    assert build_annotations(make_test(problem, file="tests/a,b:c%.py"), root=tmp_path, workspace=None) == [
        "::error file=tests/a%2Cb%3Ac%25.py,line=12,title=container db (r.test%3A5000/db%2Cx%3A1)"
        "::tests/test_it.py::test_one[a,b]: 100%25 full%0D%0A::error::fake"
    ]


def test_annotation_without_line_or_container(tmp_path: Path) -> None:
    assert build_annotations(make_test(Problem("", "", "no image"), line=None), root=tmp_path, workspace=None) == [
        "::error file=tests/test_it.py,title=containers::tests/test_it.py::test_one[a,b]: no image"
    ]


def test_annotation_names_the_file_from_the_checkouts_directory(tmp_path: Path) -> None:
    def find(workspace: Path) -> str:
        (line,) = build_annotations(make_test(Problem("db", "x", "y")), root=tmp_path / "sub", workspace=workspace)
        return line.split(",")[0]

    assert find(tmp_path) == "::error file=sub/tests/test_it.py"
    assert find(tmp_path / "other") == f"::error file={tmp_path}/sub/tests/test_it.py"


def test_job_summary_is_a_table_that_nothing_breaks_out_of() -> None:
    problem = Problem("d|b", "x:1", "said `<script>`\n| a | [link](y) *bold*")
    assert build_job_summary("pods: 2 containers", [make_test(problem)]).splitlines() == [
        "### Containers",
        "",
        "2 containers",
        "",
        "| test | container | image | what happened |",
        "| --- | --- | --- | --- |",
        r"| tests/test\_it.py::test\_one\[a,b\] | d\|b | x:1 | said \`\<script\>\` \| a \| \[link\]\(y\) \*bold\* |",
    ]


def test_job_summary_of_a_good_run_is_one_line() -> None:
    assert build_job_summary("pods: 1 container", []) == "### Containers\n\n1 container\n"


def test_job_summary_is_added_to_what_others_wrote(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    assert append_job_summary(file, "ours\n") == ""
    assert file.read_text() == "before\nours\n"
    assert "cannot be written: " in append_job_summary(tmp_path / "no" / "summary.md", "ours\n")


def test_failed_tests_are_found_on_reports() -> None:
    def report(**extra: Any) -> pytest.TestReport:
        return pytest.TestReport(
            nodeid="t.py::test", location=("t.py", 4, "test"), keywords={}, outcome="failed", longrepr=None,
            when="call", **extra,
        )  # fmt: skip

    found = find_failed_tests([report(), report(**{PROBLEMS: [["db", "x", "y"]]}), report(**{PROBLEMS: []})])
    assert found == [FailedTest("t.py::test", "t.py", 5, (Problem("db", "x", "y"),))]


def test_property_has_words_for_programs() -> None:
    look = make_look(
        "shop-db",
        "postgres:16",
        pod="shop",
        ports=(PublishedPort(5432, "tcp", "127.0.0.1", 40001, 1),),
        state=make_state(code=137, oom_killed=True, restarts=2),
        events=(make_event(K.READY, 1, took_s=0.1234, text="port 5432"),),
    )
    assert build_properties([look], digests={IMAGE_ID: "sha256:1"}) == [
        (
            "container:db",
            f"image=postgres:16 digest=sha256:1 id={IMAGE_ID} name=shop-db port=5432/tcp@127.0.0.1:40001 ready=0.123s"
            " status=exited exit_code=137 out_of_memory restarts=2",
        )
    ]


def test_property_of_a_container_that_cannot_be_asked() -> None:
    assert build_properties([make_look(trouble="gone")], digests={}) == [
        ("container:redis", f"image=example.test/redis:7 id={IMAGE_ID} name=calm_otter")
    ]


DURATIONS = [
    Duration("a", "x:1", "t.py::test", create_s=0.1, start_s=0.02),
    Duration("", "x:1", pull_s=2.0, size=3 << 20),
    Duration("b", "x:1", "", create_s=0.2, start_s=0.02, ready_s=1.5),
]


def test_slowest_come_first_and_columns_without_values_are_left_out() -> None:
    assert build_table(DURATIONS, 2) == [
        "   total      pull    create     start     ready",
        "  2.000s    2.000s                                image x:1, 3 MiB",
        "  1.720s              0.200s    0.020s    1.500s  b (x:1)",
    ]
    assert build_table(DURATIONS[:1], 5) == [
        "   total    create     start",
        "  0.120s    0.100s    0.020s  a (x:1) of t.py::test",
    ]


@pytest.mark.parametrize(
    ("most", "title"),
    [
        (0, "slowest containers and images (3)"),
        (3, "slowest containers and images (3)"),
        (2, "slowest 2 of 3 containers and images"),
    ],
)
def test_title_says_how_many_there_are(most: int, title: str) -> None:
    assert build_title(DURATIONS, most) == title
    assert len(build_table(DURATIONS, most)) == 1 + (most or 3)
