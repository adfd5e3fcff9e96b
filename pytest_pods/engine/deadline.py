"""Time limits that are passed down: one moment on the monotonic clock, asked for what remains."""

from __future__ import annotations

import time

from pytest_pods.engine.errors import DeadlineExceededError
from pytest_pods.frozen import frozen

LONGEST_POLL_S = 1e6
"""poll(2) takes no more than some weeks."""


@frozen
class Deadline:
    """A moment by which an operation has to be over; `Deadline.never()` does not end."""

    at: float | None
    started: float

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """The moment `seconds` from now; None means never."""
        now = time.monotonic()
        return cls(at=None if seconds is None else now + seconds, started=now)

    @classmethod
    def never(cls) -> Deadline:
        return cls.after(None)

    @property
    def remaining(self) -> float | None:
        """Seconds left, at least 0.0; None for never."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())

    @property
    def elapsed(self) -> float:
        """Seconds since the deadline was made."""
        return time.monotonic() - self.started

    @property
    def expired(self) -> bool:
        return self.at is not None and time.monotonic() >= self.at

    def check(self, doing: str) -> None:
        """Raises DeadlineExceededError if the moment has passed; `doing` completes "gave up …"."""
        if self.expired:
            raise DeadlineExceededError(f"gave up {doing} after {self.elapsed:.1f} s")
