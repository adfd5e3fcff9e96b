"""Frozen dataclasses that do not hold up the start of every command.

`dataclasses.dataclass` compiles six functions for a frozen class, which for a few hundred classes takes longer than all
else that a command does. Here it compiles `__init__` alone; the others are written once, for all. Everything of
`dataclasses` works as ever. That nothing is assigned afterwards is enforced by the type checker, not at run time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


@overload
def frozen(cls: type[_T], /) -> type[_T]: ...


@overload
def frozen(*, kw_only: bool = False, slots: bool = True) -> Callable[[type[_T]], type[_T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: Any = None, /, *, kw_only: bool = False, slots: bool = True) -> Any:
    """As `dataclass(frozen=True, slots=True)`; without `slots` it can have cached properties."""

    def decorate(plain: type[Any]) -> type[Any]:
        made = dataclass(eq=False, repr=False, kw_only=kw_only, slots=slots)(plain)
        compared = [one.name for one in fields(made) if one.compare]
        shown = [one.name for one in fields(made) if one.repr]
        for name, function in (("__eq__", _equal), ("__hash__", _hash), ("__repr__", _show)):
            if name not in plain.__dict__:
                setattr(made, name, function)
        made.__compared__ = attrgetter(*compared) if compared else type
        made.__shown__ = tuple(shown)
        return made

    return decorate if cls is None else decorate(cls)


def _equal(self: Any, other: object) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return _compared(self) == _compared(other)


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _compared(value: Any) -> object:
    return type(value).__compared__(value)


def _show(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).__shown__)
    return f"{type(self).__qualname__}({shown})"
