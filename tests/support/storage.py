"""A store in a temporary directory, and layers put into it the way a pull does it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_pods.engine.events import NoProgress
from pytest_pods.engine.host.direct import DirectLauncher, DirectProcess
from pytest_pods.engine.state.layout import StoreLayout
from pytest_pods.engine.state.store import ensure_store
from pytest_pods.engine.storage.layers import LayerStore
from pytest_pods.engine.storage.limits import LayerLimits
from tests.support.images import Files, Layer, build_layer


class UserNamespaceLauncher:
    """Starts everything as root of a user namespace that has this one id, as for a user without subordinate ids."""

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        descriptors: Mapping[int, int] | None = None,
    ) -> DirectProcess:
        unshare = ["/usr/bin/unshare", "--user", "--map-root-user", "--"]
        return DirectLauncher().spawn([*unshare, *argv], env=env, cwd=cwd, descriptors=descriptors)


class Messages(NoProgress):
    """Keeps what people are told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


@dataclass(frozen=True)
class Store:
    """A store and its layers; each layer that is put in is the lowest of an image of its own."""

    layout: StoreLayout
    layers: LayerStore
    messages: Messages

    def ingest(self, layer: Layer, chunks: Iterable[bytes] | None = None) -> bool:
        return self.layers.ingest(
            [layer.blob] if chunks is None else chunks,
            descriptor=layer.descriptor,
            diff_id=layer.diff_id,
            chain_id=layer.diff_id,
            progress=self.messages,
        )

    def unpack(self, files: Files | bytes) -> Path:
        """The directory that a layer of `files` is unpacked to."""
        layer = build_layer(files, compression="plain")
        self.ingest(layer)
        return self.layout.layer(layer.diff_id).diff_dir

    def left_overs(self) -> list[str]:
        """Names of what should not be in the store between two operations."""
        return [
            *os.listdir(self.layout.staging_dir),
            *(name for name in os.listdir(self.layout.layers_dir) if not self.layout_of(name)),
        ]

    def layout_of(self, name: str) -> bool:
        return (self.layout.layers_dir / name / "complete").exists()


def open_store(
    directory: Path, *, limits: LayerLimits | None = None, launcher: type | None = None, rootless: bool = False
) -> Store:
    layout = StoreLayout.below(directory)
    ensure_store(layout)
    layers = LayerStore(
        layout, launcher=launcher or DirectLauncher, limits=limits or LayerLimits(), rootless=rootless
    )
    return Store(layout, layers, Messages())
