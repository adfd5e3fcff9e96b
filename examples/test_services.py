"""One container a test: the mark says which, the fixture is the running container."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from examples.images import POSTGRES_IMAGE, REDIS_IMAGE
from pytest_pods import Container, waits

cache = pytest.mark.container(REDIS_IMAGE, ports=[6379], wait=waits.port(6379))


@cache
def test_redis_answers(container: Container) -> None:
    assert container.exec(["redis-cli", "ping"]).stdout == "PONG\n"


@cache
def test_redis_is_reached_through_its_published_port(container: Container) -> None:
    with container.connect(6379) as connection:
        connection.sendall(b"SET price 42\r\nGET price\r\n")
        received = b""
        while received.count(b"\r\n") < 3:
            received += connection.recv(4096)
    assert received == b"+OK\r\n$2\r\n42\r\n"


@cache
def test_every_test_has_a_cache_of_its_own(container: Container) -> None:
    assert container.succeed("redis-cli dbsize").strip() == "0"
    container.succeed("redis-cli set left over")


@cache
def test_nothing_of_the_test_before_is_seen(container: Container) -> None:
    assert container.succeed("redis-cli dbsize").strip() == "0"


@pytest.mark.container(
    POSTGRES_IMAGE,
    env={"POSTGRES_PASSWORD": "x", "POSTGRES_DB": "shop"},
    wait=waits.log("ready to accept connections"),
)
def test_postgres_keeps_what_was_written_over_a_restart(container: Container) -> None:
    container.succeed("psql -h /tmp -U postgres shop -c 'CREATE TABLE items AS SELECT generate_series(1, 1000)'")
    container.restart(timeout=10)
    container.wait_until("psql -h /tmp -U postgres shop -c 'SELECT 1'")
    count = container.succeed("psql -h /tmp -U postgres shop -Atc 'SELECT count(*) FROM items'")
    assert count.strip() == "1000"


def test_postgres_without_a_password_says_so_and_ends(run_container: Callable[..., Container]) -> None:
    once = run_container(POSTGRES_IMAGE, network="none", wait=waits.exit(1))
    assert once.wait() == 1
    assert "POSTGRES_PASSWORD is not set" in once.logs()
