"""The images of the examples: what they are called in the registry, and what each is made of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.images.recipes import POSTGRES, PYTHON, REDIS, Recipe
from tests.support.images import Entry

# `make demo` runs a registry on a free port and says here which.
REGISTRY = os.environ.get("DEMO_REGISTRY", "localhost:5000")

POSTGRES_IMAGE = f"{REGISTRY}/demo/postgres:1"
REDIS_IMAGE = f"{REGISTRY}/demo/redis:1"
SHOP_IMAGE = f"{REGISTRY}/demo/shop:1"


@dataclass(frozen=True, slots=True)
class DemoImage:
    """A name to push to, and a recipe with its start command."""

    reference: str
    recipe: Recipe


def demo_images() -> tuple[DemoImage, ...]:
    """The shop is the Python image with the program of examples/shop in it."""
    program = Path(__file__).parent / "shop" / "service.py"
    shop = PYTHON.with_files({"app/service.py": Entry(content=program.read_bytes())}).with_config(
        Cmd=["python3", "/app/service.py"], ExposedPorts={"8080/tcp": {}}
    )
    return (
        DemoImage(POSTGRES_IMAGE, POSTGRES),
        DemoImage(REDIS_IMAGE, REDIS),
        DemoImage(SHOP_IMAGE, shop),
    )
