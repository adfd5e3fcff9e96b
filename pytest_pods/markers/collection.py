"""What happens to marks while tests are collected: wrong ones become errors, tests that reach the engine get `pods`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_pods.markers.clashes import warn_of_clashes
from pytest_pods.markers.definitions import CONTAINER, PODS, SPECS, find_marks

if TYPE_CHECKING:
    from pytest_pods.engine.errors import PodsError
    from pytest_pods.settings import Settings

ENGINE_FIXTURE: Final = "_pods_owner"
"""Every way to the engine goes through this fixture, whatever people name, or override, on the way to it."""


def reaches_engine(item: pytest.Item) -> bool:
    """Whether the fixtures of a test lead to the engine, as far as that is known before it runs."""
    return ENGINE_FIXTURE in getattr(item, "fixturenames", ())


def mark_engine_tests(items: list[pytest.Item]) -> bool:
    """Puts `pods` on every test whose fixtures lead to the engine, directly or through others; True if there is one."""
    reaching = [item for item in items if reaches_engine(item)]
    for item in reaching:
        item.add_marker(PODS)
    return bool(reaching)


def refuse_wrong_marks(items: list[pytest.Item], settings: Settings) -> None:
    """Reports each test whose marks are wrong, or of no effect, as an error of collection, and takes it out; the others
    stay."""
    right: set[tuple[object, ...]] = set()
    wrong = [(item, error) for item in items if (error := _find_mistake(item, settings, right)) is not None]
    if not wrong:
        return
    refused = {id(item) for item, _ in wrong}
    items[:] = [item for item in items if id(item) not in refused]
    for item, error in wrong:
        mistake: Any = _Mistake(item.nodeid, f"{type(error).__name__}: {error}")
        report = pytest.CollectReport(nodeid=item.nodeid, outcome="failed", longrepr=mistake, result=[])
        item.ihook.pytest_collectreport(report=report)


class _Mistake:
    """What pytest shows of a wrong mark, as it is asked for by its terminal, its summary, and xdist.

    The text names the test, since xdist shows only one of several reports with the same text.
    """

    def __init__(self, nodeid: str, message: str) -> None:
        self.nodeid = nodeid
        self.message = message

    def __str__(self) -> str:
        return f"{self.nodeid}: {self.message}"

    def toterminal(self, writer: Any) -> None:
        for line in str(self).splitlines():
            writer.line(line, red=True)

    @property
    def reprcrash(self) -> _Mistake:
        """Where pytest's short summary takes `message` from."""
        return self


def _find_mistake(item: pytest.Item, settings: Settings, right: set[tuple[object, ...]]) -> PodsError | None:
    """`right` tells which marks a test before this one had together, and had right: many tests have the same."""
    clash = warn_of_clashes(item, settings)
    if clash is not None:
        return clash
    names = getattr(item, "fixturenames", ())
    # Where our fixtures have other names the marks may be another plugin's too.
    asked = {
        name: marks for name, fixture in SPECS.items()
        if (fixture in names or not settings.fixture_prefix) and (marks := find_marks(item, name))
    }
    if not asked:
        return None
    # Here and not above: a suite without such marks does not pay for the engine's modules.
    from pytest_pods.engine.errors import InvalidMarkerError
    from pytest_pods.markers.parsing import plan_container, plan_pod

    try:
        for name, marks in asked.items():
            chosen = getattr(getattr(item, "callspec", None), "params", {}).get(SPECS[name])
            key = (name, SPECS[name] in names, id(chosen), item.path.parent, *map(id, marks))
            if key not in right:
                (plan_container if name == CONTAINER else plan_pod)(item, asked=SPECS[name] in names)
                right.add(key)
    except InvalidMarkerError as error:
        return error
    return None
