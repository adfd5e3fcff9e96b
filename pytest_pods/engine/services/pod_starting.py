"""Bringing the members of a pod up: all are created at once, and each starts as soon as what it needs is ready.

A thread a member, since nearly all that they do is wait. The first that fails ends the others.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ExitedEarlyError, NotReadyError, PodFailedError, PodsError
from pytest_pods.engine.services.parallel import run_together
from pytest_pods.engine.specs.pods import MemberSpec, order_members

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container

_TAIL_LINES = 20
_SETTLE_S = 0.03
"""How long a member that is not awaited is watched: one that cannot run ends within that."""


class _GivenUp(Exception):
    """Another member has failed."""


class Bringing:
    """One pod's members on their way up."""

    def __init__(
        self,
        pod_name: str,
        members: Sequence[MemberSpec],
        *,
        obtain: Callable[[MemberSpec], Container],
        remove: Callable[[Container], None],
        timeout: float,
        before: Sequence[Callable[[], None]] = (),
    ) -> None:
        """`obtain` makes or finds a member's container, `before` is done while they are made and before one starts."""
        self._pod_name = pod_name
        self._members = order_members(members)
        self._obtain = obtain
        self._remove = remove
        self._timeout = timeout
        self._before = tuple(before)
        self._needs = _build_needs(self._members)
        # Making one is work for a processor; waiting is not.
        self._making = threading.BoundedSemaphore(max(2, os.cpu_count() or 2))
        self._changed = threading.Condition()
        self._ready: set[str] = set()
        self._settled: set[str] = set()
        self._before_done = 0
        self._given_up = False
        self.containers: dict[str, Container] = {}

    def create(self) -> Mapping[str, Container]:
        """Makes all members, in the order in which they were named; none is started."""
        self._run([self._task_before(one) for one in self._before] + [self._task_create(one) for one in self._members])
        return self.containers

    def start(self) -> Mapping[str, Container]:
        """Makes all members and starts them. Raises PodFailedError, and what making one raises."""
        self._all_settled = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._run(
                [self._task_before(one) for one in self._before] + [self._task_start(one) for one in self._members]
            )
        finally:
            os.close(self._all_settled)
        return self.containers

    def _run(self, tasks: Sequence[Callable[[], None]]) -> None:
        if not tasks:
            return
        faults: list[BaseException] = []

        def guard(task: Callable[[], None]) -> Callable[[], None]:
            def run() -> None:
                try:
                    task()
                except _GivenUp:
                    return
                except BaseException as error:
                    faults.append(error)
                    raise

            return run

        run_together([guard(task) for task in tasks], most=len(tasks), give_up=self._give_up)

    def _give_up(self) -> None:
        with self._changed:
            self._given_up = True
            self._changed.notify_all()
        self._tell_all()
        for container in [*self.containers.values()]:
            # What waits for it to be ready notices its end.
            with suppress(PodsError):
                container.kill()

    def _tell_all(self) -> None:
        descriptor = getattr(self, "_all_settled", None)
        if descriptor is not None:
            with suppress(OSError):
                os.eventfd_write(descriptor, 1)

    def _task_before(self, task: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            task()
            with self._changed:
                self._before_done += 1
                self._changed.notify_all()

        return run

    def _task_create(self, member: MemberSpec) -> Callable[[], None]:
        def run() -> None:
            self._create(member)

        return run

    def _create(self, member: MemberSpec) -> Container:
        with self._making:
            self._refuse_given_up()
            container = self._obtain(member)
        with self._changed:
            self.containers[member.name] = container
            given_up = self._given_up
        if given_up:
            # Nobody else knows of it any more.
            with suppress(PodsError):
                self._remove(container)
            raise _GivenUp
        return container

    def _refuse_given_up(self) -> None:
        with self._changed:
            if self._given_up:
                raise _GivenUp

    def _task_start(self, member: MemberSpec) -> Callable[[], None]:
        return lambda: self._bring_up(member)

    def _bring_up(self, member: MemberSpec) -> None:
        container = self._create(member)
        self._await_needs(member)
        try:
            self._start(member, container)
        except (ExitedEarlyError, NotReadyError) as error:
            self._refuse_given_up()
            raise self._translate(member, container, error) from error
        except PodsError:
            self._refuse_given_up()
            raise
        self._tell(member, self._ready)
        if not member.init:
            self._watch(member, container)

    def _await_needs(self, member: MemberSpec) -> None:
        needs = self._needs[member.name]
        with self._changed:
            self._changed.wait_for(
                lambda: self._given_up or (self._before_done == len(self._before) and needs <= self._ready)
            )
        self._refuse_given_up()

    def _start(self, member: MemberSpec, container: Container) -> None:
        wait = member.container.wait
        if not container.running:
            container.start()
        if member.init:
            code = container.wait(self._limit(member))
            if code != 0:
                raise ExitedEarlyError("", exit_code=code, log_tail=container.logs(tail=_TAIL_LINES))
        elif wait is not None:
            container.wait_ready(wait, timeout=self._limit(member))

    def _limit(self, member: MemberSpec) -> float:
        return self._timeout if member.container.timeout is None else member.container.timeout

    def _tell(self, member: MemberSpec, where: set[str]) -> None:
        with self._changed:
            where.add(member.name)
            self._changed.notify_all()
            everyone = {one.name for one in self._members if not one.init}
            done = everyone <= self._settled
        if done:
            self._tell_all()

    def _watch(self, member: MemberSpec, container: Container) -> None:
        """Until all of the pod is up, a member that fails fails the pod."""
        descriptor = container.open_exit_descriptor()
        poll = select.poll()
        if descriptor is not None:
            poll.register(descriptor.fileno(), select.POLLIN)
        try:
            if member.container.wait is None and descriptor is not None:
                end = time.monotonic() + _SETTLE_S
                while (left := end - time.monotonic()) > 0 and not poll.poll(left * 1000):
                    continue
            self._refuse_failed(member, container)
            self._tell(member, self._settled)
            poll.register(self._all_settled, select.POLLIN)
            poll.poll()
            self._refuse_failed(member, container)
        finally:
            if descriptor is not None:
                descriptor.close()

    def _refuse_failed(self, member: MemberSpec, container: Container) -> None:
        self._refuse_given_up()
        state = container.state()
        if state.exit_code and not state.running and not state.restarting:
            raise self._translate(member, container, None)

    def _translate(
        self, member: MemberSpec, container: Container, error: ExitedEarlyError | NotReadyError | None
    ) -> PodFailedError:
        what = f"member {member.name} ({container.image})"
        state = container.state()
        tail = error.log_tail if error is not None and error.log_tail else container.logs(tail=_TAIL_LINES)
        if isinstance(error, NotReadyError):
            last = f"; last seen: {error.last_seen}" if error.last_seen else ""
            brief = f"{what} is not ready after {error.waited_s:.1f} s: waited for {error.condition}{last}"
        elif member.init:
            brief = f"init {what} ended with exit code {state.exit_code}"
        else:
            brief = f"{what} ended with exit code {state.exit_code} while the pod came up"
        lines = [state.fault] if state.fault else []
        lines += ["its last log lines:", *(f"  {line}" for line in tail.splitlines())] if tail else ["its log is empty"]
        return PodFailedError(
            f"pod {self._pod_name}: {brief}",
            member=member.name,
            exit_code=state.exit_code,
            log_tail=tail,
            details="\n".join(lines),
            hint="its command, environment or image is at fault if the log does not say otherwise",
        )


def _build_needs(members: Sequence[MemberSpec]) -> dict[str, set[str]]:
    """What has to be ready before each: an init member needs the one before it, the others all init members."""
    needs: dict[str, set[str]] = {}
    earlier: set[str] = set()
    for member in members:
        needs[member.name] = {*member.needs, *earlier}
        if member.init:
            earlier = {*earlier, member.name}
    return needs
