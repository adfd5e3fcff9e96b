"""A plan says how a specification comes about: it is known already, or a function of other fixtures gives it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.frozen import frozen

T = TypeVar("T")


@frozen
class Plan(Generic[T]):
    """How a specification comes about, and from which other fixtures.

    `build` gives it, called with the values of the fixtures that `parameters` name; it may run functions of the user.
    `fixed` is the specification where it depends on nothing, else None.
    """

    build: Callable[[Mapping[str, Any]], T]
    parameters: tuple[str, ...] = ()
    description: str = ""
    fixed: T | None = None


def read_parameters(function: Callable[..., object]) -> tuple[str, ...]:
    """The fixtures that a function wants: its parameters without a default."""
    return tuple(
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    )


def name_function(function: Callable[..., object]) -> str:
    """What messages call the function."""
    return str(getattr(function, "__qualname__", repr(function)))


def plan_function(
    function: Callable[..., object], *, subject: str, thing: str, parse: Callable[[object], T]
) -> Plan[T]:
    """The plan of a function that takes other fixtures; `parse` reads what it returns. Its errors name the function."""
    name = f"{subject}({name_function(function)})"

    def build(fixtures: Mapping[str, Any]) -> T:
        value = function(**fixtures)
        try:
            return parse(value)
        except InvalidSpecError as error:
            raise InvalidSpecError(f"{name}: {error.brief}", details=error.details, hint=error.hint) from error

    return Plan(
        build, read_parameters(function), inspect.getdoc(function) or f"A {thing} as {name} describes it."
    )
