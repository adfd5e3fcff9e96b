"""When a container that has ended is started again."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.frozen import frozen

RestartCondition: TypeAlias = Literal["no", "on-failure", "always", "unless-stopped"]

_CONDITIONS: tuple[RestartCondition, ...] = ("no", "on-failure", "always", "unless-stopped")


@frozen
class RestartPolicy:
    """`most`: how often it is started again after a failure, 0 for no end. Who stops a container ends its restarts."""

    condition: RestartCondition = "no"
    most: int = 0

    def __bool__(self) -> bool:
        return self.condition != "no"

    def __str__(self) -> str:
        return f"{self.condition}:{self.most}" if self.most else self.condition

    def wants(self, *, exit_code: int, restarts: int) -> bool:
        """Whether a container that ended by itself is started again, after so many restarts."""
        if self.condition == "on-failure":
            return exit_code != 0 and (self.most == 0 or restarts < self.most)
        return self.condition in ("always", "unless-stopped")


def parse_restart(name: str, value: object) -> RestartPolicy:
    """Reads "no", "always", "unless-stopped", "on-failure" or "on-failure:3"; raises InvalidSpecError."""
    if isinstance(value, RestartPolicy):
        return value
    text, separator, number = value.partition(":") if isinstance(value, str) else ("", "", "")
    for condition in _CONDITIONS:
        if text == condition and not separator:
            return RestartPolicy(condition)
    if text == "on-failure" and number.isascii() and number.isdigit():
        return RestartPolicy("on-failure", int(number))
    raise InvalidSpecError(
        f"unknown {name} policy {value!r}", hint="it is no, on-failure, on-failure:3, always or unless-stopped"
    )
