"""Manifests and indexes are checked before anything in them is used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_pods.engine.errors import ContentError, InvalidDocumentError, SizeMismatchError
from pytest_pods.engine.oci.manifest import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    LARGEST_DOCUMENT,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Index,
    Manifest,
    layer_compression,
    parse_manifest,
)
from tests.support.images import ImageBuilder, Kind, build_index

IMAGE = ImageBuilder().layer({"a": "1"}).layer({"b": "2"}, compression="zstd").build()
CONFIG = {"mediaType": "x", "digest": "sha256:" + "a" * 64, "size": 3}


def document(**changes: Any) -> bytes:
    whole = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [], **changes}
    return json.dumps({key: value for key, value in whole.items() if value is not ...}).encode()


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_manifest_of_either_kind_is_read(kind: Kind) -> None:
    image = ImageBuilder(kind=kind).layer({"a": "1"}).layer({"b": "2"}, compression="plain").build()
    manifest = parse_manifest(image.manifest, media_type=image.media_type, where="x")
    assert isinstance(manifest, Manifest)
    assert manifest.media_type == (OCI_MANIFEST if kind == "oci" else DOCKER_MANIFEST)
    assert manifest.config == image.config_descriptor
    assert manifest.layers == tuple(layer.descriptor for layer in image.layers)
    assert [layer_compression(layer.media_type) for layer in manifest.layers] == ["gzip", "plain"]


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_index_of_either_kind_is_read(kind: Kind) -> None:
    built = build_index([IMAGE], kind=kind)
    index = parse_manifest(built.content, media_type=built.media_type, where="x")
    assert index == Index(OCI_INDEX if kind == "oci" else DOCKER_INDEX, (IMAGE.descriptor,))


@pytest.mark.parametrize("said", [None, "application/json", "text/plain", "application/octet-stream"])
def test_kind_comes_from_the_document_where_the_transport_does_not_tell(said: str | None) -> None:
    assert isinstance(parse_manifest(IMAGE.manifest, media_type=said, where="x"), Manifest)


def test_kind_comes_from_the_shape_where_nothing_tells() -> None:
    index = document(mediaType=..., config=..., layers=..., manifests=[])
    assert isinstance(parse_manifest(index, media_type=None, where="x"), Index)
    assert isinstance(parse_manifest(document(mediaType=...), media_type=None, where="x"), Manifest)


def test_annotations_that_are_null_are_none() -> None:
    manifest = parse_manifest(document(annotations=None), media_type=None, where="x")
    assert manifest.annotations == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(IMAGE.manifest[:-20], "not JSON", id="cut off"),
        pytest.param(b"\xff\xfe\xfa", "not JSON", id="no text"),
        pytest.param(b"[" * 200_000, "not JSON", id="too deep"),
        pytest.param(b"[]", "not a JSON object", id="a list"),
        pytest.param(document(schemaVersion=1), "schema 1", id="schema 1"),
        pytest.param(document(schemaVersion=...), "schemaVersion None", id="no schema"),
        pytest.param(document(mediaType=7), "not a text", id="type is a number"),
        pytest.param(document(mediaType="text/html"), "announced as", id="foreign type"),
        pytest.param(document(mediaType=OCI_INDEX), "announced as", id="type contradicts"),
        pytest.param(document(manifests=[]), "has 'manifests'", id="manifest and index at once"),
        pytest.param(document(config=...), "not an object", id="no config"),
        pytest.param(document(config={**CONFIG, "digest": "sha256:zz"}), "invalid digest", id="bad digest"),
        pytest.param(document(config={**CONFIG, "digest": "sha256:../../x"}), "invalid digest", id="path as digest"),
        pytest.param(document(config={**CONFIG, "size": -1}), "size -1", id="negative size"),
        pytest.param(document(config={**CONFIG, "size": True}), "size True", id="size is a bool"),
        pytest.param(document(config={**CONFIG, "size": "3"}), "size '3'", id="size is a text"),
        pytest.param(document(layers=...), "no list 'layers'", id="no layers"),
        pytest.param(document(layers={}), "no list 'layers'", id="layers are no list"),
        pytest.param(document(layers="abc"), "no list 'layers'", id="layers are a text"),
        pytest.param(document(layers=[None]), "layers[0]", id="layer is null"),
        pytest.param(document(layers=[CONFIG] * 501), "501 layers", id="too many layers"),
        pytest.param(document(annotations=[]), "annotations", id="annotations are a list"),
    ],
)
def test_manifest_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        parse_manifest(content, media_type=OCI_MANIFEST, where="redis:7")
    assert reason in caught.value.brief


def test_index_that_is_a_manifest_as_well_is_refused() -> None:
    content = document(mediaType=OCI_INDEX, manifests=[])
    with pytest.raises(InvalidDocumentError, match="has 'config'"):
        parse_manifest(content, media_type=OCI_INDEX, where="x")


def test_manifest_above_the_limit_is_refused_unread() -> None:
    with pytest.raises(SizeMismatchError, match="bytes"):
        parse_manifest(b"{" + b" " * LARGEST_DOCUMENT + b"}", media_type=None, where="x")


def test_config_above_the_limit_is_refused() -> None:
    with pytest.raises(SizeMismatchError, match="the config of x"):
        parse_manifest(document(config={**CONFIG, "size": LARGEST_DOCUMENT + 1}), media_type=None, where="x")


def test_every_cut_of_a_manifest_is_refused_in_our_terms() -> None:
    for length in range(0, len(IMAGE.manifest), 7):
        with pytest.raises(ContentError):
            parse_manifest(IMAGE.manifest[:length], media_type=None, where="x")


def test_encrypted_layer_is_refused() -> None:
    with pytest.raises(InvalidDocumentError, match="media type"):
        layer_compression(f"{OCI_LAYER}+gzip+encrypted")


def test_artifact_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidDocumentError, match="which is no image's"):
        parse_manifest(document(mediaType="application/vnd.other+json"), media_type=None, where="x")
