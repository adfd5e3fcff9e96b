"""The contract between readiness conditions (`pytest_pods.waits`, or a user's own) and the engine that awaits them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container


@dataclass(frozen=True, slots=True)
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
