"""Measures pairs in turns, so that whatever else the machine does meets both alike, and writes the table.

A case has our side and, where there is something to compare with, podman's; each side is a function that does the thing
once. What a side needs around it, and must not be counted, is done by `between`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["ms", "MB", "times", "lost"]


@dataclass(frozen=True, slots=True)
class Case:
    """`target`: the most that the ratio, or without `theirs` the figure itself, may be.

    `theirs` None: an absolute figure. `difference`: the figure is ours minus theirs.
    """

    name: str
    target: float
    ours: Callable[[], float | None]
    theirs: Callable[[], float | None] | None = None
    between: Callable[[], None] | None = None
    unit: Unit = "ms"
    difference: bool = False
    rounds: int | None = None
    warm_up: int = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured; times in milliseconds."""

    name: str
    target: float
    unit: Unit
    difference: bool
    ours: tuple[float, ...]
    theirs: tuple[float, ...] = field(default=())

    @property
    def figure(self) -> float:
        """What the target limits: the ratio of the medians, their difference, or our median."""
        median = statistics.median(self.ours)
        if not self.theirs:
            return median
        other = statistics.median(self.theirs)
        return median - other if self.difference else median / other

    @property
    def met(self) -> bool:
        return self.figure <= self.target


def measure(case: Case, *, rounds: int) -> Result:
    """Runs the sides in turns, each first in every second round."""
    ours: list[float] = []
    theirs: list[float] = []
    count = case.rounds or rounds
    for number in range(-min(case.warm_up, count), count):
        pairs = [(case.ours, ours)] + ([(case.theirs, theirs)] if case.theirs else [])
        for side, figures in pairs if number % 2 else reversed(pairs):
            if case.between is not None:
                case.between()
            figure = _once(side)
            if number >= 0:
                figures.append(figure)
    return Result(case.name, case.target, case.unit, case.difference, tuple(ours), tuple(theirs))


def _once(side: Callable[[], float | None]) -> float:
    """A side that returns a figure has measured itself."""
    started = time.perf_counter()
    figure = side()
    took_ms = (time.perf_counter() - started) * 1000
    return took_ms if figure is None else figure


def build_table(results: Iterable[Result]) -> str:
    """A Markdown table; times are `median (min to max)`."""
    lines = [
        "| what | ours | theirs | figure | target | met |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for result in results:
        figure = _figure_text(result)
        target = f"{result.target:g}" if result.theirs and not result.difference else f"{result.target:g} {result.unit}"
        met = "yes" if result.met else "**no**"
        theirs = _spread(result.theirs, result.unit) if result.theirs else ""
        ours = _spread(result.ours, result.unit)
        lines.append(f"| {result.name} | {ours} | {theirs} | {figure} | {target} | {met} |")
    return "\n".join(lines) + "\n"


def _figure_text(result: Result) -> str:
    if not result.theirs:
        return f"{result.figure:.2f} {result.unit}"
    return f"{result.figure:+.1f} {result.unit}" if result.difference else f"{result.figure:.2f}"


def _spread(figures: tuple[float, ...], unit: Unit) -> str:
    median = statistics.median(figures)
    if len(figures) == 1:
        return f"{median:.2f} {unit}"
    return f"{median:.1f} {unit} ({min(figures):.1f} to {max(figures):.1f})"
