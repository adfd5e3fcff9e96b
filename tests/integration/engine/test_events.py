"""What the engine tells of containers and images while it works, and their logs on one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pytest_pods import waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import NotReadyError
from pytest_pods.engine.events import ContainerEvent, ContainerEventKind, Event, ImageEvent
from pytest_pods.engine.extensions import Extensions
from pytest_pods.engine.runtime.logs import LogLine
from pytest_pods.engine.services.log_following import LogFollower
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import BuiltImage, busybox_image

K = ContainerEventKind


class Told:
    """An engine's events so far."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def of(self, container: Container) -> list[ContainerEvent]:
        return [
            event for event in self.events if isinstance(event, ContainerEvent) and event.container.id == container.id
        ]

    def kinds(self, container: Container) -> list[ContainerEventKind]:
        return [event.kind for event in self.of(container)]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def telling(image_store: Path, told: Told) -> Iterator[Engine]:
    with Engine.open(root=image_store, timeout=30, extensions=Extensions(observe=told.events.append)) as engine:
        yield engine


def test_whole_life_is_told_with_times(telling: Engine, told: Told) -> None:
    began = time.time()
    script = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"
    container = telling.run(BUSYBOX, ["sh", "-c", script], network="none", wait=waits.log("up"))
    container.kill("TERM")
    container.wait(10)
    container.start()
    container.stop(5)
    container.remove()
    assert told.kinds(container) == [
        K.CREATED, K.STARTED, K.READY, K.KILLED, K.STARTED, K.STOPPED, K.REMOVING, K.REMOVED,
    ]  # fmt: skip
    events = told.of(container)
    assert all(began <= event.at <= time.time() for event in events)
    assert all(event.took_s > 0 for event in events if event.kind in (K.CREATED, K.STARTED, K.READY, K.REMOVED))
    assert {event.kind: event.text for event in events if event.text} == {K.READY: "log line 'up'", K.KILLED: "SIGTERM"}


@pytest.mark.root
def test_pause_is_told(telling: Engine, told: Told) -> None:
    container = telling.run(BUSYBOX, ["sleep", "1000"], network="none")
    container.pause()
    container.unpause()
    assert told.kinds(container)[2:] == [K.PAUSED, K.UNPAUSED]


def test_removal_is_told_while_everything_is_still_there(image_store: Path) -> None:
    seen: list[tuple[int | None, str]] = []

    def look(event: Event) -> None:
        if isinstance(event, ContainerEvent) and event.kind is K.REMOVING:
            seen.append((event.container.exit_code, event.container.logs()))

    with Engine.open(root=image_store, extensions=Extensions(observe=look)) as engine:
        container = engine.run(BUSYBOX, ["sh", "-c", "echo last words; exit 3"], network="none")
        container.wait(10)
        engine.remove_later(container)
        engine.await_removals()
    assert seen == [(3, "last words\n")]


def test_wait_that_fails_is_told_with_what_was_seen_last(telling: Engine, told: Told) -> None:
    container = telling.create(BUSYBOX, ["sleep", "100"], network="none", wait=waits.port(80, timeout=0.05))
    container.start()
    with pytest.raises(NotReadyError):
        assert container.spec.wait is not None
        container.wait_ready(container.spec.wait)
    with pytest.raises(NotReadyError):
        container.wait_ready(waits.file("/nowhere"), timeout=0.05)
    assert [(event.kind, event.text) for event in told.of(container)][2:] == [
        (K.NOT_READY, "port 80; last seen: nothing listens on it"),
        (K.NOT_SEEN, "file /nowhere; last seen: it is not there"),
    ]


def test_members_of_a_pod_are_told_of_and_what_holds_it_together_is_not(telling: Engine, told: Told) -> None:
    pod = telling.run_pod(
        network="none",
        share="net,ipc,uts,pid",
        db={"image": BUSYBOX, "command": ["sh", "-c", "echo up; sleep 100"], "wait": waits.log("up")},
    )
    (member,) = pod.containers.values()
    pod.remove()
    assert told.kinds(member) == [K.CREATED, K.STARTED, K.READY, K.REMOVING, K.REMOVED]
    assert all(isinstance(event, ContainerEvent) and event.container == member for event in told.events)


def test_restart_by_policy_is_told_with_the_end_before_it(telling: Engine, told: Told) -> None:
    container = telling.run(BUSYBOX, ["sh", "-c", "exit 5"], network="none", restart="on-failure:1")
    container.wait_until(lambda: told.kinds(container).count(K.STARTED) == 2, timeout=30)
    events = [(event.kind, event.text) for event in told.of(container)]
    assert events[1:4] == [(K.STARTED, ""), (K.ENDED, "exit code 5"), (K.STARTED, "again, by itself")]


@pytest.mark.registry
def test_image_that_was_fetched_is_told_once_with_its_size(
    push: Callable[[BuiltImage], str], tmp_path: Path, told: Told
) -> None:
    reference = push(busybox_image())
    with Engine.open(root=tmp_path / "store", extensions=Extensions(observe=told.events.append)) as engine:
        engine.pull(reference)
        engine.run(reference, ["true"], network="none")
    (event,) = [event for event in told.events if isinstance(event, ImageEvent)]
    assert event.reference == reference
    assert event.took_s > 0
    assert event.size > 0


class Lines:
    """What a follower gave, and a way to wait for it."""

    def __init__(self) -> None:
        self.given: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def take(self, container: Container, lines: Sequence[LogLine]) -> None:
        with self._changed:
            self.given += [(container.name, line.text) for line in lines]
            self._changed.notify_all()

    def await_all(self, *expected: tuple[str, str]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: set(expected) <= set(self.given), 30), self.given


def find_follower_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pytest-pods logs"]


def test_follower_gives_lines_of_several_containers_as_they_come_on_one_thread(engine: Engine) -> None:
    lines = Lines()
    follower = LogFollower(lines.take)
    made = []
    for name in ("one", "two"):
        script = f"mkfifo /talk; echo {name}; while :; do cat /talk; done"
        made.append(engine.run(BUSYBOX, ["sh", "-c", script], name=name, network="none", wait=waits.log(name)))
        follower.add(made[-1])
    assert len(find_follower_threads()) == 1
    made[0].succeed("echo later > /talk")
    lines.await_all(("one", "one"), ("two", "two"), ("one", "later"))
    follower.close()
    assert find_follower_threads() == []


def test_follower_gives_what_is_left_of_a_container_that_goes(engine: Engine) -> None:
    lines = Lines()
    follower = LogFollower(lines.take)
    container = engine.create(BUSYBOX, ["printf", "one\ntwo"], name="box", network="none")
    follower.add(container)
    container.start()
    container.wait(10)
    follower.finish(container)
    container.remove()
    assert lines.given == [("box", "one"), ("box", "two")]
    follower.read_now()
    follower.close()
    follower.add(container)
    assert lines.given == [("box", "one"), ("box", "two")]
