"""What was seen of a container at one moment, for a report: plain values, from which texts are built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_pods.engine.events import ContainerEventKind
from pytest_pods.engine.ids import is_generated_name
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.events import ContainerEvent
    from pytest_pods.engine.records import ContainerRecord, ContainerState
    from pytest_pods.engine.runtime.logs import Excerpt


@frozen
class Look:
    """A container of a test. `fixture` is empty where its name says nothing of the container; `state` is None where it
    cannot be read, and `trouble` says why; `log` is what it wrote during the test, `events` is what happened to it;
    `networks` are names with the addresses on them.

    `since` is when the test's part of its life began, in seconds since the epoch; `error` is what its set-up failed
    with; `kept` is the command that enters it after the run, if it is kept.
    """

    record: ContainerRecord
    fixture: str
    state: ContainerState | None
    log: Excerpt
    trouble: str = ""
    networks: tuple[tuple[str, tuple[str, ...]], ...] = ()
    events: tuple[ContainerEvent, ...] = ()
    since: float = 0.0
    error: str = ""
    kept: str = ""

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def failed(self) -> bool:
        """It has ended with a failure."""
        return self.state is not None and bool(self.state.exit_code) and not self.state.running


def order_looks(looks: Sequence[Look]) -> list[Look]:
    """In the order in which containers came to be the test's, and the members of a pod together, in the order of its
    mark."""
    first: dict[str, float] = {}
    for look in looks:
        group, came = _find_group(look), _find_coming(look)
        first[group] = min(first.get(group, came), came)
    return sorted(looks, key=lambda look: (first[_find_group(look)], _find_position(look), look.record.created))


def _find_coming(look: Look) -> float:
    taken = (event.at for event in look.events if event.kind is ContainerEventKind.TAKEN)
    return next(taken, look.record.created)


def _find_group(look: Look) -> str:
    return look.id if look.record.membership is None else look.record.membership.pod_id


def _find_position(look: Look) -> int:
    return 0 if look.record.membership is None else look.record.membership.position


def build_labels(looks: Sequence[Look]) -> dict[str, str]:
    """What each container is called in this test's report, by ID: shortly if that is enough to tell it apart, else by
    its own name."""
    short = {look.id: find_short_name(look.record, look.fixture) for look in looks}
    return {
        look.id: short[look.id] if [*short.values()].count(short[look.id]) == 1 else look.record.name
        for look in looks
    }


def find_short_name(record: ContainerRecord, fixture: str = "") -> str:
    """What a person would call it: as a pod names its member, by the name that it was given, as the fixture that was
    declared for it, or as its image."""
    if record.membership is not None:
        return record.membership.member
    if record.spec.name and not is_generated_name(record.spec.name):
        return record.spec.name
    if fixture:
        return fixture
    return record.image.partition("@")[0].rpartition("/")[2].partition(":")[0] or record.name
