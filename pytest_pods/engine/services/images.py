"""Images: brought into the store, found, listed, removed. Knows the order of locks and what a text can mean."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from pytest_pods.engine.errors import (
    ContentError,
    ImageNotFoundError,
    InUseError,
    InvalidReferenceError,
)
from pytest_pods.engine.events import ImageEvent, NoProgress, Progress
from pytest_pods.engine.oci.platforms import parse_platform, platform_suits
from pytest_pods.engine.oci.reference import Reference
from pytest_pods.engine.services.image import Image
from pytest_pods.engine.services.image_users import find_image_users
from pytest_pods.engine.specs.container import PullPolicy
from pytest_pods.engine.state import locks
from pytest_pods.engine.state.store import ensure_store
from pytest_pods.engine.storage.blobs import BlobStore
from pytest_pods.engine.storage.images import ImageRecord, ImageStore
from pytest_pods.engine.storage.layers import LayerStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_pods.engine.events import Event
    from pytest_pods.engine.oci.descriptor import Platform
    from pytest_pods.engine.oci.digest import Digest
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.registry.client import RegistryClient
    from pytest_pods.engine.services.counters import Counters
    from pytest_pods.engine.state.layout import StoreLayout
    from pytest_pods.engine.storage.archives import ArchivedImage
    from pytest_pods.engine.storage.trees import LauncherSource

_ID = re.compile(r"(?:sha256:)?[a-f0-9]{1,64}\Z")
_WHOLE_ID = re.compile(r"sha256:[a-f0-9]+\Z|[a-f0-9]{64}\Z")

_Images: TypeAlias = list[Image]
"""Inside the class `list` is a method."""

__all__ = ["Image", "ImageService"]


class ImageService:
    """The images of one store. Thread-safe. `launcher` is asked only when something has to be unpacked."""

    def __init__(
        self,
        store: StoreLayout,
        *,
        launcher: LauncherSource,
        insecure_registries: Sequence[str] = (),
        progress: Progress | None = None,
        counters: Counters | None = None,
        observe: Callable[[Event], None] | None = None,
        is_hidden: Callable[[ContainerRecord], bool] = lambda _record: False,
    ) -> None:
        """Containers that are `is_hidden` keep their layers, and nobody from removing an image."""
        self._store = store
        self._insecure = tuple(insecure_registries)
        self._progress: Progress = progress or NoProgress()
        self._counters = counters
        self._observe = observe
        self._launcher = launcher
        self._is_hidden = is_hidden
        self._lock = threading.Lock()
        self._client: RegistryClient | None = None
        self._records = ImageStore(store)
        self._blobs = BlobStore(store)
        self._layers = LayerStore(store, launcher=launcher)
        ensure_store(store)

    # -- finding

    def find(self, text: str) -> Image | None:
        """By reference, ID, or the ID's beginning; None if it is not here, or not wholly."""
        records = self._find_records(text)
        if not records or not self._is_whole(records[0]):
            return None
        return self._build(records)

    def find_id(self, text: str) -> Digest | None:
        """Which image `text` means, whether it is wholly here or not; None if it means none."""
        records = self._find_records(text)
        return records[0].image_id if records else None

    def get(self, text: str) -> Image:
        """As `find`. Raises ImageNotFoundError, InvalidReferenceError, InvalidInputError for an ambiguous beginning."""
        image = self.find(text)
        if image is None:
            raise ImageNotFoundError(f"no image {text!r} in the store", hint=f"pull it: pytest-pods pull {text}")
        return image

    def list(self) -> _Images:
        """All images, in the order of their references."""
        groups: dict[str, list[ImageRecord]] = {}
        for record in self._records.list():
            groups.setdefault(record.image_id.hex, []).append(record)
        images = []
        for records in groups.values():
            try:
                images.append(self._build(tuple(records)))
            except (ImageNotFoundError, ContentError):
                # Removed meanwhile, or damaged: then the next pull replaces it.
                continue
        return images

    # -- bringing in

    def ensure(
        self,
        text: str,
        *,
        policy: PullPolicy = PullPolicy.MISSING,
        platform: str | None = None,
        progress: Progress | None = None,
        given_up: threading.Event | None = None,
    ) -> Image:
        """The image that is to be run, pulled first if the policy wants that.

        An ID means what is here. Raises ImageNotFoundError, RegistryError, ContentError, StorageError.
        """
        wanted = None if platform is None else parse_platform(platform)
        image = self._find_suitable(text, wanted)
        if image is not None and (policy in (PullPolicy.MISSING, PullPolicy.NEVER) or self._names_id(text)):
            return image
        if policy is PullPolicy.NEVER or _WHOLE_ID.match(text):
            raise ImageNotFoundError(f"no image {text!r} in the store", hint="pull or load it first")
        from pytest_pods.engine.services.pulling import ImagePuller

        began = time.monotonic()
        puller = ImagePuller(self._store, self._layers, client=self._get_client, launcher=self._launcher)
        # MISSING has been answered above, by a look that also mends what can be mended without a registry.
        pulled = puller.pull(
            Reference.parse(text),
            policy=policy if policy is PullPolicy.NEWER else PullPolicy.ALWAYS,
            platform=wanted,
            progress=progress or self._progress,
            given_up=given_up,
        )
        if pulled.fetched:
            size = sum(layer.size for layer in pulled.record.layers)
            if self._counters is not None:
                self._counters.count_pull(size)
            if self._observe is not None:
                self._observe(ImageEvent(text, time.time(), time.monotonic() - began, size))
        return self._build((pulled.record,))

    def pull(
        self,
        text: str,
        *,
        policy: PullPolicy = PullPolicy.ALWAYS,
        platform: str | None = None,
        progress: Progress | None = None,
        given_up: threading.Event | None = None,
    ) -> Image:
        """As `ensure`, by default also if the image is here."""
        return self.ensure(text, policy=policy, platform=platform, progress=progress, given_up=given_up)

    def load(self, path: Path, *, progress: Progress | None = None) -> _Images:
        """Brings the images of a docker-archive or oci-archive into the store. Raises NotFoundError, ContentError."""
        from pytest_pods.engine.storage.archives import read_archive

        loaded = []
        self._launcher()
        with locks.shared(self._store.content_lock), read_archive(path, scratch=self._store.staging_dir) as archive:
            for image in archive.images:
                for (descriptor, section), diff_id, chain_id in zip(
                    image.layers, image.parsed_config.diff_ids, image.parsed_config.chain_ids, strict=True
                ):
                    self._layers.ingest(
                        archive.chunks(section),
                        descriptor=descriptor,
                        diff_id=diff_id,
                        chain_id=chain_id,
                        progress=progress or self._progress,
                    )
                loaded.append(self._record(image))
        return loaded

    # -- using and removing

    def use(self, *images: Image, record_use: Callable[[], None]) -> None:
        """Calls `record_use`, which writes a container's record, while the images cannot go; then that protects them.

        Raises ImageNotFoundError if one has been removed already.
        """
        with locks.shared(self._store.images_lock):
            for image in images:
                # Raises if a layer is gone.
                _ = image.diff_dirs
            record_use()

    def remove(self, text: str, *, force: bool = False) -> None:
        """Removes a reference, and with the last one the image: its layers and blobs, if no other image needs them.

        By ID, all references go, which needs `force` if there are several. Raises ImageNotFoundError, and InUseError
        for an image of a container; `force` removes the references even then, and the layers stay until it is gone.
        """
        with locks.exclusive(self._store.images_lock):
            records = self._find_records(text)
            if not records:
                raise ImageNotFoundError(f"no image {text!r} in the store", hint="pytest-pods images lists them")
            users = find_image_users(self._store)
            siblings = [one for one in self._records.list() if one.image_id == records[0].image_id]
            doomed = siblings if self._names_id(text) else [records[0]]
            if not force:
                names = tuple(one.name for one in users.of(doomed[0].image_id) if not self._is_hidden(one))
                _check_removal(text, doomed=doomed, last=len(doomed) == len(siblings), users=names)
            self._records.remove(doomed)
            self._collect(users.layers)

    def collect(self) -> None:
        """Removes layers and blobs that no image and no container needs."""
        with locks.exclusive(self._store.images_lock):
            self._collect(find_image_users(self._store).layers)

    def sweep(self) -> int:
        """Removes what killed processes left half-made in the store; returns of how many."""
        return self._layers.sweep_staging()

    def find_damage(self) -> Sequence[str]:
        """Checks every blob and layer of the store, content included; what is wrong, for people."""
        from pytest_pods.engine.storage.verify import find_damage

        return find_damage(self._store, self._layers)

    # -- within

    def _find_records(self, text: str) -> tuple[ImageRecord, ...]:
        """The records of the image that `text` means, the one that it names first."""
        named = None if text.startswith("sha256:") else self._find_named(text)
        if named is None:
            return self._records.find_by_id(text) if self._is_id(text) else ()
        return (named, *(r for r in self._records.list() if r.image_id == named.image_id and r != named))

    def _find_named(self, text: str) -> ImageRecord | None:
        try:
            reference = Reference.parse(text)
        except InvalidReferenceError:
            if self._is_id(text):
                return None
            raise
        if reference.digest is not None:
            pinned = reference.with_digest(reference.digest)
            return self._records.find(str(pinned)) or self._records.find_by_digest(pinned.name, reference.digest)
        return self._records.find(str(reference))

    def _is_id(self, text: str) -> bool:
        return bool(_ID.match(text))

    def _names_id(self, text: str) -> bool:
        return text.startswith("sha256:") or (self._is_id(text) and self._find_named(text) is None)

    def _is_whole(self, record: ImageRecord) -> bool:
        """True if all layers are here; those that only their blobs are left of are unpacked again."""
        try:
            config = self._records.config(record)
        except (ImageNotFoundError, ContentError):
            return False
        if not self._layers.missing(config.chain_ids):
            return True
        with locks.shared(self._store.content_lock):
            return self._restore(record)

    def _restore(self, record: ImageRecord) -> bool:
        config = self._records.config(record)
        for descriptor, diff_id, chain_id in zip(record.layers, config.diff_ids, config.chain_ids, strict=False):
            if self._layers.has(chain_id):
                continue
            if self._blobs.size(descriptor.digest) != descriptor.size:
                return False
            try:
                self._layers.ingest(
                    self._blobs.chunks(descriptor.digest), descriptor=descriptor, diff_id=diff_id, chain_id=chain_id
                )
            except ContentError:
                # The blob is damaged as well: only a registry has it now.
                self._blobs.remove(descriptor.digest)
                return False
        return True

    def _find_suitable(self, text: str, wanted: Platform | None) -> Image | None:
        image = self.find(text)
        if image is not None and wanted is not None and not platform_suits(image.config.platform, wanted):
            return None
        return image

    def _build(self, records: tuple[ImageRecord, ...]) -> Image:
        first = records[0]
        config = self._records.config(first)
        chain_ids = config.chain_ids
        return Image(
            id=first.image_id,
            references=tuple(record.reference for record in records if record.reference is not None),
            config=config,
            size=sum(map(self._layers.size, chain_ids)),
            manifest=first.manifest,
            layers=chain_ids,
            pulled=first.pulled,
            _store=self._layers,
        )

    def _put(self, records: Sequence[ImageRecord]) -> None:
        with locks.exclusive(self._store.images_lock):
            for record in records:
                self._records.put(record)

    def _get_client(self) -> RegistryClient:
        with self._lock:
            if self._client is None:
                from pytest_pods.engine.registry.client import RegistryClient
                from pytest_pods.engine.registry.credentials import user_credentials

                self._client = RegistryClient(credentials=user_credentials(), insecure=self._insecure)
            return self._client

    def _record(self, image: ArchivedImage) -> Image:
        """The documents as blobs, then the references."""
        self._blobs.put(image.manifest_bytes, image.manifest.digest)
        self._blobs.put(image.config_bytes, image.config.digest)
        record = ImageRecord(
            None, image.manifest, image.config, tuple(layer for layer, _ in image.layers), time.time()
        )
        records = [replace(record, reference=str(reference)) for reference in image.references] or [record]
        self._put(records)
        return self._build(tuple(records))

    def _collect(self, used_layers: frozenset[str]) -> None:
        from pytest_pods.engine.storage.collect import collect

        collect(self._store, self._layers, used_layers=used_layers)


def _check_removal(text: str, *, doomed: Sequence[ImageRecord], last: bool, users: Sequence[str]) -> None:
    if len(doomed) > 1:
        names = ", ".join(sorted(record.reference or "" for record in doomed))
        raise InUseError(
            f"image {text!r} has several references: {names}", hint="remove them one by one, or with force"
        )
    if users and last:
        raise InUseError(
            f"image {text!r} is used by the container {users[0]}",
            hint="remove the container first, or the image with force",
        )
