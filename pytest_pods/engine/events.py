"""What the engine tells of itself, for whoever shows it: the progress of long work, and what happened to containers."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container


class ContainerEventKind(enum.Enum):
    """READY and NOT_READY are of the container's own wait, AWAITED and NOT_SEEN of any other condition. REMOVING is
    told while all of the container is still there. TAKEN is of one that was made ahead, when it was asked for: what
    happened to it before is told then, too."""

    CREATED = "created"
    TAKEN = "taken"
    STARTED = "started"
    READY = "ready"
    NOT_READY = "not ready"
    AWAITED = "awaited"
    NOT_SEEN = "not seen"
    STOPPED = "stopped"
    KILLED = "killed"
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    ENDED = "ended"
    REMOVING = "removing"
    REMOVED = "removed"


@frozen
class ContainerEvent:
    """Something that happened to a container. `at`: when it was over, in seconds since the epoch; `took_s`: how long it
    took; `text`: more on it, for people."""

    kind: ContainerEventKind
    container: Container
    at: float
    took_s: float = 0.0
    text: str = ""


@frozen
class ImageEvent:
    """An image was fetched from a registry; `size` is bytes of layers, the rest as of a ContainerEvent."""

    reference: str
    at: float
    took_s: float
    size: int


Event: TypeAlias = ContainerEvent | ImageEvent


class Progress(Protocol):
    """Receives the progress of a pull or load; called from several threads."""

    def started(self, key: str, total: int | None, what: str) -> None:
        """A piece of work began: `key` identifies it, `total` is its size in bytes where known, `what` for people."""

    def advanced(self, key: str, amount: int) -> None:
        """`amount` bytes more are done."""

    def finished(self, key: str, note: str = "") -> None:
        """The piece is done; `note` such as "already there"."""

    def message(self, text: str) -> None:
        """A line for people, about the whole."""


class NoProgress:
    """Tells nobody."""

    def started(self, key: str, total: int | None, what: str) -> None: ...

    def advanced(self, key: str, amount: int) -> None: ...

    def finished(self, key: str, note: str = "") -> None: ...

    def message(self, text: str) -> None: ...
