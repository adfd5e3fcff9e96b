"""Descriptors: what content is, how long it is and which digest it has, as the OCI image specification has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from pytest_pods.engine.errors import InvalidDocumentError
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.frozen import frozen


@frozen
class Platform:
    """Operating system, processor architecture and its variant, in Go's names: linux, arm64, v8."""

    os: str
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@frozen
class Descriptor:
    """`size` is in bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_document(cls, document: object, *, where: str) -> Descriptor:
        """Reads a descriptor out of parsed JSON; `where` names the place in messages. Raises InvalidDocumentError."""
        if not isinstance(document, Mapping):
            raise InvalidDocumentError(f"{where} is not an object")
        media_type, digest, size = (document.get(key) for key in ("mediaType", "digest", "size"))
        if not isinstance(media_type, str) or not isinstance(digest, str):
            raise InvalidDocumentError(f"{where} has no mediaType or digest")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 2**63:
            raise InvalidDocumentError(f"{where} has the size {size!r}")
        annotations = document.get("annotations") or {}
        if not isinstance(annotations, Mapping):
            raise InvalidDocumentError(f"{where} has annotations that are not an object")
        return cls(
            media_type,
            Digest.parse(digest),
            size,
            _parse_platform(document.get("platform")),
            {str(key): str(value) for key, value in annotations.items()},
        )

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.platform is not None:
            document["platform"] = {"os": self.platform.os, "architecture": self.platform.architecture}
            if self.platform.variant:
                document["platform"]["variant"] = self.platform.variant
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document


def _parse_platform(document: object) -> Platform | None:
    if not isinstance(document, Mapping):
        return None
    os, architecture, variant = (document.get(key) for key in ("os", "architecture", "variant"))
    if not isinstance(os, str) or not isinstance(architecture, str):
        return None
    return Platform(os, architecture, variant if isinstance(variant, str) and variant else None)
