"""Brings an image from its registry into the store: reference → index → platform → manifest → config → layers.

Whatever is here already is not fetched. A record is written last, so that an image is in the store wholly or not at
all; of several processes that want the same image one fetches it and the others wait.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_pods.engine.errors import (
    ContentError,
    ImageNotFoundError,
    InvalidDocumentError,
    NotFoundError,
    RegistryError,
    SizeMismatchError,
)
from pytest_pods.engine.events import NoProgress
from pytest_pods.engine.oci.descriptor import Descriptor
from pytest_pods.engine.oci.image_config import ImageConfig
from pytest_pods.engine.oci.manifest import Manifest, layer_compression, parse_manifest
from pytest_pods.engine.oci.platforms import get_for_platform, host_platform, platform_suits
from pytest_pods.engine.specs import PullPolicy
from pytest_pods.engine.state import locks
from pytest_pods.engine.storage.blobs import BlobStore
from pytest_pods.engine.storage.images import ImageRecord, ImageStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import ThreadPoolExecutor

    from pytest_pods.engine.events import Progress
    from pytest_pods.engine.oci.descriptor import Platform
    from pytest_pods.engine.oci.digest import Digest
    from pytest_pods.engine.oci.reference import Reference
    from pytest_pods.engine.registry.client import RegistryClient
    from pytest_pods.engine.state.layout import StoreLayout
    from pytest_pods.engine.storage.layers import LayerStore
    from pytest_pods.engine.storage.trees import LauncherSource

MOST_AT_ONCE: Final = 4
_DEEPEST_INDEX: Final = 3


@dataclass(frozen=True, slots=True)
class PulledImage:
    """`fetched` is False if all of the image was in the store before."""

    record: ImageRecord
    fetched: bool


@dataclass(frozen=True, slots=True)
class _Resolved:
    """The manifest that a reference means for a platform."""

    descriptor: Descriptor
    manifest: Manifest
    content: bytes


@dataclass(frozen=True, slots=True)
class _Layer:
    descriptor: Descriptor
    diff_id: Digest
    chain_id: Digest


class ImagePuller:
    """Pulls into one store. `client` and `launcher` are asked for only when something has to be fetched."""

    def __init__(
        self,
        layout: StoreLayout,
        layers: LayerStore,
        *,
        client: Callable[[], RegistryClient],
        launcher: LauncherSource,
    ) -> None:
        self._layout = layout
        self._layers = layers
        self._images = ImageStore(layout)
        self._blobs = BlobStore(layout)
        self._client = client
        self._launcher = launcher

    def pull(
        self,
        reference: Reference,
        *,
        policy: PullPolicy = PullPolicy.MISSING,
        platform: Platform | None = None,
        progress: Progress | None = None,
    ) -> PulledImage:
        """Afterwards the store has the image for `platform` (None: this machine's).

        Raises ImageNotFoundError, RegistryError, ContentError and StorageError; then no record was written.
        """
        progress = progress or NoProgress()
        here = None if policy is PullPolicy.ALWAYS else self.find_usable(reference, platform=platform)
        if here is not None and policy is not PullPolicy.NEWER:
            return PulledImage(here, fetched=False)
        if policy is PullPolicy.NEVER:
            raise ImageNotFoundError(
                f"the image {reference.familiar()} is not in the store{_for(platform)}, and the pull policy is 'never'",
                hint=f"pull it first: pytest-pods pull {reference.familiar()}",
            )
        try:
            return self._pull(reference, platform=platform, progress=progress)
        except (RegistryError, ImageNotFoundError) as error:
            if here is None:
                raise
            progress.message(f"{error.brief}; {reference.familiar()} is used as it is in the store")
            return PulledImage(here, fetched=False)

    def find_usable(self, reference: Reference, *, platform: Platform | None = None) -> ImageRecord | None:
        """The image of the store that `reference` means, if it is for `platform` and nothing of it is missing."""
        record = self._images.find(record_name(reference))
        if record is None and reference.digest is not None:
            record = self._images.find_by_digest(reference.name, reference.digest)
        if record is None:
            return None
        try:
            config = self._images.config(record)
        except (NotFoundError, ContentError):
            return None
        if platform is not None and not platform_suits(config.platform, platform):
            return None
        return record if all(self._layers.has(chain_id) for chain_id in config.chain_ids) else None

    def _pull(self, reference: Reference, *, platform: Platform | None, progress: Progress) -> PulledImage:
        where = reference.familiar()
        # Shared: a removal at the same time must not take what no record leads to yet.
        with locks.shared(self._layout.content_lock):
            resolved = self._resolve(reference, platform or host_platform())
            with locks.exclusive(self._layout.pull_lock(resolved.descriptor.digest)):
                config_content = self._document(reference, resolved.manifest.config)
                config = ImageConfig.from_bytes(config_content, where=where)
                _check_platform(config, platform, where=where, progress=progress)
                layers = build_layers(resolved.manifest, config, where=where)
                fetched = self._fetch_layers(reference, layers, progress)
                self._blobs.put(config_content, resolved.manifest.config.digest)
                self._blobs.put(resolved.content, resolved.descriptor.digest)
                record = ImageRecord(
                    record_name(reference),
                    resolved.descriptor,
                    resolved.manifest.config,
                    resolved.manifest.layers,
                    time.time(),
                )
                with locks.exclusive(self._layout.images_lock):
                    self._images.put(record)
        return PulledImage(record, fetched)

    def _resolve(self, reference: Reference, platform: Platform) -> _Resolved:
        where = reference.familiar()
        fetched = self._client().get_manifest(reference)
        content, digest = fetched.content, fetched.digest
        document = parse_manifest(content, media_type=fetched.media_type, where=where)
        for _ in range(_DEEPEST_INDEX):
            if isinstance(document, Manifest):
                return _Resolved(Descriptor(document.media_type, digest, len(content)), document, content)
            entry = get_for_platform(document, platform, where=where)
            content, digest = self._manifest(reference, entry), entry.digest
            document = parse_manifest(content, media_type=entry.media_type, where=where)
        raise InvalidDocumentError(f"the index of {where} leads to another index more than {_DEEPEST_INDEX} times")

    def _manifest(self, reference: Reference, entry: Descriptor) -> bytes:
        if (content := self._stored(entry)) is None:
            content = self._client().get_manifest(reference.with_digest(entry.digest)).content
        if len(content) != entry.size:
            raise SizeMismatchError(
                f"the manifest {entry.digest} of {reference.familiar()} has {len(content)} bytes, not {entry.size}"
            )
        return content

    def _document(self, reference: Reference, descriptor: Descriptor) -> bytes:
        stored = self._stored(descriptor)
        return self._client().get_document(reference, descriptor) if stored is None else stored

    def _stored(self, descriptor: Descriptor) -> bytes | None:
        """A document that is in the store; what is damaged there counts as missing."""
        try:
            return self._blobs.read(descriptor.digest)
        except (NotFoundError, ContentError):
            return None

    def _fetch_layers(self, reference: Reference, layers: tuple[_Layer, ...], progress: Progress) -> bool:
        """Ingests what is missing, several at once; True if anything was. The first fault ends all and is raised."""
        missing = []
        for layer in layers:
            if self._layers.has(layer.chain_id):
                _tell_present(layer, progress)
            else:
                missing.append(layer)
        if not missing:
            return False
        # Imported when there is work for it: most pulls find everything here.
        from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

        # Asked for here, in the caller's thread: it may start the session's sandbox.
        self._launcher()
        cancelled = threading.Event()
        with ThreadPoolExecutor(min(MOST_AT_ONCE, len(missing)), thread_name_prefix="pods-pull") as pool:
            try:
                futures = [pool.submit(self._fetch_layer, reference, one, progress, cancelled) for one in missing]
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                faults = [fault for future in done if (fault := future.exception()) is not None]
            except BaseException:
                _give_up(pool, cancelled)
                raise
            if faults:
                _give_up(pool, cancelled)
                raise faults[0]
        return True

    def _fetch_layer(self, reference: Reference, layer: _Layer, progress: Progress, cancelled: threading.Event) -> None:
        key = str(layer.descriptor.digest)
        if self._blobs.has(layer.descriptor.digest):
            # The layer was lost or removed, its blob was not.
            try:
                self._ingest(self._blobs.chunks(layer.descriptor.digest), layer, progress, cancelled)
                return
            except ContentError:
                self._blobs.remove(layer.descriptor.digest)
        with self._client().open_blob(reference, layer.descriptor, cancelled=cancelled) as stream:
            fresh = self._ingest(stream, layer, progress, cancelled)
        if not fresh:
            progress.finished(key, "already there")

    def _ingest(self, chunks: Iterable[bytes], layer: _Layer, progress: Progress, cancelled: threading.Event) -> bool:
        fresh = self._layers.ingest(
            _counted(chunks, layer, progress, cancelled),
            descriptor=layer.descriptor,
            diff_id=layer.diff_id,
            chain_id=layer.chain_id,
            progress=progress,
        )
        if fresh:
            progress.finished(str(layer.descriptor.digest))
        return fresh


def record_name(reference: Reference) -> str:
    """The text that an image is recorded under: a tag beside a digest says nothing that must stay true."""
    return str(reference if reference.digest is None else reference.with_digest(reference.digest))


def build_layers(manifest: Manifest, config: ImageConfig, *, where: str) -> tuple[_Layer, ...]:
    """The layers, lowest first; raises InvalidDocumentError if manifest and config contradict each other."""
    if len(manifest.layers) != len(config.diff_ids):
        raise InvalidDocumentError(
            f"the manifest of {where} has {len(manifest.layers)} layers and its config {len(config.diff_ids)}",
            hint="the image was made wrongly; push it again with a current tool",
        )
    for descriptor in manifest.layers:
        layer_compression(descriptor.media_type)
    return tuple(map(_Layer, manifest.layers, config.diff_ids, config.chain_ids))


def _check_platform(config: ImageConfig, asked: Platform | None, *, where: str, progress: Progress) -> None:
    wanted = asked or host_platform()
    # Images that tools other than Docker's and Podman's make may leave it empty.
    if not config.platform.architecture or platform_suits(config.platform, wanted):
        return
    if asked is not None:
        raise ImageNotFoundError(f"{where} has no image for {asked}", hint=f"its image is for {config.platform}")
    progress.message(f"{where} is for {config.platform}; this machine is {wanted}")


def _tell_present(layer: _Layer, progress: Progress) -> None:
    key = str(layer.descriptor.digest)
    progress.started(key, layer.descriptor.size, f"layer {layer.descriptor.digest.short}")
    progress.finished(key, "already there")


def _counted(chunks: Iterable[bytes], layer: _Layer, progress: Progress, cancelled: threading.Event) -> Iterator[bytes]:
    key = str(layer.descriptor.digest)
    progress.started(key, layer.descriptor.size, f"layer {layer.descriptor.digest.short}")
    for chunk in chunks:
        if cancelled.is_set():
            raise RegistryError(f"the pull of layer {layer.descriptor.digest.short} was given up")
        yield chunk
        progress.advanced(key, len(chunk))


def _give_up(pool: ThreadPoolExecutor, cancelled: threading.Event) -> None:
    """Ends what runs at its next chunk, and what has not begun at once; leaving the pool's block waits for all."""
    cancelled.set()
    pool.shutdown(wait=False, cancel_futures=True)


def _for(platform: Platform | None) -> str:
    return "" if platform is None else f" for {platform}"
