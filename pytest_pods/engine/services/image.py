"""An image as callers see it."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.engine.oci.descriptor import Descriptor
    from pytest_pods.engine.oci.digest import Digest
    from pytest_pods.engine.oci.image_config import ImageConfig
    from pytest_pods.engine.storage.layers import LayerStore


@frozen
class Image:
    """An image of the store. `references` are normalised; `size` is its layers' bytes, uncompressed."""

    id: Digest
    references: tuple[str, ...]
    config: ImageConfig
    size: int
    manifest: Descriptor
    layers: tuple[Digest, ...]
    """Chain IDs, lowest first."""
    pulled: float
    _store: LayerStore = field(repr=False, compare=False)

    @property
    def reference(self) -> str:
        """By which it can be named: its first reference, else its ID."""
        return next(iter(self.references), str(self.id))

    @property
    def short_id(self) -> str:
        """The first 12 digits of the ID."""
        return self.id.short

    @property
    def created(self) -> datetime | None:
        """When the image was made, as its config says."""
        try:
            return datetime.fromisoformat(self.config.created) if self.config.created else None
        except ValueError:
            # Some tools write nine digits of a second, which older Pythons do not read.
            return _parse_to_microseconds(self.config.created or "")

    @property
    def digests(self) -> tuple[str, ...]:
        """`repository@digest` of each reference, as registries know the manifest."""
        names = {_repository(reference) for reference in self.references}
        return tuple(f"{name}@{self.manifest.digest}" for name in sorted(names))

    @property
    def diff_dirs(self) -> tuple[Path, ...]:
        """The layers' directories, lowest first. Raises ImageNotFoundError if one has been removed meanwhile."""
        return self._store.diff_dirs(self.layers)


def _parse_to_microseconds(text: str) -> datetime | None:
    import re

    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:\d\d)", text)
    if match is None:
        return None
    try:
        return datetime.fromisoformat(f"{match[1]}{(match[2] or '.0').ljust(7, '0')}{match[3].replace('Z', '+00:00')}")
    except ValueError:
        return None


def _repository(reference: str) -> str:
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]
