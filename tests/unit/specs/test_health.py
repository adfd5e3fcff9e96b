"""What `health=` takes, and what becomes of it with the image's health check."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_pods import HealthCheck
from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.oci.image_config import ImageHealth
from pytest_pods.engine.records import ContainerRecord
from pytest_pods.engine.specs.container import build_container_spec
from pytest_pods.engine.specs.health import HealthPlan, settle_health
from pytest_pods.engine.specs.probes import Probe, Target

IMAGE = ImageHealth(("CMD", "ready"), ("ready",), interval=7.0, retries=9)
READY = Target("exec", command=("ready",))


def health_of(value: object, **options: Any) -> Any:
    return build_container_spec("redis:7", health=value, **options).health


@pytest.mark.parametrize(
    ("value", "command"),
    [
        ("pg_isready || exit 1", ("/bin/sh", "-c", "pg_isready || exit 1")),
        (["pg_isready", "-q"], ("pg_isready", "-q")),
        (("pg_isready",), ("pg_isready",)),
        ({"command": "pg_isready"}, ("/bin/sh", "-c", "pg_isready")),
        (HealthCheck("pg_isready"), ("/bin/sh", "-c", "pg_isready")),
    ],
)
def test_command_may_be_a_text_for_the_shell_or_a_list(value: object, command: tuple[str, ...]) -> None:
    assert health_of(value).find_target() == Target("exec", command=command)


def test_mapping_has_what_a_health_check_has() -> None:
    given = {
        "command": ["true"], "interval": 1, "timeout": 2, "start_period": 3, "start_interval": 0.5, "retries": 4,
        "on_failure": "kill",
    }  # fmt: skip
    assert health_of(given) == HealthCheck(["true"], 1, 2, 3, 0.5, 4, "kill")


def test_false_and_none_are_told_apart() -> None:
    assert health_of(False) is False
    assert health_of(None) is None
    assert build_container_spec("redis:7").health is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "health has to be a command, a HealthCheck, a mapping, or False for none, not True"),
        (5, "health has to be a command"),
        ("", "the command of a health check has to be a text, for a shell, or a list of texts, not ''"),
        ("  ", "the command of a health check has to be a text"),
        ([], "the command of a health check has to be a text"),
        ([""], "the command of a health check has to be a text"),
        (["true", 5], "the command of a health check has to be a text"),
        ("a\0b", "the command of a health check must not contain a NUL byte"),
        ({"comand": "true"}, "unknown 'comand' in health"),
        ({"target": READY}, "unknown 'target' in health"),
        ({"interval": 0}, "interval of a health check has to be a number of seconds from 0.001, not 0"),
        ({"interval": "1s"}, "interval of a health check has to be a number of seconds"),
        ({"timeout": -1}, "timeout of a health check has to be a number of seconds"),
        ({"timeout": float("nan")}, "timeout of a health check has to be a number of seconds"),
        ({"timeout": float("inf")}, "timeout of a health check has to be a number of seconds"),
        ({"start_period": True}, "start_period of a health check has to be a number of seconds from 0"),
        ({"start_interval": 0}, "start_interval of a health check has to be"),
        ({"retries": 0}, "retries of a health check has to be a whole number from 1, not 0"),
        ({"retries": 1.5}, "retries of a health check has to be a whole number"),
        ({"on_failure": "explode"}, "on_failure of a health check is 'explode'"),
    ],
)
def test_what_cannot_be_meant_is_named(value: object, words: str) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        health_of(value)
    assert str(caught.value).startswith(words)


def test_unknown_key_has_a_hint() -> None:
    with pytest.raises(InvalidSpecError, match="did you mean 'command'"):
        health_of({"comand": "true"})


def test_restart_contradicts_removal() -> None:
    with pytest.raises(InvalidSpecError, match="remove and a health check with on_failure='restart'"):
        health_of({"command": "true", "on_failure": "restart"}, remove=True)


def test_docker_defaults_hold_where_nobody_says_anything() -> None:
    plan = settle_health(HealthCheck(["ready"]), None, subject="x")
    assert plan == HealthPlan(
        READY, interval=30, timeout=30, start_period=0, start_interval=5, retries=3, on_failure="none"
    )


def test_image_fills_up_what_is_not_asked_for() -> None:
    assert settle_health(None, IMAGE, subject="x") == HealthPlan(READY, interval=7, retries=9)
    asked = HealthCheck(interval=1, on_failure="stop")
    assert settle_health(asked, IMAGE, subject="x") == HealthPlan(READY, interval=1, retries=9, on_failure="stop")
    own = settle_health(HealthCheck(["mine"], start_period=2), IMAGE, subject="x")
    assert own == HealthPlan(Target("exec", command=("mine",)), interval=7, retries=9, start_period=2)


def test_nothing_is_checked_where_nobody_asks_or_it_was_switched_off() -> None:
    assert settle_health(None, None, subject="x") is None
    assert settle_health(False, IMAGE, subject="x") is None


def test_times_of_an_image_keep_nobody_busy() -> None:
    plan = settle_health(None, ImageHealth(("CMD", "ready"), ("ready",), interval=1e-9), subject="x")
    assert plan is not None
    assert plan.interval == 0.001


def test_check_without_a_command_needs_one_of_the_image() -> None:
    with pytest.raises(InvalidSpecError, match="the health check of container db has no command, and its image has"):
        settle_health(HealthCheck(interval=5), None, subject="container db")


STARTUP = Probe(Target("http", 80, "/up", "HTTPS", (("A", "b"),)), period=2, grace=5)


@pytest.mark.parametrize(
    "check",
    [
        None,
        False,
        HealthCheck("true", 1, 2.5, 3, 4, 5, "restart"),
        HealthCheck(target=Target("tcp", 80), delay=1, grace=2, startup=STARTUP, on_failure="kill"),
    ],
)
def test_record_gives_back_what_was_written_down(check: Any) -> None:
    spec = build_container_spec("redis:7", health=check)
    record = ContainerRecord(
        id="c" * 64, name="c", session_id="s", image="redis:7", image_id="sha256:x", spec=spec, argv=("x",),
        stop_signal="SIGTERM", hostname="c", ip="", ports=(), created=0.0, layers=(),
        health=settle_health(check, IMAGE, subject="x"),
    )  # fmt: skip
    assert ContainerRecord.from_bytes(record.to_bytes(), where="x") == record
