"""What long work tells about itself, for whoever shows it."""

from __future__ import annotations

from typing import Protocol


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
