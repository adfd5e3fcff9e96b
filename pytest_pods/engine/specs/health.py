"""Health checks: what is asked of one, and what becomes of that with the image's.

Docker's rules and defaults; what follows from a container that is not well is Podman's, what a start-up probe does is
Kubernetes'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs.probes import Probe, Target
from pytest_pods.engine.specs.values import Command, did_you_mean, refuse_nul
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.oci.image_config import ImageHealth

OnFailure: TypeAlias = Literal["none", "kill", "stop", "restart"]

DEFAULT_INTERVAL_S = 30.0
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_START_INTERVAL_S = 5.0
DEFAULT_RETRIES = 3

_ON_FAILURE: tuple[OnFailure, ...] = get_args(OnFailure)
_SHORTEST_S = 0.001
_LONGEST_S = 1e7
_MOST_RETRIES = 1 << 31


@frozen
class HealthCheck:
    """What is asked of a health check; None means: as the image says, and where it says nothing, Docker's default.

    `command` is executed in the container: a list as it is, a text by its `/bin/sh`. `interval` (30) and `timeout` (30)
    are seconds, `retries` (3) how many failures in a row make the container unhealthy. For `start_period` seconds (0)
    after its start failures do not count, and it is checked every `start_interval` seconds (5). `on_failure` says what
    becomes of an unhealthy container: "none", "kill" (its restart policy then decides), "stop" or "restart".

    The rest is Kubernetes': `target` is looked at instead of a command, first after `delay` seconds, and not before
    `startup` has succeeded; with a `grace` "kill" sends the stop signal so many seconds before. Raises
    InvalidSpecError.
    """

    command: Command | None = None
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    start_interval: float | None = None
    retries: int | None = None
    on_failure: OnFailure = "none"
    target: Target | None = field(default=None, kw_only=True)
    delay: float | None = field(default=None, kw_only=True)
    grace: float | None = field(default=None, kw_only=True)
    startup: Probe | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.command is not None:
            object.__setattr__(self, "command", _parse_command(self.command))
            if self.target is not None:
                raise InvalidSpecError("a health check has a command or a target, not both")
        for name, least in (
            *(("interval", _SHORTEST_S), ("timeout", _SHORTEST_S), ("start_interval", _SHORTEST_S)),
            *(("start_period", 0.0), ("delay", 0.0), ("grace", 0.0)),
        ):
            _check_seconds(name, getattr(self, name), least)
        _check_retries(self.retries)
        if self.on_failure not in _ON_FAILURE:
            raise InvalidSpecError(
                f"on_failure of a health check is {self.on_failure!r}", hint=f"it is one of {', '.join(_ON_FAILURE)}"
            )

    def find_target(self) -> Target | None:
        """None where the image's is to be looked at."""
        return self.target if self.command is None else Target("exec", command=tuple(self.command))


def _parse_command(value: object) -> tuple[str, ...]:
    words: Sequence[object] = ("/bin/sh", "-c", value) if isinstance(value, str) and value.strip() else ()
    if isinstance(value, Sequence) and not isinstance(value, str):
        words = value
    if not words or not words[0] or not all(isinstance(word, str) for word in words):
        raise InvalidSpecError(
            f"the command of a health check has to be a text, for a shell, or a list of texts, not {value!r}"
        )
    return tuple(refuse_nul("the command of a health check", str(word)) for word in words)


def _check_seconds(name: str, value: object, least: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < _LONGEST_S:
        raise InvalidSpecError(f"{name} of a health check has to be a number of seconds from {least:g}, not {value!r}")


def _check_retries(value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < _MOST_RETRIES:
        raise InvalidSpecError(f"retries of a health check has to be a whole number from 1, not {value!r}")


_KEYS = ("command", "interval", "timeout", "start_period", "start_interval", "retries", "on_failure")


def parse_health(name: str, value: object) -> HealthCheck | Literal[False]:
    """Reads what `health=` takes: a command, a HealthCheck or a mapping of what it has; False for none at all, not even
    the image's. Raises InvalidSpecError."""
    if value is False or isinstance(value, HealthCheck):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if key not in _KEYS:
                raise InvalidSpecError(f"unknown {key!r} in {name}", hint=did_you_mean(str(key), _KEYS))
        values: dict[str, Any] = dict(value)
        return HealthCheck(**values)
    if isinstance(value, str | Sequence):
        return HealthCheck(value)
    raise InvalidSpecError(
        f"{name} has to be a command, a HealthCheck, a mapping, or False for none, not {value!r}",
        hint="a list is executed as it is, a text by the container's shell",
    )


@frozen
class HealthPlan:
    """A container's health check with nothing left open: what is looked at, when, and what follows.

    Without a `delay` the first look is an interval after the start; without a `grace` there is no signal before a kill.
    """

    target: Target
    interval: float = DEFAULT_INTERVAL_S
    timeout: float = DEFAULT_TIMEOUT_S
    start_period: float = 0.0
    start_interval: float = DEFAULT_START_INTERVAL_S
    retries: int = DEFAULT_RETRIES
    on_failure: OnFailure = "none"
    delay: float | None = None
    grace: float | None = None
    startup: Probe | None = None


def settle_health(
    asked: HealthCheck | Literal[False] | None, image: ImageHealth | None, *, subject: str
) -> HealthPlan | None:
    """What is asked for, filled up from the image's; None for no health check. `subject` is named in messages. Pure.

    Raises InvalidSpecError for one that neither says what is looked at.
    """
    if asked is False or (asked is None and image is None):
        return None
    asked = asked or HealthCheck()
    target = asked.find_target() or (Target("exec", command=image.command) if image is not None else None)
    if target is None:
        raise InvalidSpecError(
            f"the health check of {subject} has no command, and its image has none either",
            hint="say what is to be executed: health='test -e /ready'",
        )
    names = ("interval", "timeout", "start_period", "start_interval", "retries")
    given = {name: _choose(getattr(asked, name), getattr(image, name, None)) for name in names}
    known: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return HealthPlan(
        target,
        on_failure=asked.on_failure,
        delay=asked.delay,
        grace=asked.grace,
        startup=asked.startup,
        **known,
    )


def _choose(asked: float | None, of_image: float | None) -> float | None:
    if asked is None and of_image is not None:
        # Nobody has looked at what an image says.
        return max(of_image, _SHORTEST_S)
    return asked
