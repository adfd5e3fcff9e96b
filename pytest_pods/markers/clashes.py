"""Others that have fixtures with the names of ours: what a conftest file overrides on purpose is left alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_pods.markers.definitions import FIXTURES, SPECS, find_marks

if TYPE_CHECKING:
    from pytest_pods.engine.errors import InvalidMarkerError
    from pytest_pods.settings import Settings

_OURS: Final = "pytest_pods.fixtures."
_WARNED: pytest.StashKey[set[str]] = pytest.StashKey()


def warn_of_clashes(item: pytest.Item, settings: Settings) -> InvalidMarkerError | None:
    """Warns once a run of each fixture of another plugin that has the name of one of ours, if a test asks for it.

    The error is for a test whose mark has no effect, since what it asks for is not our fixture.
    """
    found: Any = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for name in FIXTURES:
        definitions = found.get(settings.fixture_name(name), ())
        if all(_is_ours(one) for one in definitions):
            continue
        spec = SPECS.get(name)
        leads_to_us = spec in getattr(item, "fixturenames", ()) or _ask_for_ours(definitions)
        if spec and not leads_to_us and not settings.fixture_prefix and find_marks(item, name):
            return _refuse(item.config, name, definitions[-1])
        error = _warn(item, settings.fixture_name(name), definitions)
        if error is not None:
            return error
    return None


def _refuse(config: pytest.Config, name: str, used: Any) -> InvalidMarkerError:
    from pytest_pods.engine.errors import InvalidMarkerError

    return InvalidMarkerError(
        f"@pytest.mark.{name} has no effect: the fixture {name} of this test is not that of pytest-pods, but"
        f" {_describe(config, used)}",
        hint=f"{_way_out(name)}, or ask for {name} in that fixture",
    )


def _warn(item: pytest.Item, name: str, definitions: Sequence[Any]) -> InvalidMarkerError | None:
    """The error is what the warning becomes where warnings are errors."""
    others = [one for one in definitions if not _is_ours(one) and _is_of_plugin(one)]
    warned = item.config.stash.setdefault(_WARNED, set())
    if not others or name in warned:
        return None
    warned.add(name)
    from pytest_pods.engine.errors import InvalidMarkerError, PodsWarning

    used = definitions[-1]
    other = _describe(item.config, others[-1])
    told = f"that of pytest-pods is used, not {other}" if _is_ours(used) else f"{other} is used"
    text = f"two plugins have a fixture {name}: {told}; {_way_out(name)}"
    try:
        item.warn(PodsWarning(text))
    except PodsWarning:
        return InvalidMarkerError(text)
    return None


def _way_out(name: str) -> str:
    return f"pods_fixture_prefix = our_ in the ini file renames that of pytest-pods to our_{name}"


def _find_function(definition: Any) -> Callable[..., object]:
    function: Callable[..., object] = inspect.unwrap(getattr(definition.func, "__func__", definition.func))
    return function


def _ask_for_ours(definitions: Sequence[Any]) -> bool:
    """Whether each of the fixtures asks for the one that it overrides; older releases of pytest do not follow that."""
    for one in reversed(definitions):
        if _is_ours(one):
            return True
        if one.argname not in one.argnames:
            return False
    return False


def _is_ours(definition: Any) -> bool:
    return _find_function(definition).__qualname__ in FIXTURES and _is_made_by_us(definition)


def _is_made_by_us(definition: Any) -> bool:
    """True also for one that a call of `container_fixture`, say, has declared, which is the user's."""
    return _find_function(definition).__module__.startswith(_OURS)


def _is_of_plugin(definition: Any) -> bool:
    """Whether it is there for all tests and stands in no conftest file."""
    at_hand = _is_made_by_us(definition) or Path(_find_file(definition)).name == "conftest.py"
    return not definition.baseid and not at_hand


def _find_file(definition: Any) -> str:
    return inspect.getsourcefile(_find_function(definition)) or ""


def _describe(config: pytest.Config, definition: Any) -> str:
    if _is_made_by_us(definition):
        return f"one that is declared with this name ({inspect.getdoc(_find_function(definition))})"
    path, root = Path(_find_file(definition)), config.rootpath
    place = path.relative_to(root) if path.is_relative_to(root) else path
    return f"that of {place}:{inspect.getsourcelines(_find_function(definition))[1]}"
