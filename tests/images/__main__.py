"""`python -m tests.images [NAME…]`: makes the images and says how large they are."""

from __future__ import annotations

import sys

from tests.images.make import make_image
from tests.images.recipes import RECIPES

for name in sys.argv[1:] or RECIPES:
    image = make_image(RECIPES[name], say=print)
    sizes = ", ".join(f"{layer.descriptor.size / 1e6:.1f}" for layer in image.layers)
    print(f"{name}: layers of {sizes} MB")
