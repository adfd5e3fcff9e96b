"""JSON documents on the disk: written whole, and read with messages that name the file and the value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_pods.engine.errors import StorageError
from pytest_pods.engine.state.atomic import find_bytes, storage_errors, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_T = TypeVar("_T")


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Replaces the document at `path`. Raises StorageError."""
    content = json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
    with storage_errors(f"writing {path}"):
        write_atomically(path, content)


def find_document(path: Path) -> Document | None:
    """The document at `path`, None if there is none. Raises StorageError.

    An empty file, or one of zeros, is what a power cut makes of a rename that was not synced: it counts as none.
    """
    with storage_errors(f"reading {path}"):
        content = find_bytes(path)
    return None if content is None or not content.strip(b"\0") else parse_document(content, where=str(path))


def parse_document(content: bytes, *, where: str) -> Document:
    """Reads a JSON object that the engine wrote; raises StorageError for anything else."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{where} is not a JSON document: {error}") from error
    if not isinstance(value, dict):
        raise StorageError(f"{where} is not a JSON object")
    return Document(value, where)


class Document:
    """A JSON object from which typed values are taken; a missing or wrong one raises StorageError."""

    __slots__ = ("_values", "where")

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self.where = where

    def get(self, key: str, kind: type[_T]) -> _T:
        """The value, which has to be there and of `kind`."""
        value = self._values.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise StorageError(
                f"{self.where}: {key!r} is missing or wrong",
                hint="another release may have written it; remove the file or use another root",
            )
        return value

    def find(self, key: str, kind: type[_T]) -> _T | None:
        """The value if it is there and not null; then it has to be of `kind`."""
        return None if self._values.get(key) is None else self.get(key, kind)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; a missing one is empty."""
        values = self.find(key, list) or []
        if not all(isinstance(value, str) for value in values):
            raise StorageError(f"{self.where}: {key!r} is not a list of texts")
        return tuple(values)

    def inner(self, key: str) -> Document:
        """An object inside."""
        return Document(self.get(key, dict), f"{self.where}: {key}")

    def raw(self, key: str) -> object:
        """The value as JSON has it, for what reads itself out of a document."""
        return self._values.get(key)
