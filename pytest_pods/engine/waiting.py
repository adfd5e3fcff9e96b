"""The contract between readiness conditions (`pytest_pods.waits`, or a user's own) and the engine that awaits them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container


@frozen
class Readiness:
    """The answer of one look: whether the condition holds, and what was seen, for people ("connection refused")."""

    ready: bool
    seen: str = ""


@runtime_checkable
class Wait(Protocol):
    """A readiness condition. It is looked at until it holds; it never sleeps or blocks for long by itself."""

    @property
    def timeout(self) -> float | None:
        """Seconds for this condition; None: the container's or the session's."""

    @property
    def watches_log(self) -> bool:
        """True if new log output is a reason to look again at once."""

    @property
    def accepts_exit(self) -> bool:
        """True if the container's end does not make the condition hopeless."""

    def interval_s(self, look: int) -> float:
        """Seconds until look number `look` (from 1) if nothing happens before."""

    def check(self, container: Container) -> Readiness:
        """Looks once."""

    def describe(self) -> str:
        """For messages: `port 6379`, `log line 'ready' (2 times)`."""


class PlainWait:
    """What most conditions have in common: new log output is no reason to look at them, the container's end makes them
    hopeless, and they are looked at less and less often."""

    __slots__ = ()

    @property
    def watches_log(self) -> bool:
        return False

    @property
    def accepts_exit(self) -> bool:
        return False

    def interval_s(self, look: int) -> float:
        return min(0.005 * 1.4 ** min(look, 40), 0.1)


@frozen
class CallableWait(PlainWait):
    """A condition that is a function of the container: it holds when the function returns something true.

    What the function raises counts as "not yet", since clients of services have exceptions of their own for a refused
    connection; mistakes in the function itself are raised at once.
    """

    function: Callable[[Container], object]
    timeout: float | None = None

    def interval_s(self, look: int) -> float:
        return min(0.005 * 1.3**look, 0.1)

    def check(self, container: Container) -> Readiness:
        try:
            value = self.function(container)
        except (NameError, TypeError, AttributeError, ImportError, SyntaxError):
            raise
        except Exception as error:
            return Readiness(False, f"{type(error).__name__}: {error}")
        return Readiness(bool(value), repr(value))

    def describe(self) -> str:
        return f"{getattr(self.function, '__qualname__', None) or repr(self.function)}()"


@frozen
class NamedWait(PlainWait):
    """A condition that the container's engine knows by a name: `Engine.open(find_wait=…)`, or a hook of pytest.

    It is looked up when it is awaited, since marks are read before all who may know it are there.
    """

    name: str
    timeout: float | None = None

    def check(self, container: Container) -> Readiness:
        """Raises InvalidSpecError for a name that nobody knows."""
        return container.find_wait(self.name).check(container)

    def describe(self) -> str:
        return self.name


def parse_wait(value: object) -> Wait:
    """A condition as it is, a function of the container as a CallableWait, a text as a NamedWait.

    Raises InvalidSpecError.
    """
    if isinstance(value, Wait):
        return value
    if callable(value):
        return CallableWait(value)
    if isinstance(value, str) and value:
        return NamedWait(value)
    from pytest_pods.engine.errors import InvalidSpecError

    raise InvalidSpecError(
        f"{value!r} is not a wait", hint="write waits.port(6379) or the like, or a function that takes the container"
    )
