"""The images in an archive: docker-archive (`docker save`, old and new) and oci-archive.

Every digest is computed anew or checked; a name in an archive is never a path of ours.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.errors import InvalidDocumentError, InvalidReferenceError
from pytest_pods.engine.oci.descriptor import Descriptor, Platform
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.oci.image_config import ImageConfig
from pytest_pods.engine.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    LARGEST_DOCUMENT,
    MOST_LAYERS,
    Index,
    Manifest,
    build_manifest_document,
    parse_manifest,
)
from pytest_pods.engine.oci.platforms import get_for_platform, host_platform
from pytest_pods.engine.oci.reference import Reference
from pytest_pods.engine.storage.archive_file import ArchiveFile, Section, open_archive
from pytest_pods.engine.storage.blobs import check_digest
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_REFERENCE_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
_MOST_IMAGES = 1000
_MOST_BYTES = 256 * 1024**3
_MOST_NESTING = 4


@frozen
class ArchivedImage:
    """One image: its documents, checked, and where its layers lie, lowest first."""

    references: tuple[Reference, ...]
    manifest: Descriptor
    manifest_bytes: bytes
    config: Descriptor
    config_bytes: bytes
    parsed_config: ImageConfig
    layers: tuple[tuple[Descriptor, Section], ...]


@frozen
class Archive:
    """An open archive and what is in it."""

    file: ArchiveFile
    images: tuple[ArchivedImage, ...]

    def chunks(self, section: Section) -> Iterator[bytes]:
        """A layer's bytes as they are in the archive."""
        return self.file.chunks(section)


@contextmanager
def read_archive(path: Path, *, scratch: Path, platform: Platform | None = None) -> Iterator[Archive]:
    """Opens an archive and reads what it says of itself.

    Of an index with images for several platforms the one for `platform` is taken, by default this machine's. Raises
    NotFoundError, ContentError, ImageNotFoundError, StorageError.
    """
    with open_archive(path, scratch=scratch, most_bytes=_MOST_BYTES) as file:
        if listing := file.find("manifest.json"):
            # New Docker writes both forms; this one has the names.
            images = _read_docker(file, file.read(listing, most=LARGEST_DOCUMENT))
        elif index := file.find("index.json"):
            images = _read_oci(file, file.read(index, most=LARGEST_DOCUMENT), platform or host_platform())
        else:
            raise InvalidDocumentError(
                f"{file.where} is neither a docker-archive nor an oci-archive: no manifest.json, no index.json",
                hint="make it with `docker save`, `podman save` or `skopeo copy`",
            )
        if not images:
            raise InvalidDocumentError(f"{file.where} has no image in it")
        yield Archive(file, images)


# docker-archive


def _read_docker(file: ArchiveFile, content: bytes) -> tuple[ArchivedImage, ...]:
    try:
        items = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidDocumentError(f"manifest.json in {file.where} is not JSON: {error}") from error
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidDocumentError(f"manifest.json in {file.where} is not a list of objects")
    if len(items) > _MOST_IMAGES:
        raise InvalidDocumentError(f"{file.where} has {len(items)} images; {_MOST_IMAGES} are the most")
    known: dict[Section, Descriptor] = {}
    return tuple(_read_docker_image(file, item, known) for item in items)


def _read_docker_image(file: ArchiveFile, item: Mapping[str, Any], known: dict[Section, Descriptor]) -> ArchivedImage:
    (config_name,) = _texts(file, [item.get("Config")], "Config")
    names = _texts(file, item.get("Layers") or [], "Layers")
    tags = _texts(file, item.get("RepoTags") or [], "RepoTags")
    config_bytes = file.read(file.get(config_name), most=LARGEST_DOCUMENT)
    parsed = ImageConfig.from_bytes(config_bytes, where=file.where)
    if len(names) != len(parsed.diff_ids) or len(names) > MOST_LAYERS:
        raise InvalidDocumentError(
            f"{file.where}: an image has {len(names)} layers, its config {len(parsed.diff_ids)}"
        )
    layers = []
    for name in names:
        section = file.get(name)
        if section not in known:
            known[section] = _describe_layer(file, section)
        layers.append((known[section], section))
    config = Descriptor(DOCKER_CONFIG, Digest.of_bytes(config_bytes), len(config_bytes))
    content = build_manifest_document(Manifest(DOCKER_MANIFEST, config, tuple(layer for layer, _ in layers)))
    return ArchivedImage(
        tuple(_parse_reference(file, tag) for tag in tags),
        Descriptor(DOCKER_MANIFEST, Digest.of_bytes(content), len(content), parsed.platform),
        content,
        config,
        config_bytes,
        parsed,
        tuple(layers),
    )


def _describe_layer(file: ArchiveFile, section: Section) -> Descriptor:
    """The archive does not say what its layers' bytes are: it takes one reading to know."""
    start = b""
    digest = hashlib.sha256()
    for chunk in file.chunks(section):
        start = start or chunk[:4]
        digest.update(chunk)
    suffix = ".gzip" if start.startswith(b"\x1f\x8b") else ".zstd" if start == b"\x28\xb5\x2f\xfd" else ""
    return Descriptor(f"{DOCKER_LAYER}{suffix}", Digest("sha256", digest.hexdigest()), section.size)


def _texts(file: ArchiveFile, values: object, key: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidDocumentError(f"manifest.json in {file.where} has no proper {key!r}")
    return values


def _parse_reference(file: ArchiveFile, text: str) -> Reference:
    try:
        return Reference.parse(text)
    except InvalidReferenceError as error:
        raise InvalidDocumentError(f"{file.where} names an image {text[:200]!r}: {error.brief}") from error


# oci-archive


def _read_oci(file: ArchiveFile, content: bytes, platform: Platform) -> tuple[ArchivedImage, ...]:
    index = parse_manifest(content, media_type=None, where=file.where)
    if not isinstance(index, Index):
        raise InvalidDocumentError(f"index.json in {file.where} is not an index")
    if len(index.manifests) > _MOST_IMAGES:
        raise InvalidDocumentError(f"{file.where} has {len(index.manifests)} images; {_MOST_IMAGES} are the most")
    merged: dict[Digest, ArchivedImage] = {}
    for descriptor in index.manifests:
        image = _read_oci_image(file, descriptor, _oci_references(file, descriptor), platform, depth=0)
        before = merged.get(image.manifest.digest)
        if before is not None:
            image = replace(image, references=(*before.references, *image.references))
        merged[image.manifest.digest] = image
    return tuple(merged.values())


def _oci_references(file: ArchiveFile, descriptor: Descriptor) -> tuple[Reference, ...]:
    for key in (_CONTAINERD_NAME, _REFERENCE_NAME):
        text = descriptor.annotations.get(key, "")
        # A tag alone names nothing: it counts within the archive only.
        if ":" in text or "/" in text:
            return (_parse_reference(file, text),)
    return ()


def _read_oci_image(
    file: ArchiveFile, descriptor: Descriptor, references: tuple[Reference, ...], platform: Platform, *, depth: int
) -> ArchivedImage:
    content = _read_blob(file, descriptor)
    manifest = parse_manifest(content, media_type=descriptor.media_type, where=file.where)
    if isinstance(manifest, Index):
        if depth >= _MOST_NESTING:
            raise InvalidDocumentError(f"{file.where} has indexes of indexes of indexes without an end")
        chosen = get_for_platform(manifest, platform, where=file.where)
        return _read_oci_image(file, chosen, references, platform, depth=depth + 1)
    config_bytes = _read_blob(file, manifest.config)
    parsed = ImageConfig.from_bytes(config_bytes, where=file.where)
    if len(manifest.layers) != len(parsed.diff_ids):
        raise InvalidDocumentError(
            f"{file.where}: a manifest has {len(manifest.layers)} layers, its config {len(parsed.diff_ids)}"
        )
    layers = tuple((layer, file.get(_blob_name(layer.digest))) for layer in manifest.layers)
    return ArchivedImage(
        references,
        Descriptor(manifest.media_type, descriptor.digest, len(content), parsed.platform),
        content,
        manifest.config,
        config_bytes,
        parsed,
        layers,
    )


def _read_blob(file: ArchiveFile, descriptor: Descriptor) -> bytes:
    content = file.read(file.get(_blob_name(descriptor.digest)), most=LARGEST_DOCUMENT)
    check_digest(content, descriptor.digest, what=f"a document in {file.where}")
    return content


def _blob_name(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
