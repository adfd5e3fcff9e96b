"""Repeating what failed for a reason that may pass: waits grow, a registry's Retry-After is kept, all of it limited."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from pytest_pods.engine.errors import PodsError, RegistryError
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

T = TypeVar("T")


@frozen
class RetryPolicy:
    """`attempts` counts the first one. A registry that asks for more than `longest_wait_s` is not asked again."""

    attempts: int = 5
    first_wait_s: float = 0.2
    longest_step_s: float = 5.0
    longest_wait_s: float = 60.0


def repeat(action: Callable[[], T], *, policy: RetryPolicy, cancelled: threading.Event | None = None) -> T:
    """Calls `action`, again while it fails temporarily; raises its last error. `cancelled` ends the waits."""
    try:
        return action()
    except RegistryError as error:
        if not _worth_waiting(error, policy):
            raise
        first = error
    return _repeat_after(first, action, policy=policy, cancelled=cancelled or threading.Event())


def _repeat_after(
    first: RegistryError, action: Callable[[], T], *, policy: RetryPolicy, cancelled: threading.Event
) -> T:
    # Imported after the first fault only: the library takes longer to load than most requests.
    import tenacity

    steps = tenacity.wait_exponential(multiplier=policy.first_wait_s, max=policy.longest_step_s)
    grow = steps + tenacity.wait_random(0, policy.first_wait_s)
    pending = [first]

    def again() -> T:
        if pending:
            raise pending.pop()
        return action()

    def wait_s(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.retry_after_s if isinstance(error, RegistryError) else None
        return float(grow(state)) if asked is None else min(asked, policy.longest_wait_s)

    def sleep(seconds: float) -> None:
        cancelled.wait(seconds)

    def worth(error: BaseException) -> bool:
        return not cancelled.is_set() and isinstance(error, PodsError) and _worth_waiting(error, policy)

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(policy.attempts),
        wait=wait_s,
        retry=tenacity.retry_if_exception(worth),
        sleep=sleep,
        reraise=True,
    )(again)


def _worth_waiting(error: PodsError, policy: RetryPolicy) -> bool:
    if not error.temporary or policy.attempts < 2:
        return False
    asked = error.retry_after_s if isinstance(error, RegistryError) else None
    return asked is None or asked <= policy.longest_wait_s
