"""Who uses images at this moment: the containers of live sessions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidDocumentError
from pytest_pods.engine.records import ContainerRecord
from pytest_pods.engine.state.sessions import is_live
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.engine.oci.digest import Digest
    from pytest_pods.engine.state.layout import SessionLayout, StoreLayout


@frozen
class ImageUsers:
    """The containers of all live sessions of a store."""

    records: tuple[ContainerRecord, ...]

    @property
    def layers(self) -> frozenset[str]:
        """Hex digits of the chain IDs that are mounted, or may be."""
        return frozenset(layer.rpartition(":")[2] for record in self.records for layer in record.layers)

    def of(self, image_id: Digest) -> tuple[ContainerRecord, ...]:
        text = str(image_id)
        return tuple(record for record in self.records if text in (record.image_id, *record.mounted_images))


def find_image_users(store: StoreLayout) -> ImageUsers:
    """Reads the records; whoever needs the answer to stay true holds `images_lock` exclusively."""
    return ImageUsers(tuple(_records(store)))


def _records(store: StoreLayout) -> Iterator[ContainerRecord]:
    for session_id in _names(store.sessions_dir):
        session = store.session(session_id)
        if is_live(session):
            yield from read_session_records(session)


def read_session_records(session: SessionLayout) -> Iterator[ContainerRecord]:
    """The records of a session's containers; one that is being made or removed may be missing."""
    for container_id in _names(session.containers_dir):
        path = session.container(container_id).record_file
        try:
            yield ContainerRecord.from_bytes(path.read_bytes(), where=path)
        except (FileNotFoundError, NotADirectoryError, InvalidDocumentError):
            # Being made or being removed; one that is being made waits for our lock before it needs its layers.
            continue


def _names(directory: os.PathLike[str]) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
