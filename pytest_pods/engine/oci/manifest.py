"""Image manifests and indexes, of OCI's and of Docker's kind: what an image consists of, and for which platform.

Content comes from registries and archives and is not trusted: every field that is used is checked here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final, Literal

from pytest_pods.engine.errors import InvalidDocumentError, SizeMismatchError
from pytest_pods.engine.oci.descriptor import Descriptor
from pytest_pods.frozen import frozen

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"

MANIFEST_TYPES: Final = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES: Final = (OCI_INDEX, DOCKER_INDEX)
ACCEPTED_TYPES: Final = (OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)

LARGEST_DOCUMENT: Final = 4 * 1024 * 1024
"""Bytes that a manifest, index or config may have, as registries limit them."""

MOST_LAYERS: Final = 500
MOST_MANIFESTS: Final = 10_000

Compression = Literal["plain", "gzip", "zstd"]

_COMPRESSIONS: Final[Mapping[str, Compression]] = {
    OCI_LAYER: "plain",
    f"{OCI_LAYER}+gzip": "gzip",
    f"{OCI_LAYER}+zstd": "zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar": "plain",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": "zstd",
    DOCKER_LAYER: "plain",
    f"{DOCKER_LAYER}.gzip": "gzip",
    f"{DOCKER_LAYER}.zstd": "zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar": "plain",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": "gzip",
}


@frozen
class Manifest:
    """One image: its config and its layers, lowest first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)


@frozen
class Index:
    """Images of one name for several platforms (Docker: manifest list)."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)


def layer_compression(media_type: str) -> Compression:
    """How a layer of this media type is compressed; raises InvalidDocumentError for what is no layer."""
    try:
        return _COMPRESSIONS[media_type]
    except KeyError:
        raise InvalidDocumentError(
            f"the media type {media_type[:120]!r} is not one of an image's layer",
            hint="this is an artifact of another kind, or its layers have a form that is not supported",
        ) from None


def parse_manifest(content: bytes, *, media_type: str | None, where: str) -> Manifest | Index:
    """Reads a manifest or index.

    `media_type` is what the transport or the descriptor says, None where nothing does; `where` names the image in
    messages. Raises InvalidDocumentError, and SizeMismatchError above the limit.
    """
    document = parse_document(content, where=f"the manifest of {where}")
    kind = _choose_type(document, said=media_type, where=where)
    # One content that two clients could read as different images must not be accepted as either.
    mixed = {"manifests"} if kind in MANIFEST_TYPES else {"config", "layers", "fsLayers"}
    if found := sorted(mixed & set(document)):
        raise InvalidDocumentError(f"the manifest of {where} is a {kind} but has {found[0]!r}")
    annotations = _parse_annotations(document.get("annotations"), where=where)
    if kind in INDEX_TYPES:
        return Index(kind, _descriptors(document, "manifests", most=MOST_MANIFESTS, where=where), annotations)
    config = Descriptor.from_document(document.get("config"), where=f"the config in the manifest of {where}")
    if config.size > LARGEST_DOCUMENT:
        raise SizeMismatchError(f"the config of {where} has {config.size} bytes; {LARGEST_DOCUMENT} are the most")
    return Manifest(kind, config, _descriptors(document, "layers", most=MOST_LAYERS, where=where), annotations)


def parse_document(content: bytes, *, where: str) -> Mapping[str, Any]:
    """Reads a JSON object of limited size; `where` is the subject in messages ("the manifest of redis:7")."""
    if len(content) > LARGEST_DOCUMENT:
        raise SizeMismatchError(f"{where} has {len(content)} bytes; {LARGEST_DOCUMENT} are the most")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidDocumentError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise InvalidDocumentError(f"{where} is not a JSON object")
    return document


def build_manifest_document(manifest: Manifest) -> bytes:
    """The manifest as JSON, the same bytes for the same value."""
    return _dump(
        manifest.media_type,
        {"config": manifest.config.to_document(), "layers": [layer.to_document() for layer in manifest.layers]},
        manifest.annotations,
    )


def build_index_document(index: Index) -> bytes:
    """The index as JSON, the same bytes for the same value."""
    return _dump(index.media_type, {"manifests": [one.to_document() for one in index.manifests]}, index.annotations)


def _dump(media_type: str, body: Mapping[str, Any], annotations: Mapping[str, str]) -> bytes:
    document = {"schemaVersion": 2, "mediaType": media_type, **body}
    if annotations:
        document["annotations"] = dict(annotations)
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _choose_type(document: Mapping[str, Any], *, said: str | None, where: str) -> str:
    if document.get("schemaVersion") == 1:
        raise InvalidDocumentError(
            f"the manifest of {where} is of Docker's schema 1, which is not supported",
            hint="push the image again with a current tool",
        )
    if document.get("schemaVersion") != 2:
        raise InvalidDocumentError(f"the manifest of {where} has the schemaVersion {document.get('schemaVersion')!r}")
    inside = document.get("mediaType")
    if inside is not None and not isinstance(inside, str):
        raise InvalidDocumentError(f"the manifest of {where} has a mediaType that is not a text")
    known = {*MANIFEST_TYPES, *INDEX_TYPES}
    if said not in known:
        # Static file servers, and some registries, send JSON's or no type at all.
        said = None
    if inside and said and inside != said:
        raise InvalidDocumentError(f"the manifest of {where} was announced as {said} but says that it is {inside}")
    kind = inside or said or (OCI_INDEX if "manifests" in document else OCI_MANIFEST)
    if kind not in known:
        raise InvalidDocumentError(f"the manifest of {where} has the media type {kind[:120]!r}, which is no image's")
    return kind


def _parse_annotations(value: object, *, where: str) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidDocumentError(f"the manifest of {where} has annotations that are not an object")
    return {str(key): str(text) for key, text in value.items()}


def _descriptors(document: Mapping[str, Any], key: str, *, most: int, where: str) -> tuple[Descriptor, ...]:
    items: object = document.get(key)
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise InvalidDocumentError(f"the manifest of {where} has no list {key!r}")
    if len(items) > most:
        raise InvalidDocumentError(f"the manifest of {where} has {len(items)} {key}; {most} are the most")
    return tuple(
        Descriptor.from_document(item, where=f"{key}[{number}] in the manifest of {where}")
        for number, item in enumerate(items)
    )
