"""Removes what no image needs any more: layers and blobs that no record leads to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ContentError, NotFoundError
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.state import locks
from pytest_pods.engine.storage.blobs import BlobStore
from pytest_pods.engine.storage.images import ImageStore
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_pods.engine.state.layout import StoreLayout
    from pytest_pods.engine.storage.layers import LayerStore


@frozen
class Collected:
    """What went."""

    layers: int
    blobs: int
    bytes: int


def collect(layout: StoreLayout, layers: LayerStore, *, used_layers: Collection[str]) -> Collected:
    """Removes layers that neither an image nor one of `used_layers` (hex digits of chain IDs) needs, and blobs alike.

    The caller holds `images_lock` exclusively. While something is being added nothing is removed, since its record
    comes last; the next removal finds what stays.
    """
    lock = locks.hold(layout.content_lock)
    if lock is None:
        return Collected(0, 0, 0)
    try:
        return _collect(layout, layers, used_layers)
    finally:
        os.close(lock)


def _collect(layout: StoreLayout, layers: LayerStore, used_layers: Collection[str]) -> Collected:
    images, blobs = ImageStore(layout), BlobStore(layout)
    wanted_layers, wanted_blobs = set(used_layers), set()
    for record in images.list():
        wanted_blobs |= {record.manifest.digest, record.config.digest, *(layer.digest for layer in record.layers)}
        try:
            wanted_layers |= {chain_id.hex for chain_id in images.config(record).chain_ids}
        except (NotFoundError, ContentError):
            # A record whose config is lost cannot be run; it keeps its blobs so that a pull can mend it.
            continue
    freed = removed_layers = removed_blobs = 0
    for name in layers.list():
        if name not in wanted_layers:
            layers.remove(Digest("sha256" if len(name) == 64 else "sha512", name))
            removed_layers += 1
    for digest in list(blobs.list()):
        if digest not in wanted_blobs:
            freed += blobs.size(digest) or 0
            blobs.remove(digest)
            removed_blobs += 1
    return Collected(removed_layers, removed_blobs, freed)
