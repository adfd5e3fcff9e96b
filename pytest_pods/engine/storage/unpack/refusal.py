"""What the child says when it cannot go on: a kind that the parent has an exception for, and one line for people."""

from __future__ import annotations


class Refusal(Exception):
    """`kind` is one of unsafe, document, size, full, host, occupied, pipe, system."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


def show(name: bytes) -> str:
    """A name from an archive, fit for a message: printable, on one line, not too long."""
    text = repr(name.decode("utf-8", "surrogateescape"))
    return text if len(text) <= 200 else f"{text[:198]}…'"
