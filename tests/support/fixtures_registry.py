"""Fixtures with a real registry server; imported through `pytest_plugins`.

`registry` is shared by the tests of a session (of a worker): give your repositories names of your own, see
`repository_name`. The others are the test's alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.faulty_proxy import FaultyProxy, run_faulty_proxy
from tests.support.registry import Registry, run_registry

if TYPE_CHECKING:
    from pytest_pods.engine.registry.client import RegistryClient
    from tests.support.images import BuiltImage, BuiltIndex


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry over plain HTTP, without authentication."""
    with run_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="session")
def registry_client(registry: Registry) -> RegistryClient:
    """A client without credentials, to push what tests pull."""
    from pytest_pods.engine.registry.client import RegistryClient

    return RegistryClient()


@pytest.fixture
def repository_name(request: pytest.FixtureRequest) -> str:
    """A repository's name that belongs to this test: `test/<module>/<test>`."""
    module = request.node.module.__name__.rpartition(".")[2]
    return "test/" + "/".join(_component(part) for part in (module, request.node.name))


@pytest.fixture
def push(
    registry: Registry, registry_client: RegistryClient, repository_name: str
) -> Callable[[BuiltImage | BuiltIndex], str]:
    """Pushes an image to this test's repository; gives the reference, ready to be pulled."""

    def do(image: BuiltImage | BuiltIndex, tag: str = "latest") -> str:
        reference = registry.reference(f"{repository_name}:{tag}")
        image.push(registry_client, reference)
        return reference

    return do


@pytest.fixture
def faulty_proxy(registry: Registry) -> Iterator[FaultyProxy]:
    """A misbehaving front of `registry`."""
    with run_faulty_proxy(registry.host) as proxy:
        yield proxy


def _component(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:90].strip("-") or "x"
