"""Values read as they do in Docker's tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pytest_pods.cli.formats import (
    format_age,
    format_binary_size,
    format_command,
    format_duration,
    format_ports,
    format_processor_time,
    format_size,
    format_status,
    parse_moment,
)
from pytest_pods.engine.health import Health
from pytest_pods.engine.records import ContainerState, PublishedPort

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (61, "About a minute"),
        (150, "2 minutes"),
        (3700, "About an hour"),
        (7300, "2 hours"),
        (3 * 86400, "3 days"),
        (20 * 86400, "2 weeks"),
        (90 * 86400, "3 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_age_of_what_lies_in_the_future_is_short() -> None:
    assert format_age(NOW + timedelta(hours=1), NOW) == "Less than a second ago"
    assert format_age(None, NOW) == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (999_400, "999kB"), (999_600, "1MB"), (12_345, "12.3kB"), (2_140_000, "2.14MB"),
     (5 * 10**15, "5000TB")],
)  # fmt: skip
def test_size(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (999, "999B"), (1 << 20, "1MiB"), (64 << 20, "64MiB"), (1000, "0.977KiB")]
)
def test_binary_size(size: int, text: str) -> None:
    assert format_binary_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.004, "0s"), (1.519, "1.52s"), (59.999, "1m0s"), (123.4, "2m3.4s"), (3612, "1h0m12s")],
)
def test_processor_time(seconds: float, text: str) -> None:
    assert format_processor_time(seconds) == text


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (ContainerState("created"), "Created"),
        (ContainerState("running", started_at=NOW - timedelta(minutes=5)), "Up 5 minutes"),
        (ContainerState("paused", started_at=NOW - timedelta(hours=3)), "Up 3 hours (Paused)"),
        (
            ContainerState("running", started_at=NOW - timedelta(minutes=5), health=Health("healthy")),
            "Up 5 minutes (healthy)",
        ),
        (
            ContainerState("running", started_at=NOW - timedelta(minutes=5), health=Health()),
            "Up 5 minutes (health: starting)",
        ),
        (
            ContainerState("paused", started_at=NOW - timedelta(hours=3), health=Health("healthy")),
            "Up 3 hours (Paused)",
        ),
        (ContainerState("exited", exit_code=0, health=Health("unhealthy")), "Exited (0)"),
        (ContainerState("exited", exit_code=3, finished_at=NOW - timedelta(days=2)), "Exited (3) 2 days ago"),
        (ContainerState("exited", exit_code=137), "Exited (137)"),
    ],
)
def test_status(state: ContainerState, text: str) -> None:
    assert format_status(state, NOW) == text


def test_ports() -> None:
    ports = (PublishedPort(80, "tcp", "127.0.0.1", 8080, 1), PublishedPort(53, "udp", "::1", 5353, 2))
    assert format_ports(ports) == "127.0.0.1:8080->80/tcp, [::1]:5353->53/udp"


def test_command_is_cut_unless_whole_is_asked() -> None:
    assert format_command(["sleep", "1000"]) == '"sleep 1000"'
    assert format_command(["sh", "-c", "x" * 50]) == f'"sh -c {"x" * 13}…"'
    assert format_command(["sh", "-c", "x" * 50], width=None) == f'"sh -c {"x" * 50}"'


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", NOW - timedelta(minutes=10)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("2d", NOW - timedelta(days=2)),
        ("0.5s", NOW - timedelta(seconds=0.5)),
        ("2026-01-31T11:00:00+00:00", NOW - timedelta(hours=1)),
        ("2026-01-31T12:00:00+02:00", NOW - timedelta(hours=2)),
        (str(int(NOW.timestamp())), NOW),
        ("soon", None),
        ("", None),
        ("10m5", None),
    ],
)
def test_moments_of_since(text: str, moment: datetime | None) -> None:
    assert parse_moment(text, NOW) == moment
