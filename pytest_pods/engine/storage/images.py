"""Image records: which image a reference means. One small file a reference: what is unrelated is never rewritten.

Here a reference is its normalised text. What the documents of an image say is read from their blobs.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ImageNotFoundError, InvalidInputError, NotFoundError
from pytest_pods.engine.oci.descriptor import Descriptor
from pytest_pods.engine.oci.image_config import ImageConfig
from pytest_pods.engine.oci.manifest import OCI_INDEX, Index, build_index_document
from pytest_pods.engine.state.atomic import storage_errors, write_atomically
from pytest_pods.engine.state.records import Document, find_document, write_document
from pytest_pods.engine.storage.blobs import BlobStore
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_pods.engine.oci.digest import Digest
    from pytest_pods.engine.state.layout import StoreLayout

_PREFIX = re.compile(r"[a-f0-9]{1,64}\Z")
_REFERENCE_NAME = "org.opencontainers.image.ref.name"
_CLOCK_TICK_NS = 100_000_000
"""More than any kernel's clock of files takes from one value to the next."""


@frozen
class ImageRecord:
    """What a reference means, or an image that lost its last reference. `pulled` is seconds since the epoch."""

    reference: str | None
    manifest: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]
    pulled: float

    @property
    def image_id(self) -> Digest:
        return self.config.digest

    @property
    def key(self) -> str:
        """The name of the record's file."""
        if self.reference is None:
            return f"image-{self.image_id.hex}"
        return f"reference-{hashlib.sha256(self.reference.encode()).hexdigest()}"

    def to_document(self) -> dict[str, object]:
        return {
            "reference": self.reference,
            "manifest": self.manifest.to_document(),
            "config": self.config.to_document(),
            "layers": [layer.to_document() for layer in self.layers],
            "pulled": self.pulled,
        }

    @classmethod
    def from_document(cls, document: Document) -> ImageRecord:
        """Raises StorageError and InvalidDocumentError."""
        where = document.where
        return cls(
            document.find("reference", str),
            Descriptor.from_document(document.raw("manifest"), where=f"{where}: manifest"),
            Descriptor.from_document(document.raw("config"), where=f"{where}: config"),
            tuple(Descriptor.from_document(one, where=f"{where}: layers") for one in document.get("layers", list)),
            float(document.get("pulled", float)),
        )


@frozen
class _Listing:
    """All records, and of which state of their directory; without a `stamp` others may have come in the same moment."""

    stamp: tuple[int, int] | None
    records: tuple[ImageRecord, ...]
    by_reference: Mapping[str | None, ImageRecord]


class ImageStore:
    """The image records of one store. Whoever changes them holds `images_lock` exclusively.

    What has been read is kept for as long as nothing has changed. Thread-safe.
    """

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout
        self._blobs = BlobStore(layout)
        self._listing = _Listing(None, (), {})
        self._configs: dict[Digest, ImageConfig] = {}

    def find(self, reference: str) -> ImageRecord | None:
        """By normalised reference."""
        return self._list().by_reference.get(reference)

    def find_by_id(self, text: str) -> tuple[ImageRecord, ...]:
        """All records of the image whose ID, or manifest digest, is or begins with `text`: `sha256:…` or hex digits.

        Raises InvalidInputError if several images do.
        """
        digits = text.removeprefix("sha256:")
        if not _PREFIX.match(digits):
            return ()
        whole = len(digits) == 64
        found = [
            record
            for record in self.list()
            if record.image_id.hex.startswith(digits) or (whole and record.manifest.digest.hex == digits)
        ]
        ids = sorted({record.image_id.hex for record in found})
        if len(ids) > 1:
            shown = ", ".join(one[:12] for one in ids[:5])
            raise InvalidInputError(
                f"{text!r} is the beginning of {len(ids)} image IDs: {shown}", hint="write more digits"
            )
        return tuple(found)

    def find_by_digest(self, name: str, digest: Digest) -> ImageRecord | None:
        """The image with this manifest digest among the references of one repository (`registry/repository`)."""
        for record in self.list():
            if record.reference and record.manifest.digest == digest and _repository(record.reference) == name:
                return record
        return None

    def list(self) -> tuple[ImageRecord, ...]:
        """All records, in the order of their references."""
        return self._list().records

    def _list(self) -> _Listing:
        with storage_errors(f"listing {self._layout.images_dir}"):
            now_ns = time.time_ns()
            state = os.stat(self._layout.images_dir)
            stamp = (state.st_ino, state.st_mtime_ns)
            if stamp == self._listing.stamp:
                return self._listing
            names = os.listdir(self._layout.images_dir)
        # What is removed at this moment is not there any more; what a killed process left has a leading dot.
        found = [
            self._read(self._layout.images_dir / name)
            for name in names
            if name.endswith(".json") and not name.startswith(".")
        ]
        records = sorted((r for r in found if r is not None), key=lambda r: (r.reference or "~", r.image_id.hex))
        settled = now_ns - state.st_mtime_ns > _CLOCK_TICK_NS
        self._listing = _Listing(
            stamp if settled else None, tuple(records), {record.reference: record for record in records}
        )
        return self._listing

    def put(self, record: ImageRecord) -> None:
        """Makes the reference mean this image. An image that thereby loses its last reference stays, without one."""
        before = None if record.reference is None else self.find(record.reference)
        if before is not None and before.image_id != record.image_id:
            self._keep_nameless(before)
        write_document(self._layout.image_record(record.key), record.to_document())
        if record.reference is not None:
            self._forget(replace(record, reference=None))
        self._write_index()

    def remove(self, records: Sequence[ImageRecord]) -> None:
        """Forgets these records."""
        for record in records:
            self._forget(record)
        self._write_index()

    def config(self, record: ImageRecord) -> ImageConfig:
        """The image's config. Raises ImageNotFoundError if the store has lost it, ContentError if it is damaged."""
        where = record.reference or record.image_id.short
        digest = record.config.digest
        known = self._configs.get(digest)
        if known is not None and self._blobs.has(digest):
            return known
        try:
            config = ImageConfig.from_bytes(self._blobs.read(digest), where=where)
        except NotFoundError as error:
            raise ImageNotFoundError(
                f"image {where}: its config is not in the store", hint="pull the image again"
            ) from error
        self._configs[digest] = config
        return config

    def _keep_nameless(self, record: ImageRecord) -> None:
        others = [one for one in self.list() if one.image_id == record.image_id and one.reference != record.reference]
        if not others:
            nameless = replace(record, reference=None)
            write_document(self._layout.image_record(nameless.key), nameless.to_document())

    def _forget(self, record: ImageRecord) -> None:
        with storage_errors(f"removing the record of {record.reference or record.image_id.short}"):
            self._layout.image_record(record.key).unlink(missing_ok=True)

    def _read(self, path: Path) -> ImageRecord | None:
        document = find_document(path)
        return None if document is None else ImageRecord.from_document(document)

    def _write_index(self) -> None:
        """Tells other tools, which read OCI image layouts, what is here."""
        manifests = tuple(
            replace(record.manifest, annotations={_REFERENCE_NAME: record.reference} if record.reference else {})
            for record in self.list()
        )
        with storage_errors(f"writing {self._layout.index_file}"):
            write_atomically(self._layout.index_file, build_index_document(Index(OCI_INDEX, manifests)), mode=0o644)


def _repository(reference: str) -> str:
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]
