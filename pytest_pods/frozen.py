"""Frozen dataclasses that do not hold up the start of every command.

`dataclasses.dataclass` compiles six functions for a frozen class, which for a few hundred classes takes longer than all
else that a command does. Here `__init__` alone is compiled, when the first value is made, since most classes have none
in any one command; the others are written once, for all. Everything of `dataclasses` works as ever. That nothing is
assigned afterwards is enforced by the type checker, not at run time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, make_dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from collections.abc import Callable
    from inspect import Signature

_T = TypeVar("_T")


@overload
def frozen(cls: type[_T], /) -> type[_T]: ...


@overload
def frozen(*, kw_only: bool = False, slots: bool = True) -> Callable[[type[_T]], type[_T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: Any = None, /, *, kw_only: bool = False, slots: bool = True) -> Any:
    """As `dataclass(frozen=True, slots=True)`; without `slots` it can have cached properties."""

    def decorate(plain: type[Any]) -> type[Any]:
        if not plain.__doc__:
            # Otherwise a signature is worked out for it.
            plain.__doc__ = f"{plain.__name__}."
        made = dataclass(init=False, eq=False, repr=False, kw_only=kw_only, slots=slots)(plain)
        made.__init__ = _build_first_init(made)
        made.__signature__ = _Signature()
        compared = [one.name for one in fields(made) if one.compare]
        shown = [one.name for one in fields(made) if one.repr]
        for name, function in (("__eq__", _equal), ("__hash__", _hash), ("__repr__", _show)):
            if name not in plain.__dict__:
                setattr(made, name, function)
        made.__compared__ = attrgetter(*compared) if compared else type
        made.__shown__ = tuple(shown)
        return made

    return decorate if cls is None else decorate(cls)


def _build_first_init(cls: Any) -> Callable[..., None]:
    def __init__(self: Any, /, *values: Any, **named: Any) -> None:
        _compile_init(cls)(self, *values, **named)

    return __init__


class _Signature:
    """What `inspect.signature`, and with it `help`, says of the class."""

    def __get__(self, instance: object, owner: Any) -> Signature:
        from inspect import signature

        nearest = next(one for one in owner.__mro__ if "__signature__" in one.__dict__)
        whole = signature(_compile_init(nearest))
        return whole.replace(parameters=[*whole.parameters.values()][1:])


def _compile_init(cls: Any) -> Any:
    """Gives the class its real `__init__`: that of a dataclass with the same fields."""
    listed = [
        (
            one.name,
            one.type,
            field(default=one.default, default_factory=one.default_factory, init=one.init, kw_only=one.kw_only),
        )
        for one in fields(cls)
    ]
    namespace = {"__doc__": cls.__doc__}
    if hasattr(cls, "__post_init__"):
        namespace["__post_init__"] = cls.__post_init__
    same: Any = make_dataclass(cls.__name__, listed, namespace=namespace, eq=False, repr=False)
    same.__init__.__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = same.__init__
    return cls.__init__


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
