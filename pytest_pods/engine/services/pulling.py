"""Brings an image from its registry into the store: reference → index → platform → manifest → config → layers.

Whatever is here already is not fetched. A record is written last, so that an image is in the store wholly or not at
all; of several processes that want the same image one fetches it and the others wait.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from pytest_pods.engine.errors import (
    ContentError,
    DigestMismatchError,
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
from pytest_pods.engine.services.parallel import run_together
from pytest_pods.engine.specs.container import PullPolicy
from pytest_pods.engine.state import locks
from pytest_pods.engine.storage.blobs import BlobStore
from pytest_pods.engine.storage.images import ImageRecord, ImageStore
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_pods.engine.events import Progress
    from pytest_pods.engine.oci.descriptor import Platform
    from pytest_pods.engine.oci.digest import Digest
    from pytest_pods.engine.oci.reference import Reference
    from pytest_pods.engine.registry.blob_stream import BlobStream
    from pytest_pods.engine.registry.client import RegistryClient
    from pytest_pods.engine.state.layout import StoreLayout
    from pytest_pods.engine.storage.layers import LayerStore
    from pytest_pods.engine.storage.trees import LauncherSource

MOST_AT_ONCE: Final = 4
_DEEPEST_INDEX: Final = 3
_PRESENT: Final = "already there"


@frozen
class PulledImage:
    """`fetched` is False if all layers were in the store before."""

    record: ImageRecord
    fetched: bool


@frozen
class _Resolved:
    """The manifest that a reference means for a platform."""

    descriptor: Descriptor
    manifest: Manifest
    content: bytes


@frozen
class _Layer:
    descriptor: Descriptor
    diff_id: Digest
    chain_id: Digest

    @property
    def key(self) -> str:
        """What progress is told under."""
        return str(self.descriptor.digest)

    @property
    def title(self) -> str:
        return f"layer {self.descriptor.digest.short}"


class _Downloads:
    """The streams of one pull, so that all can be ended when one has failed."""

    def __init__(self, given_up: threading.Event) -> None:
        self.given_up = given_up
        self._lock = threading.Lock()
        self._streams: set[BlobStream] = set()

    @contextmanager
    def watch(self, stream: BlobStream) -> Iterator[None]:
        """Ends the stream with the block, or when all is given up."""
        with self._lock:
            self._streams.add(stream)
        try:
            yield
        finally:
            with self._lock:
                self._streams.discard(stream)
            stream.close()

    def give_up(self) -> None:
        self.given_up.set()
        with self._lock:
            for stream in self._streams:
                stream.abort()


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
        given_up: threading.Event | None = None,
    ) -> PulledImage:
        """Afterwards the store has the image for `platform` (None: this machine's). Once it is `given_up`, by another
        thread, nothing more is asked for, and what is on its way ends with its next bytes.

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
            return self._pull(reference, platform=platform, progress=progress, given_up=given_up or threading.Event())
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

    def _pull(
        self, reference: Reference, *, platform: Platform | None, progress: Progress, given_up: threading.Event
    ) -> PulledImage:
        # Shared: a removal at the same time must not take what no record leads to yet.
        with locks.shared(self._layout.content_lock):
            pull = _Pull(
                self._client(), reference, self._layout, self._blobs, self._layers, self._launcher, progress, given_up
            )
            pulled = pull.run(platform)
            with locks.exclusive(self._layout.images_lock):
                self._images.put(pulled.record)
        return pulled


@frozen
class _Pull:
    """One pull: what its steps share."""

    client: RegistryClient
    reference: Reference
    store: StoreLayout
    blobs: BlobStore
    layers: LayerStore
    launcher: LauncherSource
    progress: Progress
    given_up: threading.Event

    @property
    def where(self) -> str:
        return self.reference.familiar()

    def run(self, platform: Platform | None) -> PulledImage:
        resolved = self.resolve(platform or host_platform())
        with locks.exclusive(self.store.pull_lock(resolved.descriptor.digest)):
            config_content = self.fetch_config(resolved.manifest.config)
            config = ImageConfig.from_bytes(config_content, where=self.where)
            _check_platform(config, platform, where=self.where, progress=self.progress)
            fetched = self.fetch_layers(build_layers(resolved.manifest, config, where=self.where))
            self.blobs.put(config_content, resolved.manifest.config.digest)
            self.blobs.put(resolved.content, resolved.descriptor.digest)
        record = ImageRecord(
            record_name(self.reference),
            resolved.descriptor,
            resolved.manifest.config,
            resolved.manifest.layers,
            time.time(),
        )
        return PulledImage(record, fetched)

    def resolve(self, platform: Platform) -> _Resolved:
        fetched = self.client.get_manifest(self.reference, cancelled=self.given_up)
        content, digest = fetched.content, fetched.digest
        document = parse_manifest(content, media_type=fetched.media_type, where=self.where)
        for _ in range(_DEEPEST_INDEX):
            if isinstance(document, Manifest):
                return _Resolved(Descriptor(document.media_type, digest, len(content)), document, content)
            entry = get_for_platform(document, platform, where=self.where)
            content, digest = self.fetch_manifest(entry), entry.digest
            document = parse_manifest(content, media_type=entry.media_type, where=self.where)
        raise InvalidDocumentError(f"the index of {self.where} leads to indexes more than {_DEEPEST_INDEX} deep")

    def fetch_manifest(self, entry: Descriptor) -> bytes:
        if (content := self.find_stored(entry)) is None:
            pinned = self.reference.with_digest(entry.digest)
            content = self.client.get_manifest(pinned, cancelled=self.given_up).content
        if len(content) != entry.size:
            raise SizeMismatchError(
                f"the manifest {entry.digest} of {self.where} has {len(content)} bytes; its index promises {entry.size}"
            )
        return content

    def fetch_config(self, descriptor: Descriptor) -> bytes:
        stored = self.find_stored(descriptor)
        if stored is not None:
            return stored
        return self.client.get_document(self.reference, descriptor, cancelled=self.given_up)

    def find_stored(self, descriptor: Descriptor) -> bytes | None:
        """A document that is in the store; what is damaged there counts as missing."""
        try:
            return self.blobs.read(descriptor.digest)
        except (NotFoundError, ContentError):
            return None

    def fetch_layers(self, layers: tuple[_Layer, ...]) -> bool:
        """Ingests what is missing, several at once; True if anything was. The first fault ends all and is raised."""
        missing = []
        for layer in layers:
            if self.layers.has(layer.chain_id):
                self.progress.started(layer.key, layer.descriptor.size, layer.title)
                self.progress.finished(layer.key, _PRESENT)
            else:
                missing.append(layer)
        if not missing:
            return False
        # Asked for here, in the caller's thread: it may start the session's sandbox.
        self.launcher()
        downloads = _Downloads(self.given_up)
        run_together(
            [partial(self.fetch_layer, layer, downloads) for layer in missing],
            most=MOST_AT_ONCE,
            give_up=downloads.give_up,
        )
        return True

    def fetch_layer(self, layer: _Layer, downloads: _Downloads) -> None:
        self.progress.started(layer.key, layer.descriptor.size, layer.title)
        fresh = self.restore_layer(layer, downloads)
        if not fresh:
            stream = self.client.open_blob(self.reference, layer.descriptor, cancelled=downloads.given_up)
            with downloads.watch(stream):
                fresh = self.ingest(stream, layer, downloads)
        self.progress.finished(layer.key, "" if fresh else _PRESENT)

    def restore_layer(self, layer: _Layer, downloads: _Downloads) -> bool:
        """Unpacks the layer from its blob where only that is in the store; False if this cannot be done."""
        if not self.blobs.has(layer.descriptor.digest):
            return False
        try:
            return self.ingest(self.blobs.chunks(layer.descriptor.digest), layer, downloads)
        except (DigestMismatchError, SizeMismatchError):
            self.blobs.remove(layer.descriptor.digest)
            return False

    def ingest(self, chunks: Iterable[bytes], layer: _Layer, downloads: _Downloads) -> bool:
        return self.layers.ingest(
            _counted(chunks, layer, downloads, self.progress),
            descriptor=layer.descriptor,
            diff_id=layer.diff_id,
            chain_id=layer.chain_id,
            progress=self.progress,
        )


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


def _counted(chunks: Iterable[bytes], layer: _Layer, downloads: _Downloads, progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        if downloads.given_up.is_set():
            raise RegistryError(f"the pull of layer {layer.descriptor.digest.short} was given up")
        yield chunk
        progress.advanced(layer.key, len(chunk))


def _for(platform: Platform | None) -> str:
    return "" if platform is None else f" for {platform}"
