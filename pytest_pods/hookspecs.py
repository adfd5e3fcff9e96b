"""The hooks that we offer to conftest files and other plugins, with their contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container


@pytest.hookspec()
def pytest_pods_container_ready(container: Container, fixture: str, nodeid: str) -> None:
    """A container of a fixture has started, and its wait (if any) holds; the test does not have it yet.

    `fixture` is the fixture's name, `nodeid` the test or collector that the container belongs to. What is raised here
    fails the set-up of the fixture.
    """


@pytest.hookspec()
def pytest_pods_container_failed(container: Container, fixture: str, nodeid: str, error: Exception) -> None:
    """A container of a fixture did not start or did not get ready; it is still there, and removed afterwards."""
