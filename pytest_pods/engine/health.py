"""A container's health: what its checks have said, what follows from one more, and when the next is due. Pure.

The rules are Docker's: a success makes it healthy, so many failures in a row unhealthy; those of the start period do
not count. Before all that a start-up probe has to succeed, if there is one, as in Kubernetes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.specs.health import HealthPlan
    from pytest_pods.engine.specs.probes import Target

HealthStatus: TypeAlias = Literal["starting", "healthy", "unhealthy"]

_STATUSES: tuple[HealthStatus, ...] = get_args(HealthStatus)
NO_ANSWER = -1
"""Docker's exit code for a check that did not end in time."""
_MOST_CHECKS = 5
_MOST_OUTPUT = 500


@frozen
class CheckResult:
    """One check: when it was made, its exit code (0 for well, -1 for no answer in time) and the beginning of its
    output."""

    start: datetime
    end: datetime
    exit_code: int
    output: str

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    def describe(self) -> str:
        """For messages: `exit code 1: connection refused`."""
        said = self.output.strip()
        if self.exit_code == NO_ANSWER:
            return said
        return f"exit code {self.exit_code}{f': {said}' if said else ''}"


@frozen
class Health:
    """What is known of a container since its last start. `failing_streak` are the failures in a row that count; `log`
    are the last five checks, oldest first; `started_up` whether the start-up probe has succeeded."""

    status: HealthStatus = "starting"
    failing_streak: int = 0
    log: tuple[CheckResult, ...] = ()
    started_up: bool = False

    @property
    def last(self) -> CheckResult | None:
        """The last check, None before the first."""
        return self.log[-1] if self.log else None

    def describe(self) -> str:
        """For messages: `unhealthy, exit code 1: connection refused`."""
        return f"{self.status}, {self.last.describe() if self.last is not None else 'not checked yet'}"


def shorten_output(text: str) -> str:
    """As much of a check's output as is kept."""
    return text if len(text) <= _MOST_OUTPUT else f"{text[: _MOST_OUTPUT - 1]}…"


def awaits_startup(plan: HealthPlan, health: Health) -> bool:
    """Whether it is the start-up probe that is looked at."""
    return plan.startup is not None and not health.started_up


def find_target(plan: HealthPlan, health: Health) -> tuple[Target, float]:
    """What is looked at next, and the seconds that it has to answer."""
    if plan.startup is not None and not health.started_up:
        return plan.startup.target, plan.startup.timeout
    return plan.target, plan.timeout


def note_check(plan: HealthPlan, health: Health, check: CheckResult, *, age_s: float, counts: bool = True) -> Health:
    """The health after a check that began `age_s` after the container's start.

    A failure that does not count is only written down: the check was made for somebody who cannot wait.
    """
    noted = replace(health, log=(*health.log, check)[-_MOST_CHECKS:])
    starting_up = awaits_startup(plan, health)
    if check.ok and starting_up:
        return replace(noted, failing_streak=0, started_up=True)
    if check.ok:
        return replace(noted, status="healthy", failing_streak=0)
    if not counts or (health.status == "starting" and age_s < plan.start_period):
        return noted
    streak = health.failing_streak + 1
    most = plan.startup.failures if starting_up and plan.startup is not None else plan.retries
    return replace(noted, failing_streak=streak, status="unhealthy" if streak >= most else health.status)


def find_pause_s(plan: HealthPlan, health: Health, *, age_s: float, first: bool) -> float:
    """Seconds until the next check of a container that has run for `age_s`; `first` if what is looked at next was not
    looked at yet, since the start or since the start-up probe has succeeded."""
    if plan.startup is not None and not health.started_up:
        return max(plan.startup.delay - age_s, 0.0) if first else plan.startup.period
    if first and plan.delay is not None:
        return max(plan.delay - age_s, 0.0)
    return plan.start_interval if health.status == "starting" and age_s < plan.start_period else plan.interval


def describe_failure(plan: HealthPlan, health: Health) -> str:
    """Why an unhealthy container is ended, for people."""
    last = f", last with {health.last.describe()}" if health.last is not None else ""
    probe = "start-up probe" if awaits_startup(plan, health) else "health check"
    times = f"{health.failing_streak} times in a row" if health.failing_streak > 1 else "once"
    return f"its {probe} has failed {times}{last}"


def health_to_bytes(health: Health, *, started_ns: int) -> bytes:
    """The file's content; `started_ns` tells the start that it is about."""
    log = [{**asdict(one), "start": one.start.timestamp(), "end": one.end.timestamp()} for one in health.log]
    return json.dumps({"started": started_ns, **asdict(health), "log": log}).encode()


def parse_health_file(content: bytes, *, started_ns: int) -> Health:
    """What `health_to_bytes` wrote; that of a container nobody has looked at if it is about another start, or cannot be
    read."""
    try:
        document: dict[str, Any] = json.loads(content)
        if document.pop("started") != started_ns or document["status"] not in _STATUSES:
            return Health()
        document["log"] = tuple(_parse_result(one) for one in document["log"])
        return Health(**document)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return Health()


def _parse_result(document: dict[str, Any]) -> CheckResult:
    times = {name: datetime.fromtimestamp(document[name], UTC) for name in ("start", "end")}
    return CheckResult(**{**document, **times})
