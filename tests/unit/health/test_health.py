"""From the results of checks to a container's health, and to when it is checked next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pytest_pods.engine.health import (
    CheckResult,
    Health,
    describe_failure,
    find_pause_s,
    find_target,
    health_to_bytes,
    note_check,
    parse_health_file,
    shorten_output,
)
from pytest_pods.engine.specs.health import HealthPlan
from pytest_pods.engine.specs.probes import Probe, Target

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
READY = Target("exec", command=("ready",))
UP = Target("tcp", 80)


def result(exit_code: int = 0, output: str = "") -> CheckResult:
    return CheckResult(NOW, NOW + timedelta(seconds=1), exit_code, output)


def plan_of(**options: Any) -> HealthPlan:
    return HealthPlan(READY, **options)


def after(plan: HealthPlan, codes: str, *, age_s: float = 100.0, counts: bool = True) -> list[str]:
    """The status after each result: `+` for a success, `-` for a failure."""
    health = Health()
    seen: list[str] = []
    for code in codes:
        health = note_check(plan, health, result("+-".index(code)), age_s=age_s, counts=counts)
        seen.append(health.status)
    return seen


@pytest.mark.parametrize(
    ("codes", "statuses"),
    [
        ("+", "healthy"),
        ("--", "starting starting"),
        ("---", "starting starting unhealthy"),
        ("--+", "starting starting healthy"),
        ("--+--", "starting starting healthy healthy healthy"),
        ("+---", "healthy healthy healthy unhealthy"),
        ("---+", "starting starting unhealthy healthy"),
        ("---+-", "starting starting unhealthy healthy healthy"),
    ],
)
def test_status_follows_results(codes: str, statuses: str) -> None:
    assert after(plan_of(), codes) == statuses.split()


def test_one_failure_is_enough_where_one_retry_is_asked_for() -> None:
    assert after(plan_of(retries=1), "+-") == ["healthy", "unhealthy"]


def test_failures_of_the_start_period_do_not_count() -> None:
    plan = plan_of(start_period=10, retries=2)
    assert after(plan, "-----", age_s=9.9) == ["starting"] * 5
    assert after(plan, "--", age_s=10) == ["starting", "unhealthy"]


def test_first_success_ends_the_start_period() -> None:
    statuses = after(plan_of(start_period=10, retries=2), "-+--", age_s=1)
    assert statuses == ["starting", "healthy", "healthy", "unhealthy"]


def test_failures_that_do_not_count_change_nothing_but_the_log() -> None:
    plan = plan_of(retries=1)
    assert after(plan, "---+", counts=False) == ["starting", "starting", "starting", "healthy"]
    health = note_check(plan, Health(), result(5), age_s=1, counts=False)
    assert (health.failing_streak, health.last) == (0, result(5))


def test_streak_counts_on_and_ends_with_a_success() -> None:
    health = Health()
    for expected in (1, 2, 3, 4):
        health = note_check(plan_of(), health, result(1), age_s=1)
        assert health.failing_streak == expected
    assert note_check(plan_of(), health, result(0), age_s=1).failing_streak == 0


def test_log_keeps_the_last_five() -> None:
    health = Health()
    for code in range(8):
        health = note_check(plan_of(), health, result(code), age_s=1)
    assert [check.exit_code for check in health.log] == [3, 4, 5, 6, 7]


def test_check_that_did_not_answer_is_a_failure() -> None:
    assert note_check(plan_of(retries=1), Health(), result(-1), age_s=1).status == "unhealthy"


def test_startup_probe_stands_before_everything() -> None:
    plan = plan_of(startup=Probe(UP, failures=2, timeout=7), retries=1, timeout=3)
    assert find_target(plan, Health()) == (UP, 7)
    once = note_check(plan, Health(), result(1), age_s=1)
    assert (once.status, once.started_up) == ("starting", False)
    assert note_check(plan, once, result(1), age_s=1).status == "unhealthy"
    up = note_check(plan, once, result(0), age_s=1)
    assert (up.status, up.started_up, up.failing_streak) == ("starting", True, 0)
    assert find_target(plan, up) == (READY, 3)
    assert note_check(plan, up, result(0), age_s=1).status == "healthy"
    assert note_check(plan, up, result(1), age_s=1).status == "unhealthy"


@pytest.mark.parametrize(
    ("options", "health", "age_s", "first", "pause_s"),
    [
        pytest.param({"interval": 7}, Health(), 0, True, 7, id="Docker first waits an interval"),
        pytest.param({"interval": 7}, Health(), 50, False, 7, id="and then always"),
        pytest.param({"start_period": 60, "start_interval": 2}, Health(), 0, True, 2, id="start period"),
        pytest.param({"start_period": 60, "start_interval": 2}, Health("healthy"), 9, False, 30, id="was well once"),
        pytest.param({"start_period": 60, "start_interval": 2}, Health(), 60, False, 30, id="start period is over"),
        pytest.param({"delay": 5}, Health(), 0, True, 5, id="delay"),
        pytest.param({"delay": 5, "interval": 9}, Health(), 5, False, 9, id="interval after the delay"),
        pytest.param({"startup": Probe(UP, 4, 3)}, Health(), 1, True, 3, id="delay of the start-up probe"),
        pytest.param({"startup": Probe(UP, 4, 3)}, Health(), 9, False, 3, id="its period"),
        pytest.param(
            {"startup": Probe(UP), "delay": 30}, Health(started_up=True), 10, True, 20, id="delay counts from the start"
        ),
        pytest.param(
            {"startup": Probe(UP), "delay": 3}, Health(started_up=True), 10, True, 0, id="delay is over when it is up"
        ),
    ],
)
def test_pause(options: dict[str, Any], health: Health, age_s: float, first: bool, pause_s: float) -> None:
    assert find_pause_s(plan_of(**options), health, age_s=age_s, first=first) == pause_s


def test_file_gives_back_what_was_written() -> None:
    health = Health("unhealthy", 4, (result(1, "first"), result(0, "\udcff é")), started_up=True)
    assert parse_health_file(health_to_bytes(health, started_ns=5), started_ns=5) == health


@pytest.mark.parametrize("content", [b"", b"\0\0", b"{", b"[]", b"{}", b'{"started": 5}', b'{"started":5,"status":1}'])
def test_file_that_cannot_be_read_tells_nothing(content: bytes) -> None:
    assert parse_health_file(content, started_ns=5) == Health()


def test_file_about_another_start_tells_nothing() -> None:
    assert parse_health_file(health_to_bytes(Health("healthy"), started_ns=5), started_ns=6) == Health()


def test_output_is_cut() -> None:
    assert shorten_output("a" * 500) == "a" * 500
    assert shorten_output("a" * 501) == "a" * 499 + "…"


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (Health(), "starting, not checked yet"),
        (Health("healthy", 0, (result(0),)), "healthy, exit code 0"),
        (Health("unhealthy", 1, (result(7, " no\n"),)), "unhealthy, exit code 7: no"),
        (Health("unhealthy", 1, (result(-1, "no answer within 1 s"),)), "unhealthy, no answer within 1 s"),
    ],
)
def test_description(health: Health, words: str) -> None:
    assert health.describe() == words


def test_reason_of_an_end_names_what_failed_how_often_and_how() -> None:
    health = Health("unhealthy", 3, (result(1, "refused"),))
    said = describe_failure(plan_of(), health)
    assert said == "its health check has failed 3 times in a row, last with exit code 1: refused"
    said = describe_failure(plan_of(startup=Probe(UP)), Health("unhealthy", 1, (result(2),)))
    assert said == "its start-up probe has failed once, last with exit code 2"
