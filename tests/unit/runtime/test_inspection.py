from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pytest_pods.engine.health import CheckResult, Health
from pytest_pods.engine.records import ContainerRecord, ContainerState, PublishedPort
from pytest_pods.engine.runtime.inspection import build_inspection
from pytest_pods.engine.specs.container import build_container_spec
from pytest_pods.engine.specs.health import HealthPlan
from pytest_pods.engine.specs.probes import Target
from pytest_pods.engine.state.layout import ContainerLayout

LAYOUT = ContainerLayout("c" * 64, Path("/run/s/c"), Path("/store/s/c"))


def _record() -> ContainerRecord:
    spec = build_container_spec(
        "redis:7",
        ["redis-server", "--save"],
        env={"A": "1"},
        volumes=["/h:/c:ro"],
        tmpfs=["/t:size=1m"],
        cap_add=["NET_RAW"],
    )
    return ContainerRecord(
        id="c" * 64,
        name="cache",
        session_id="0123456789ab",
        image="redis:7",
        image_id="sha256:" + "a" * 64,
        spec=spec,
        argv=("redis-server", "--save"),
        stop_signal="SIGTERM",
        hostname="cache",
        ip="10.0.0.2",
        ports=(PublishedPort(6379, "tcp", "127.0.0.1", 40001, 1),),
        created=0.0,
        layers=(),
        mounts=spec.mounts,
    )


def test_document_has_the_shape_that_docker_gives_it() -> None:
    state = ContainerState("running", container_pid=12, monitor_pid=11, started_at=datetime(2026, 1, 2, tzinfo=UTC))
    document = build_inspection(_record(), state, LAYOUT)
    json.dumps(document)
    assert document["Id"] == "c" * 64
    assert (document["Path"], document["Args"]) == ("redis-server", ["--save"])
    assert document["Created"] == "1970-01-01T00:00:00.000000Z"
    assert document["State"]["Running"] is True
    assert document["State"]["Pid"] == 12
    assert document["State"]["StartedAt"] == "2026-01-02T00:00:00.000000Z"
    assert document["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert document["NetworkSettings"]["Ports"] == {"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "40001"}]}
    assert document["Config"]["Env"] == ["A=1"]
    assert document["HostConfig"]["Binds"] == ["/h:/c:ro"]
    assert document["HostConfig"]["Tmpfs"] == {"/t": "mode=1777,size=1048576"}
    assert document["HostConfig"]["CapAdd"] == ["CAP_NET_RAW"]
    assert [mount["Type"] for mount in document["Mounts"]] == ["bind", "tmpfs"]
    assert document["LogPath"] == "/run/s/c/log"


def test_end_of_a_container_is_told() -> None:
    state = ContainerState("exited", exit_code=137, finished_at=datetime(2026, 1, 2, tzinfo=UTC), fault="monitor lost")
    found = build_inspection(_record(), state, LAYOUT)["State"]
    assert (found["Status"], found["Running"], found["ExitCode"]) == ("exited", False, 137)
    assert found["Error"] == "monitor lost"


def test_health_is_told_in_the_words_of_docker() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    result = CheckResult(moment, moment + timedelta(seconds=1), 3, "no")
    plan = HealthPlan(Target("exec", command=("ready",)), interval=1.5, start_period=2, retries=4, on_failure="stop")
    document = build_inspection(
        replace(_record(), health=plan),
        ContainerState("running", started_at=moment, health=Health("unhealthy", 4, (result,))),
        LAYOUT,
    )
    assert document["State"]["Health"] == {
        "Status": "unhealthy",
        "FailingStreak": 4,
        "Log": [
            {
                "Start": "2026-01-02T00:00:00.000000Z",
                "End": "2026-01-02T00:00:01.000000Z",
                "ExitCode": 3,
                "Output": "no",
            }
        ],
    }
    assert document["Config"]["HealthcheckOnFailureAction"] == "stop"
    assert document["Config"]["Healthcheck"] == {
        "Test": ["CMD", "ready"],
        "Interval": 1_500_000_000,
        "Timeout": 30_000_000_000,
        "StartPeriod": 2_000_000_000,
        "StartInterval": 5_000_000_000,
        "Retries": 4,
    }
