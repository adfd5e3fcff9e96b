"""Runs a few tasks at once, in threads that an interrupted caller does not have to wait for."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_GRACE_S = 2.0


def run_together(tasks: Sequence[Callable[[], None]], *, most: int, give_up: Callable[[], None]) -> None:
    """Runs all `tasks`, at most `most` at a time; the first fault, or an interruption, is raised.

    Before that `give_up` is called, which makes running tasks end soon; those that have not begun never do. Threads are
    daemons, and are waited for a few seconds only: one that hangs must not keep Ctrl-C from ending the process.
    """
    waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    outcomes: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)

    def work() -> None:
        while (task := _take(waiting)) is not None:
            try:
                task()
            except BaseException as fault:
                outcomes.put(fault)
            else:
                outcomes.put(None)

    threads = [threading.Thread(target=work, name="pods-pull", daemon=True) for _ in range(min(most, len(tasks)))]
    for thread in threads:
        thread.start()
    try:
        for _ in tasks:
            if (fault := outcomes.get()) is not None:
                raise fault
    except BaseException:
        while _take(waiting) is not None:
            pass
        give_up()
        deadline = Deadline.after(_GRACE_S)
        for thread in threads:
            thread.join(deadline.remaining)
        raise
    for thread in threads:
        thread.join()


def _take(waiting: queue.SimpleQueue[Callable[[], None]]) -> Callable[[], None] | None:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return None
