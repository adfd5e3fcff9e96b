"""The images that are measured with: busybox, and a large one for pulls."""

from __future__ import annotations

import random

from tests.support.images import BuiltImage, ImageBuilder, busybox_image

LAYERS = 5
FILES = 10_000
SIZE = 150_000_000


def small_image() -> BuiltImage:
    """busybox: starts at once and has a web server."""
    return busybox_image()


def large_image() -> BuiltImage:
    """Five layers, 150 MB, 10,000 files: sizes as in a distribution's tree (most small, a few large), half of each
    file compressible."""
    source = random.Random(1)
    builder = ImageBuilder()
    files_per_layer = FILES // LAYERS
    for number in range(LAYERS):
        weights = [source.paretovariate(0.9) for _ in range(files_per_layer)]
        scale = SIZE / LAYERS / sum(weights)
        files: dict[str, bytes] = {}
        for index, weight in enumerate(weights):
            size = int(weight * scale)
            noise = source.randbytes(size // 2)
            files[f"layer{number}/{index % 100:02}/file{index}"] = noise + noise[:1] * (size - len(noise))
        directories = {f"layer{number}/": b"", **{f"layer{number}/{index:02}/": b"" for index in range(100)}}
        builder = builder.layer({**directories, **files}, level=1)
    return builder.config(Cmd=["true"]).build()
