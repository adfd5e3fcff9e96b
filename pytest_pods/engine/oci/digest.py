"""Content digests: `algorithm:hex`, checked once on the way in (OCI image specification, descriptor, "Digests")."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from pytest_pods.engine.errors import InvalidDocumentError

_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[a-f0-9]+\Z")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A digest of an algorithm that we can verify; `str()` gives `sha256:…`."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Reads `sha256:<64 hex>` or `sha512:<128 hex>`; raises InvalidDocumentError for anything else."""
        algorithm, separator, digits = text.partition(":")
        if not separator or _LENGTHS.get(algorithm) != len(digits) or not _HEX.match(digits):
            raise InvalidDocumentError(
                f"invalid digest {text[:160]!r}",
                hint="a digest is sha256: and 64, or sha512: and 128, lower-case hex digits",
            )
        return cls(algorithm, digits)

    @classmethod
    def of_bytes(cls, content: bytes) -> Digest:
        """The sha256 digest of `content`."""
        return cls("sha256", hashlib.sha256(content).hexdigest())

    def hasher(self) -> hashlib._Hash:
        """A fresh hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def matches(self, hasher: hashlib._Hash) -> bool:
        return hasher.hexdigest() == self.hex

    @property
    def short(self) -> str:
        """The first 12 digits, as command lines show image IDs."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """The chain ID of each layer, lowest first (OCI image specification, config, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(diff_id if not chain else Digest.of_bytes(f"{chain[-1]} {diff_id}".encode()))
    return tuple(chain)
