"""A store with a small image in it, and engines on it: for every test that runs containers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.images import busybox_image

BUSYBOX = "localhost/busybox:1"


@pytest.fixture(scope="session")
def image_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a store of this test process alone, with the image `BUSYBOX`."""
    directory = tmp_path_factory.mktemp("store", numbered=True)
    archive = busybox_image().write_docker_archive(directory / "busybox.tar", names=[BUSYBOX])
    with Engine.open(root=directory) as engine:
        engine.load(archive)
    return directory


@pytest.fixture
def engine(image_store: Path) -> Iterator[Engine]:
    """An engine with a session of its own, which ends with the test."""
    with Engine.open(root=image_store, timeout=30) as engine:
        yield engine
