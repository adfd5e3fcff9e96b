"""Waiting until a container is ready: looks at a condition, and between looks sleeps on what could change it."""

from __future__ import annotations

import select
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import ExitedEarlyError, NotReadyError

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.services.lifecycle import ExitDescriptor
    from pytest_pods.engine.waiting import Readiness, Wait

_TAIL_LINES = 20


def wait_ready(container: Container, wait: Wait, *, timeout: float) -> None:
    """Returns when `wait` holds. Raises NotReadyError after `timeout` (or the condition's own), ExitedEarlyError if
    the container ends before, with its exit code and last log lines."""
    limit = wait.timeout if wait.timeout is not None else timeout
    deadline = Deadline.after(limit)
    with ExitStack() as stack:
        poll = select.poll()
        watch = _ExitWatch(container, poll)
        stack.callback(watch.close)
        log_watch = stack.enter_context(container.watch_log()) if wait.watches_log else None
        if log_watch is not None:
            poll.register(log_watch.fileno(), select.POLLIN)
        look = 0
        while True:
            look += 1
            # Whether it has ended is asked before the look: the look then sees the last of its output.
            state = container.state()
            # While it is started again it is, for a moment, only created.
            ended = state.status == "exited" or (state.status == "created" and not container.spec.restartable)
            watch.follow(running=state.running)
            seen = wait.check(container)
            if seen.ready:
                return
            if ended and not wait.accepts_exit and not state.restarting:
                raise _exited(container, wait, deadline)
            if deadline.expired:
                raise _not_ready(container, wait, deadline, seen)
            pause_s = min(wait.interval_s(look), deadline.remaining or 0.0)
            poll.poll(pause_s * 1000)
            if log_watch is not None:
                log_watch.forget()


class _ExitWatch:
    """The container's end as a reason to look again; a restart policy may give it several."""

    def __init__(self, container: Container, poll: select.poll) -> None:
        self._container = container
        self._poll = poll
        self._descriptor: ExitDescriptor | None = None

    def follow(self, *, running: bool) -> None:
        if not running:
            self.close()
        elif self._descriptor is None:
            self._descriptor = self._container.open_exit_descriptor()
            if self._descriptor is not None:
                self._poll.register(self._descriptor.fileno(), select.POLLIN)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._poll.unregister(descriptor.fileno())
            descriptor.close()


def _exited(container: Container, wait: Wait, deadline: Deadline) -> ExitedEarlyError:
    tail = container.logs(tail=_TAIL_LINES)
    state = container.state()
    return ExitedEarlyError(
        f"container {container.name} ({container.image}) ended with exit code {state.exit_code}"
        f" after {deadline.elapsed:.2f} s, while waiting for {wait.describe()}",
        exit_code=state.exit_code,
        log_tail=tail,
        details=_describe(state.fault, tail),
        hint="its command, environment or image is at fault if the log does not say otherwise",
    )


def _not_ready(container: Container, wait: Wait, deadline: Deadline, seen: Readiness) -> NotReadyError:
    tail = container.logs(tail=_TAIL_LINES)
    return NotReadyError(
        f"container {container.name} ({container.image}) is not ready after {deadline.elapsed:.1f} s:"
        f" waited for {wait.describe()}; last seen: {seen.seen or 'nothing'}",
        condition=wait.describe(),
        waited_s=deadline.elapsed,
        last_seen=seen.seen,
        log_tail=tail,
        details=_describe(None, tail),
        hint="give it more time with timeout=, or wait for something else",
    )


def _describe(fault: str | None, tail: str) -> str:
    lines = [fault] if fault else []
    lines += ["last log lines:", *(f"  {line}" for line in tail.splitlines())] if tail else ["its log is empty"]
    return "\n".join(lines)
