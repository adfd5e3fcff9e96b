"""A container's health on the disk, beside the rest of its state, for whatever process asks or checks next.

What is written is about one start, which is known from others by its time, so that nothing has to be taken back when a
container ends.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_pods.engine.health import Health, health_to_bytes, parse_health_file
from pytest_pods.engine.state.atomic import find_bytes, write_atomically
from pytest_pods.engine.state.locks import existing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.engine.state.layout import ContainerLayout


def find_start(layout: ContainerLayout) -> int | None:
    """What tells the container's start from the others: nanoseconds since the epoch. None before the first."""
    try:
        return layout.started_file.stat().st_mtime_ns
    except OSError:
        return None


def read_health(layout: ContainerLayout) -> Health:
    """What is known since the last start."""
    started_ns = find_start(layout)
    content = None if started_ns is None else find_bytes(layout.health_file)
    return Health() if content is None or started_ns is None else parse_health_file(content, started_ns=started_ns)


@contextmanager
def writing(layout: ContainerLayout, *, started_ns: int) -> Iterator[bool]:
    """Held to write down what is about one start; False if the container was started again meanwhile, or is being
    removed."""
    with existing(layout.health_lock) as there:
        yield there and find_start(layout) == started_ns


def write_health(layout: ContainerLayout, health: Health, *, started_ns: int) -> None:
    """Within `writing` only."""
    write_atomically(layout.health_file, health_to_bytes(health, started_ns=started_ns))


def forbid_writing(layout: ContainerLayout) -> None:
    """From here on nothing is written down: the container's files can be removed."""
    with existing(layout.health_lock) as there:
        if there:
            layout.health_lock.unlink()
