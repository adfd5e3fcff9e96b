"""The harness of the benchmarks: sides in turns, figures as they are promised, a table that says what was missed."""

from __future__ import annotations

import pytest

from benchmarks.harness import Case, Result, build_table, measure


def result(ours: tuple[float, ...], theirs: tuple[float, ...] = (), **changes: object) -> Result:
    values: dict[str, object] = {"name": "x", "target": 0.5, "unit": "ms", "difference": False, **changes}
    return Result(ours=ours, theirs=theirs, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("measured", "figure"),
    [
        pytest.param(result((1, 2, 30), (10, 20, 300)), 0.1, id="ratio of medians"),
        pytest.param(result((12, 10, 14), (10, 9, 11), difference=True), 2, id="difference of medians"),
        pytest.param(result((3, 1, 2)), 2, id="median where nothing is compared"),
    ],
)
def test_figure_is_what_the_target_limits(measured: Result, figure: float) -> None:
    assert measured.figure == pytest.approx(figure)


def test_table_says_which_target_is_missed() -> None:
    lines = build_table([result((1,), (10,), name="quick"), result((9,), (10,), name="slow")]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| quick |")
    assert lines[2].endswith("| yes |")
    assert lines[3].endswith("| **no** |")


def test_sides_take_turns_and_warm_up_is_not_counted() -> None:
    calls: list[str] = []
    case = Case("x", 1, ours=lambda: calls.append("ours"), theirs=lambda: calls.append("theirs"), warm_up=2)
    measured = measure(case, rounds=4)
    assert len(measured.ours) == len(measured.theirs) == 4
    assert len(calls) == 12
    pairs = [calls[index : index + 2] for index in range(0, 12, 2)]
    assert all(sorted(pair) == ["ours", "theirs"] for pair in pairs)
    assert pairs[0] != pairs[1]


def test_what_is_done_between_is_not_counted_and_comes_before_every_side() -> None:
    calls: list[str] = []
    case = Case(
        "x", 1, ours=lambda: calls.append("ours"), theirs=lambda: calls.append("theirs"),
        between=lambda: calls.append("between"), warm_up=0,
    )  # fmt: skip
    measure(case, rounds=1)
    assert calls[::2] == ["between", "between"]


def test_side_that_measures_itself_is_believed() -> None:
    assert measure(Case("x", 1, ours=lambda: 42.0, warm_up=0), rounds=1).ours == (42.0,)
