"""Blobs: content under its digest, in an OCI image layout. Knows nothing of what the bytes mean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import DigestMismatchError, NotFoundError, SizeMismatchError
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.state.atomic import storage_errors, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_pods.engine.state.layout import StoreLayout

_CHUNK = 256 * 1024
LARGEST_DOCUMENT = 4 * 1024 * 1024


class BlobStore:
    """The blobs of one store. A file under a blob's name is whole: it came there after its digest was checked."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout

    def path(self, digest: Digest) -> Path:
        return self._layout.blob(digest)

    def has(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def size(self, digest: Digest) -> int | None:
        """Bytes, None if the blob is not here."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, digest: Digest) -> bytes:
        """A manifest or config, checked again. Raises NotFoundError, DigestMismatchError, SizeMismatchError."""
        with storage_errors(f"reading blob {digest}"):
            try:
                with open(self.path(digest), "rb") as file:
                    content = file.read(LARGEST_DOCUMENT + 1)
            except FileNotFoundError:
                raise NotFoundError(f"no blob {digest} in the store", hint="pull the image again") from None
        if len(content) > LARGEST_DOCUMENT:
            raise SizeMismatchError(f"blob {digest} is too large for a document: more than {LARGEST_DOCUMENT} bytes")
        check_digest(content, digest, what=f"blob {digest} of the store")
        return content

    def put(self, content: bytes, digest: Digest | None = None) -> Digest:
        """Stores a document; with `digest` given it has to have that. Raises DigestMismatchError, StorageError."""
        if digest is None:
            digest = Digest.of_bytes(content)
        else:
            check_digest(content, digest, what="content to store")
        with storage_errors(f"storing blob {digest}"):
            write_atomically(self.path(digest), content, mode=0o644)
        return digest

    def adopt(self, file: Path, digest: Digest) -> None:
        """Moves a file whose digest has been checked to its place. Raises OSError."""
        os.chmod(file, 0o644)
        os.replace(file, self.path(digest))

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """The content in pieces; not checked here. Raises NotFoundError and StorageError."""
        try:
            file = open(self.path(digest), "rb")  # noqa: SIM115 - closed below, after the check
        except FileNotFoundError:
            raise NotFoundError(f"no blob {digest} in the store", hint="pull the image again") from None
        with file, storage_errors(f"reading blob {digest}"):
            while chunk := file.read(_CHUNK):
                yield chunk

    def remove(self, digest: Digest) -> None:
        """Nothing happens if it is not here."""
        with storage_errors(f"removing blob {digest}"):
            self.path(digest).unlink(missing_ok=True)

    def list(self) -> Iterator[Digest]:
        """All blobs, in no order."""
        for algorithm in ("sha256", "sha512"):
            with storage_errors(f"listing {self._layout.blobs_dir}"):
                names = os.listdir(self._layout.blobs_dir / algorithm)
            for name in names:
                # What a killed process left has a leading dot.
                if not name.startswith("."):
                    yield Digest(algorithm, name)

    def find_damage(self, digest: Digest) -> str | None:
        """Reads a blob and compares its digest; what is wrong, for people."""
        hasher = digest.hasher()
        try:
            for chunk in self.chunks(digest):
                hasher.update(chunk)
        except NotFoundError:
            return "it is missing"
        return None if digest.matches(hasher) else f"its content has the digest {digest.algorithm}:{hasher.hexdigest()}"


def check_digest(content: bytes, digest: Digest, *, what: str) -> None:
    """Raises DigestMismatchError."""
    hasher = digest.hasher()
    hasher.update(content)
    if not digest.matches(hasher):
        raise DigestMismatchError(f"{what} has the digest {digest.algorithm}:{hasher.hexdigest()}, not {digest}")
