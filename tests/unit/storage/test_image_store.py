"""Image records."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pytest_pods.engine.errors import PodsError
from pytest_pods.engine.oci.descriptor import Descriptor
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.oci.manifest import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from pytest_pods.engine.state.layout import StoreLayout
from pytest_pods.engine.state.store import ensure_store
from pytest_pods.engine.storage.images import ImageRecord, ImageStore


def describe(media_type: str, content: str) -> Descriptor:
    return Descriptor(media_type, Digest.of_bytes(content.encode()), len(content))


def record(reference: str | None, config: str = "config") -> ImageRecord:
    manifest = describe(OCI_MANIFEST, f"manifest of {config}")
    return ImageRecord(reference, manifest, describe(OCI_CONFIG, config), (describe(OCI_LAYER, "l"),), 12.5)


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    layout = StoreLayout.below(tmp_path)
    ensure_store(layout)
    return layout


@pytest.fixture
def images(layout: StoreLayout) -> ImageStore:
    return ImageStore(layout)


def test_a_record_comes_back(images: ImageStore) -> None:
    images.put(record("example.org/a:1"))
    assert images.find("example.org/a:1") == record("example.org/a:1")
    assert images.find("example.org/a:2") is None


def test_records_are_listed_in_the_order_of_their_names(images: ImageStore) -> None:
    for name in ("b/b:1", "a/a:1", None):
        images.put(record(name, config=f"config {name}"))
    assert [one.reference for one in images.list()] == ["a/a:1", "b/b:1", None]


def test_what_another_process_changes_is_seen_at_once(layout: StoreLayout, images: ImageStore) -> None:
    other = ImageStore(layout)
    for number in range(50):
        # Also within one tick of the clock that dates the directory.
        other.put(record("example.org/a:1", config=f"config {number}"))
        assert images.find("example.org/a:1") == record("example.org/a:1", config=f"config {number}")
    found = images.find("example.org/a:1")
    assert found is not None
    other.remove([found])
    assert images.find("example.org/a:1") is None


def test_listing_of_long_ago_is_read_again_after_a_change(layout: StoreLayout, images: ImageStore) -> None:
    images.put(record("example.org/a:1"))
    os.utime(layout.images_dir, (1_000_000_000, 1_000_000_000))
    assert [one.reference for one in images.list()] == ["example.org/a:1"]
    ImageStore(layout).put(record("example.org/b:1", config="other"))
    assert [one.reference for one in images.list()] == ["example.org/a:1", "example.org/b:1"]


def test_ids_and_digests_are_found(images: ImageStore) -> None:
    one = record("example.org:5000/a:1")
    images.put(one)
    for text in (one.image_id.hex[:4], str(one.image_id), one.manifest.digest.hex):
        assert images.find_by_id(text) == (one,)
    assert images.find_by_id("not-hex") == ()
    assert images.find_by_digest("example.org:5000/a", one.manifest.digest) == one
    assert images.find_by_digest("example.org:5000/b", one.manifest.digest) is None


def test_the_last_name_of_an_image_that_moves_leaves_it_nameless(images: ImageStore) -> None:
    images.put(record("a/a:1", config="old"))
    images.put(record("a/a:1", config="new"))
    assert {(one.reference, one.image_id) for one in images.list()} == {
        ("a/a:1", record(None, config="new").image_id),
        (None, record(None, config="old").image_id),
    }


def test_a_name_that_moves_while_another_stays_leaves_nothing_nameless(images: ImageStore) -> None:
    images.put(record("a/a:1", config="old"))
    images.put(record("a/a:2", config="old"))
    images.put(record("a/a:1", config="new"))
    assert [one.reference for one in images.list()] == ["a/a:1", "a/a:2"]


def test_a_nameless_image_gets_a_name(images: ImageStore) -> None:
    images.put(record(None))
    images.put(record("a/a:1"))
    assert [one.reference for one in images.list()] == ["a/a:1"]


def test_other_tools_find_the_images_in_the_index(images: ImageStore, layout: StoreLayout) -> None:
    images.put(record("a/a:1"))
    (entry,) = json.loads(layout.index_file.read_bytes())["manifests"]
    assert entry["digest"] == str(record(None).manifest.digest)
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "a/a:1"}
    images.remove([record("a/a:1")])
    assert json.loads(layout.index_file.read_bytes())["manifests"] == []


def test_a_damaged_record_is_named(images: ImageStore, layout: StoreLayout) -> None:
    images.put(record("a/a:1"))
    path = layout.image_record(record("a/a:1").key)
    path.write_text('{"reference": "a/a:1", "manifest": {}, "config": {}, "layers": [], "pulled": 1.0}')
    with pytest.raises(PodsError, match=path.name):
        images.list()
