"""The lines at the end of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.report.durations import Duration
from pytest_pods.report.outcome import KeptContainer, Outcome, merge_outcomes
from pytest_pods.report.terminal import build_kept_lines, build_summary_line
from pytest_pods.settings import Settings

KEPT = KeptContainer("calm_otter_1", "redis:7", "test_a.py::test_one", "running", "0123456789ab", 1_700_000_000.0)


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        pytest.param(Outcome(), None, id="nothing"),
        pytest.param(Outcome(containers=1), "pods: 1 container", id="one"),
        pytest.param(
            Outcome(containers=12, images_pulled=2, kept=(KEPT,)),
            "pods: 12 containers, 2 images pulled, 1 kept",
            id="pulled and kept",
        ),
        pytest.param(
            Outcome(containers=2, left=("db",)),
            "pods: 2 containers, 1 not removed by its test but with the session (db)",
            id="left",
        ),
        pytest.param(
            Outcome(containers=2, faults=("OSError: x",)), "pods: 2 containers, 1 fault while removing", id="fault"
        ),
        pytest.param(Outcome(containers=1, reused=2), "pods: 1 container, 2 reused", id="reused"),
        pytest.param(Outcome(reused=1), "pods: 0 containers, 1 reused", id="only reused"),
        pytest.param(Outcome(images_pulled=1), "pods: 0 containers, 1 image pulled", id="only pulled"),
    ],
)
def test_summary_leaves_out_what_is_zero(outcome: Outcome, line: str | None) -> None:
    assert build_summary_line(outcome) == line


def test_outcome_survives_its_text() -> None:
    durations = (Duration("a", "x:1", "t.py::test", create_s=0.1), Duration("", "x:1", pull_s=2.0, size=3))
    outcome = Outcome(
        containers=3, images_pulled=1, kept=(KEPT,), left=("db",), faults=("A: b",), durations=durations
    )
    assert Outcome.from_text(outcome.to_text()) == outcome


def test_outcomes_of_workers_add_up() -> None:
    one = Outcome(containers=3, images_pulled=1, kept=(KEPT,), faults=("A: b",))
    two = Outcome(containers=4, left=("db",))
    assert merge_outcomes([one, two]) == Outcome(7, 1, 0, (KEPT,), ("db",), ("A: b",))


def test_kept_container_comes_with_the_command_that_enters_it() -> None:
    lines = build_kept_lines(Outcome(kept=(KEPT,)), Settings(root=Path("/a store")))
    assert lines[0] == "calm_otter_1 (redis:7, running) of test_a.py::test_one"
    assert lines[1].strip() == "pytest-pods --root '/a store' shell calm_otter_1"
    assert lines[-1].strip() == "pytest-pods --root '/a store' sessions end 0123456789ab"


def test_kept_container_that_has_ended_is_looked_at_by_its_log() -> None:
    ended = KeptContainer("calm_otter_1", "redis:7", "test_a.py::test_one", "exited", "0123456789ab", 0.0)
    assert build_kept_lines(Outcome(kept=(ended,)), Settings())[1].strip() == "pytest-pods logs calm_otter_1"


def test_kept_pod_comes_with_one_command_for_all_of_it() -> None:
    def member(name: str, status: str) -> KeptContainer:
        return KeptContainer(f"shop-{name}", "x:1", "test_a.py::test_one", status, "0123456789ab", 0.0, "shop")

    kept = (member("db", "running"), member("web", "exited"), member("cache", "running"))
    assert build_kept_lines(Outcome(kept=kept), Settings())[:2] == [
        "pod shop (db, cache running; web exited) of test_a.py::test_one",
        "    pytest-pods shell shop",
    ]
    ended = (member("db", "exited"), member("web", "exited"))
    assert build_kept_lines(Outcome(kept=ended), Settings())[1] == "    pytest-pods pod logs shop"
