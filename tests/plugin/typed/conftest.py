"""Declared fixtures of every kind, hooks, and a wait of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import pytest

from pytest_pods import (
    Container,
    ContainerSpec,
    Network,
    Readiness,
    Volume,
    Wait,
    container_fixture,
    image_fixture,
    network_fixture,
    pod_fixture,
    volume_fixture,
    waits,
)

SLEEP = ["sleep", "1000"]


class Written:
    """A wait: a file is there."""

    timeout: float | None = 20.0
    watches_log = False
    accepts_exit = False

    def interval_s(self, look: int) -> float:
        return 0.05

    def check(self, container: Container) -> Readiness:
        found = container.exec(["cat", "/ready"])
        return Readiness(found.ok, found.stderr)

    def describe(self) -> str:
        return "the file /ready"


def choose_scope(fixture_name: str, config: pytest.Config) -> Literal["module", "function"]:
    return "module" if fixture_name == "cache" else "function"


def describe_web(backend: Network, content: Volume) -> Mapping[str, object]:
    return {"image": "busybox", "command": SLEEP, "networks": [backend], "mounts": [content.at("/www")]}


box = image_fixture("busybox", scope="module")
backend = network_fixture(internal=True, scope="session")
content = volume_fixture(content={"index.html": "hello\n"}, scope="session")
cache = container_fixture("busybox", SLEEP, network="none", scope=choose_scope)
web = container_fixture(describe_web, scope="session")
either = container_fixture(images=["busybox", "busybox:other"], command=SLEEP, network="none")
shop = pod_fixture(web={"image": "busybox", "command": SLEEP}, network="none")


@pytest.fixture
def written() -> Wait:
    return Written()


def pytest_pods_resolve_image(image: str) -> str | None:
    return None


def pytest_pods_find_wait(name: str) -> Wait | None:
    return waits.log("started") if name == "started" else None


def pytest_pods_before_create(spec: ContainerSpec, fixture: str, nodeid: str) -> ContainerSpec | None:
    return spec.with_changes(labels={**spec.labels, "fixture": fixture})


def pytest_pods_container_ready(container: Container, fixture: str, nodeid: str) -> None:
    assert container.labels["fixture"] == fixture


def pytest_pods_report_sections(container: Container) -> Iterable[tuple[str, str]]:
    yield "place", str(Path("/"))
