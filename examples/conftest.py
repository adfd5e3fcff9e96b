"""The shop as a fixture: every test that asks for it gets three containers of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.client import Shop
from examples.images import POSTGRES_IMAGE, REDIS_IMAGE, SHOP_IMAGE
from pytest_pods import Container, Engine, waits

PASSWORD = "an open secret"


@pytest.fixture
def shop(run_container: Callable[..., Container]) -> Shop:
    """A web service with an empty database and an empty cache."""
    database = run_container(
        POSTGRES_IMAGE,
        env={"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "shop"},
        wait=waits.log("ready to accept connections"),
    )
    cache = run_container(REDIS_IMAGE, wait=waits.listening(6379))
    web = run_container(
        SHOP_IMAGE,
        env={
            "DATABASE": f"host={database.ip} user=postgres password='{PASSWORD}' dbname=shop",
            "CACHE_HOST": cache.ip,
        },
        ports=[8080],
        wait=waits.http("/health", 8080),
    )
    return Shop(database, cache, web)


@pytest.fixture(scope="session", autouse=True)
def counted(pods: Engine) -> Iterator[None]:
    """Tells `make demo` how many containers the tests had."""
    yield
    if file := os.environ.get("DEMO_COUNTS"):
        Path(file).write_text(json.dumps({"containers": pods.counters.containers}))
