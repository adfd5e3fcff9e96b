"""Layers: each unpacked once, under its chain ID, whole or not at all.

A layer directory appears by one rename with `complete` already in it. `complete` names the machine's uptime: nothing is
synced while an image is pulled, since that costs more than unpacking; instead a layer of an earlier uptime, of which it
is not known that all of it reached the disk, is compared with its list of entries when it is first used. A power cut
can therefore cost a comparison or a second unpacking, and never lets a damaged layer be used.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import DigestMismatchError, ImageNotFoundError
from pytest_pods.engine.events import NoProgress, Progress
from pytest_pods.engine.host.syncing import sync_file_system
from pytest_pods.engine.state import locks
from pytest_pods.engine.state.atomic import find_bytes, storage_errors, write_atomically
from pytest_pods.engine.state.layout import LayerLayout, StagingLayout, StoreLayout
from pytest_pods.engine.state.records import find_document, write_document
from pytest_pods.engine.storage.blobs import BlobStore
from pytest_pods.engine.storage.child import run_child
from pytest_pods.engine.storage.ingest import Unpacked, unpack
from pytest_pods.engine.storage.limits import LayerLimits
from pytest_pods.engine.storage.staging import staged, sweep_staging

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_pods.engine.host.process import Launcher
    from pytest_pods.engine.oci.descriptor import Descriptor
    from pytest_pods.engine.oci.digest import Digest
    from pytest_pods.engine.storage.trees import LauncherSource

_OPAQUE_ROOT = "opaque-root"
_WRITTEN_BACK_S = 60


class LayerStore:
    """The layers of one store. Thread-safe; other processes may do the same at the same time.

    `launcher` gives what starts the unpacking child: the session's sandbox, or a direct launcher for root.
    """

    def __init__(
        self,
        layout: StoreLayout,
        *,
        launcher: LauncherSource,
        limits: LayerLimits = LayerLimits(),  # noqa: B008 - frozen
        rootless: bool | None = None,
    ) -> None:
        self._layout = layout
        self._launcher = launcher
        self._limits = limits
        self._rootless = os.geteuid() != 0 if rootless is None else rootless
        self._blobs = BlobStore(layout)
        self._uptime = _find_uptime()
        # A layer is what its chain ID says, whenever it is here.
        self._sizes: dict[Digest, int] = {}
        self._sweep_once = threading.Lock()
        self._swept = False

    # -- asking

    def has(self, chain_id: Digest) -> bool:
        """True if the layer is here and whole. Compares it with its list if a power cut may have hurt it."""
        return self._has(chain_id, self._find_marks(self._layout.layer(chain_id)))

    def _has(self, chain_id: Digest, marks: Sequence[str]) -> bool:
        whole = self._is_whole(self._layout.layer(chain_id), marks)
        if whole is not None:
            return whole
        with locks.exclusive(self._layout.layer_lock(chain_id)):
            return self._has_survived(chain_id)

    def missing(self, chain_ids: Sequence[Digest]) -> tuple[Digest, ...]:
        """Those that `has` denies."""
        return tuple(chain_id for chain_id in chain_ids if not self.has(chain_id))

    def diff_dirs(self, chain_ids: Sequence[Digest]) -> tuple[Path, ...]:
        """The directories of an image's layers, lowest first. Raises ImageNotFoundError if one is not here.

        The caller holds `images_lock` shared until they are mounted.
        """
        directories: list[Path] = []
        for chain_id in chain_ids:
            layer = self._layout.layer(chain_id)
            marks = self._find_marks(layer)
            if not self._has(chain_id, marks):
                raise ImageNotFoundError(f"layer {chain_id.short} is not in the store", hint="pull the image again")
            if _OPAQUE_ROOT in marks[1:]:
                directories.clear()
            directories.append(layer.diff_dir)
        # overlayfs wants at least one.
        return tuple(directories) or (self._layout.empty_dir,)

    def size(self, chain_id: Digest) -> int:
        """Bytes of the uncompressed layer; 0 if it is not here."""
        if chain_id not in self._sizes:
            document = find_document(self._layout.layer(chain_id).record_file)
            if document is None:
                return 0
            self._sizes[chain_id] = document.get("size", int)
        return self._sizes[chain_id]

    def list(self) -> Iterator[str]:
        """The hex digits of every chain ID that has a directory."""
        with storage_errors(f"listing {self._layout.layers_dir}"):
            names = os.listdir(self._layout.layers_dir)
        yield from sorted(names)

    # -- changing

    def ingest(
        self,
        chunks: Iterable[bytes],
        *,
        descriptor: Descriptor,
        diff_id: Digest,
        chain_id: Digest,
        launcher: Launcher | None = None,
        progress: Progress = NoProgress(),  # noqa: B008 - stateless
        keep_blob: bool = True,
    ) -> bool:
        """Unpacks a layer from its compressed bytes, and keeps these as a blob; False if the layer was here already.

        `chunks` is not touched before it is certain that nobody else has or makes the layer. Raises ContentError,
        DiskFullError, StorageError and what `chunks` raises; then nothing stays.
        """
        self._sweep()
        with locks.exclusive(self._layout.layer_lock(chain_id)):
            if self._has_survived(chain_id):
                return False
            doing = f"unpacking layer {descriptor.digest.short} into {self._layout.root}"
            with staged(self._layout, self._launcher) as place, storage_errors(doing):
                place.layer.diff_dir.mkdir(parents=True, mode=0o755)
                keep_blob = keep_blob and not self._blobs.has(descriptor.digest)
                unpacked = unpack(
                    chunks,
                    descriptor=descriptor,
                    root=place.layer.diff_dir,
                    entries=place.layer.entries_file,
                    blob=place.blob_file if keep_blob else None,
                    launcher=launcher or self._launcher(),
                    rootless=self._rootless,
                    limits=self._limits,
                )
                _check_diff_id(unpacked, descriptor=descriptor, diff_id=diff_id)
                self._publish(place, unpacked, descriptor=descriptor, chain_id=chain_id, with_blob=keep_blob)
            for note in unpacked.notes:
                progress.message(f"layer {descriptor.digest.short}: {note}")
            return True

    def remove(self, chain_id: Digest) -> None:
        """Removes a layer. The caller holds `images_lock` exclusively, or the layer's own lock, and knows it unused."""
        layer = self._layout.layer(chain_id)
        with storage_errors(f"removing layer {chain_id.short}"):
            layer.complete_file.unlink(missing_ok=True)
            with staged(self._layout, self._launcher) as place:
                try:
                    os.rename(layer.directory, place.layer.directory)
                except FileNotFoundError:
                    return

    def settle(self) -> None:
        """Makes sure that the layers of this uptime are on the disk. Quick: only what has been written back by itself
        meanwhile is looked at, so that the sync has nothing left to do."""
        fresh = [layer for layer in map(self._layer_of, self.list()) if self._is_settled_by_now(layer)]
        if not fresh:
            return
        with storage_errors(f"syncing {self._layout.layers_dir}"):
            sync_file_system(self._layout.layers_dir)
            for layer in fresh:
                # A layer that is being removed has no place for it any more.
                if layer.directory.is_dir():
                    layer.durable_file.touch(mode=0o600)

    def find_damage(self, chain_id: Digest) -> str | None:
        """Compares a complete layer with its list of entries, content included; the first difference, for people."""
        return self._compare(self._layout.layer(chain_id), f"checking layer {chain_id.short}")

    def sweep_staging(self) -> int:
        """Removes what killed processes left half-made; returns of how many."""
        return sweep_staging(self._layout, self._launcher)

    # -- within

    def _layer_of(self, name: str) -> LayerLayout:
        return LayerLayout(self._layout.layers_dir / name)

    def _find_marks(self, layer: LayerLayout) -> Sequence[str]:
        """The uptime in which it was written, and what else is to be known of it; nothing of one that is not here."""
        with storage_errors(f"reading {layer.complete_file}"):
            content = find_bytes(layer.complete_file)
        return () if content is None else content.decode("ascii", "replace").split("\n")

    def _is_settled_by_now(self, layer: LayerLayout) -> bool:
        try:
            age_s = time.time() - layer.complete_file.stat().st_mtime
        except FileNotFoundError:
            return False
        return (
            age_s > _WRITTEN_BACK_S
            and self._uptime in self._find_marks(layer)[:1]
            and not layer.durable_file.exists()
        )

    def _is_whole(self, layer: LayerLayout, marks: Sequence[str]) -> bool | None:
        """None if only a comparison can tell."""
        if not marks:
            return False
        return True if marks[0] == self._uptime or layer.durable_file.exists() else None

    def _has_survived(self, chain_id: Digest) -> bool:
        """As `has`; the caller holds the layer's lock, so that nobody renews what is being looked at."""
        layer = self._layout.layer(chain_id)
        whole = self._is_whole(layer, self._find_marks(layer))
        if whole is not None:
            return whole
        difference = self._compare(layer, f"checking layer {chain_id.short} after a restart of the machine")
        if difference is None:
            layer.durable_file.touch(mode=0o600)
            return True
        self.remove(chain_id)
        return False

    def _compare(self, layer: LayerLayout, doing: str) -> str | None:
        arguments = ["verify", str(layer.diff_dir), str(layer.entries_file)]
        return run_child(self._launcher(), arguments, doing=doing).find("different")

    def _sweep(self) -> None:
        """Once a process: left-overs are looked for when something new is about to need the space."""
        with self._sweep_once:
            if not self._swept:
                self._swept = True
                self.sweep_staging()
                self.settle()

    def _publish(
        self, place: StagingLayout, unpacked: Unpacked, *, descriptor: Descriptor, chain_id: Digest, with_blob: bool
    ) -> None:
        layer = place.layer
        write_document(
            layer.record_file,
            {
                "diffId": str(unpacked.diff_id),
                "chainId": str(chain_id),
                "blob": str(descriptor.digest),
                "size": unpacked.size,
                "entries": unpacked.entries,
            },
        )
        marks = [self._uptime, *([_OPAQUE_ROOT] if unpacked.opaque_root else [])]
        write_atomically(layer.complete_file, "".join(f"{mark}\n" for mark in marks).encode())
        # The blob first: without its layer it is only a file that the next pull can use.
        if with_blob:
            self._blobs.adopt(place.blob_file, descriptor.digest)
        target = self._layout.layer(chain_id).directory
        if target.exists():
            # What a killed removal left: it has lost its mark.
            self.remove(chain_id)
        os.rename(layer.directory, target)


def _check_diff_id(unpacked: Unpacked, *, descriptor: Descriptor, diff_id: Digest) -> None:
    if unpacked.diff_id != diff_id:
        raise DigestMismatchError(
            f"layer {descriptor.digest.short} unpacks to {unpacked.diff_id}, not to {diff_id} as the image config says",
            hint="the image is damaged or was made wrongly",
        )


def _find_uptime() -> str:
    """The kernel's name for this uptime of the machine."""
    with storage_errors("reading the boot ID"):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
