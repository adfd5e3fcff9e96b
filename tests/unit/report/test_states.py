"""What a report says of a container's state, and what it calls it."""

from __future__ import annotations

import pytest

from pytest_pods.engine.events import ContainerEventKind as K
from pytest_pods.engine.records import ContainerState, PublishedPort
from pytest_pods.report.looks import Look, build_labels, order_looks
from pytest_pods.report.sections import STATES_TITLE, TIMELINE_TITLE, build_sections, colour_sections
from pytest_pods.report.states import describe_container, describe_status
from tests.support.looks import NOON, make_event, make_health, make_look, make_record, make_state


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (make_state(code=0), "exited with exit code 0, 1.00 s after its start"),
        (make_state(code=3, ended_after_s=0.004), "exited with exit code 3, 0.00 s after its start"),
        (make_state(code=139), "exited with exit code 139 (SIGSEGV), 1.00 s after its start"),
        (make_state(code=255), "exited with exit code 255, 1.00 s after its start"),
        (
            make_state(code=137, oom_killed=True),
            "exited with exit code 137 (SIGKILL), out of memory (limit 1.5 GiB), 1.00 s after its start",
        ),
        (ContainerState("created"), "created, not started"),
        (ContainerState("paused"), "paused"),
        (ContainerState("running", oom_killed=True), "running, ran out of memory"),
        (ContainerState("running", restarts=1), "running, restarted once"),
        (
            ContainerState("exited", exit_code=1, restarts=2, restarting=True),
            "exited with exit code 1, restarted 2 times, to be started again",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_status_is_said_in_words(state: ContainerState, text: str) -> None:
    assert describe_status(make_record("db", memory=3 << 29), state) == text


def test_running_container_says_since_when() -> None:
    assert describe_container(make_look(), "db")[0].startswith("db: running since ")


def test_block_has_what_there_is_to_know() -> None:
    look = make_look(
        "shop-db",
        "postgres:16",
        pod="shop",
        ports=(PublishedPort(5432, "tcp", "127.0.0.1", 40001, 1),),
        networks=(("backend", ("10.99.0.2", "fd00::2")), ("plain", ())),
        ip="10.99.0.2",
        state=make_state(code=1, fault="its monitor ended", health=make_health("unhealthy")),
        events=(make_event(K.NOT_READY, 1, took_s=0.5, text="port 5432; last seen: refused"),),
        error="CommandNotFoundError: no such file\nhint: install it",
        kept="pytest-pods logs shop-db",
    )
    assert describe_container(look, "db")[1:] == [
        "    container shop-db (postgres:16), pod shop",
        "    ports: 5432/tcp on 127.0.0.1:40001",
        "    networks: backend (10.99.0.2, fd00::2), plain",
        "    awaited in vain for 0.50 s: port 5432; last seen: refused",
        "    health: unhealthy, exit code 1: refused",
        "    fault: its monitor ended",
        "    error: CommandNotFoundError: no such file",
        "    kept: pytest-pods logs shop-db",
    ]


def test_address_is_said_where_no_network_says_it() -> None:
    assert describe_container(make_look(ip="10.86.1.1"), "db")[1] == (
        "    container calm_otter (example.test/redis:7) at 10.86.1.1"
    )


def test_container_that_cannot_be_asked_says_why() -> None:
    assert describe_container(make_look(trouble="its state cannot be read: E: gone"), "db")[0] == (
        "db: its state cannot be read: E: gone"
    )


@pytest.mark.parametrize(
    ("looks", "labels"),
    [
        pytest.param([make_look(fixture="redis", image="x:1")], ["redis"], id="declared fixture"),
        pytest.param([make_look("given", fixture="redis", named=True)], ["given"], id="given name"),
        pytest.param([make_look(image="r.test:5000/a/redis:7@sha256:0")], ["redis"], id="image"),
        pytest.param([make_look("shop-web", pod="shop")], ["web"], id="member"),
        pytest.param(
            [make_look("a"), make_look("b"), make_look("c", "postgres")], ["a", "b", "postgres"], id="same image"
        ),
        pytest.param(
            [make_look("x-web", pod="x"), make_look("y-web", pod="y")], ["x-web", "y-web"], id="same member"
        ),
    ],
)
def test_containers_are_called_shortly_as_far_as_that_tells_them_apart(looks: list[Look], labels: list[str]) -> None:
    assert [*build_labels(looks).values()] == labels


def test_members_of_a_pod_stand_together_in_the_order_of_its_mark() -> None:
    looks = [
        make_look("p-b", pod="p", created=NOON + 1, position=1),
        make_look("between", created=NOON + 2),
        make_look("p-a", pod="p", created=NOON + 3, position=0),
        make_look("first", created=NOON),
    ]
    assert [look.record.name for look in order_looks(looks)] == ["first", "p-a", "p-b", "between"]


def test_test_without_containers_has_no_sections() -> None:
    assert build_sections([], [], with_logs=True) == []


def test_sections_are_one_on_states_and_one_on_time() -> None:
    looks = [make_look("a"), make_look("b")]
    states, timeline = build_sections(looks, [], with_logs=True)
    assert (states.title, timeline.title) == (STATES_TITLE, TIMELINE_TITLE)
    assert [line[:2] for line in states.text.splitlines() if line[0] != " "] == ["a:", "b:"]
    assert [section.title for section in build_sections(looks, [], with_logs=False)] == [STATES_TITLE]


def test_only_our_sections_are_coloured() -> None:
    look = make_look("a", state=make_state(code=1))
    ours = [(section.title, section.text) for section in build_sections([look], [], with_logs=True)]
    coloured = colour_sections([("Captured stdout call", "test: exited with exit code 1"), *ours])
    assert coloured[0] == ("Captured stdout call", "test: exited with exit code 1")
    assert coloured[1][1].startswith("\x1b[1mredis\x1b[0m: \x1b[31mexited with exit code 1")
