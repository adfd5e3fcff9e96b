"""Checks a whole store: every blob against its digest, every layer against the list of what was unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pods.engine.errors import PodsError
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.state.layout import LayerLayout, StoreLayout
from pytest_pods.engine.storage.blobs import BlobStore
from pytest_pods.engine.storage.images import ImageStore

if TYPE_CHECKING:
    from pytest_pods.engine.storage.layers import LayerStore


def find_damage(layout: StoreLayout, layers: LayerStore) -> list[str]:
    """Everything that is wrong, one line each, for people; reads the whole store. Left-overs are not damage."""
    damage: list[str] = []
    blobs, images = BlobStore(layout), ImageStore(layout)
    for digest in blobs.list():
        if reason := blobs.find_damage(digest):
            damage.append(f"blob {digest}: {reason}")
    for name in layers.list():
        # A layer without its mark is not there: a removal was cut short.
        if LayerLayout(layout.layers_dir / name).complete_file.exists():
            chain_id = Digest("sha256" if len(name) == 64 else "sha512", name)
            if reason := layers.find_damage(chain_id):
                damage.append(f"layer {name}: {reason}")
    for record in images.list():
        name = record.reference or record.image_id.short
        try:
            missing = layers.missing(images.config(record).chain_ids)
        except PodsError as error:
            damage.append(f"image {name}: {error.brief}")
            continue
        damage += [f"image {name}: layer {chain_id.hex} is missing" for chain_id in missing]
    return damage
