"""What is made ahead of its use: complete, and alone until it is admitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_pods import waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import ContainerNotFoundError, ImageNotFoundError, InUseError, PodNotFoundError
from pytest_pods.engine.events import ContainerEvent, Event
from pytest_pods.engine.extensions import Extensions
from pytest_pods.engine.pod import Pod
from pytest_pods.engine.specs.container import build_container_spec
from pytest_pods.engine.specs.pods import build_pod_spec
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import busybox_builder

SERVE = ["sh", "-c", "echo up; nc -ll -p 80 -e echo here"]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def engine(image_store: Path, events: list[Event]) -> Iterator[Engine]:
    with Engine.open(root=image_store, timeout=30, extensions=Extensions(observe=events.append)) as engine:
        yield engine


def find_kinds(events: list[Event], *containers: Container) -> list[str]:
    ids = {one.id for one in containers}
    return [event.kind.value for event in events if isinstance(event, ContainerEvent) and event.container.id in ids]


def ask(container: Container, ip: str) -> str:
    return container.exec(["sh", "-c", f"nc -w 1 {ip} 80 </dev/null"], timeout=20).stdout.strip()


def await_answer(container: Container, ip: str) -> None:
    container.wait_until(lambda: ask(container, ip) == "here")


def make_pod(engine: Engine) -> Pod:
    seen: list[Pod] = []
    spec = build_pod_spec(web={"image": BUSYBOX, "command": SERVE, "wait": waits.log("up")})
    pod = engine.run_pod_from(spec, ahead=seen.append)
    assert seen == [pod]
    return pod


def test_container_is_alone_until_it_is_admitted(engine: Engine, events: list[Event]) -> None:
    other = engine.run(BUSYBOX, SERVE, wait=waits.port(80))
    early = engine.create_from(build_container_spec(BUSYBOX, SERVE, volumes=["/data"], ports=[80]), ahead=True)
    early.start()
    early.wait_ready(waits.port(80))
    assert [one.id for one in engine.containers()] == [other.id]
    assert engine.volumes() == []
    assert engine.counters.containers == 1
    with pytest.raises(ContainerNotFoundError):
        engine.container(early.name)
    assert ask(other, early.ip) == ""
    assert ask(early, other.ip) == ""
    assert find_kinds(events, early) == []

    engine.let_out(early)
    engine.admit(early)
    assert [one.id for one in engine.containers()] == [other.id, early.id]
    assert len(engine.volumes()) == 1
    assert engine.counters.containers == 2
    await_answer(other, early.ip)
    await_answer(early, other.ip)
    assert find_kinds(events, early) == ["created", "started", "awaited", "taken"]
    early.remove()
    assert find_kinds(events, early)[4:] == ["removing", "removed"]


def test_container_ahead_looks_from_inside_as_any_other(engine: Engine) -> None:
    plain = engine.run(BUSYBOX, SERVE)
    early = engine.create_from(build_container_spec(BUSYBOX, SERVE), ahead=True)
    early.start()
    for command in ("ip -o route", "ip -o link show eth0", "ip -o -4 addr show eth0"):
        words = [
            [word for word in one.succeed(command).replace(one.ip, "IP").split() if "@" not in word]
            for one in (plain, early)
        ]
        # The number of a link and its address of hardware are its own.
        assert [word for word in words[0] if ":" not in word] == [word for word in words[1] if ":" not in word]


def test_pod_is_alone_until_it_is_admitted(engine: Engine, events: list[Event]) -> None:
    other = engine.run(BUSYBOX, SERVE, wait=waits.port(80))
    pod = make_pod(engine)
    assert (engine.pods(), [one.id for one in engine.containers()]) == ([], [other.id])
    with pytest.raises(PodNotFoundError):
        engine.pod(pod.name)
    assert pod.status == "running"
    assert ask(other, pod["web"].ip) == ""

    engine.let_out(pod)
    engine.admit(pod)
    assert engine.pod(pod.name) == pod
    assert engine.counters.containers == 2
    await_answer(other, pod["web"].ip)
    assert find_kinds(events, pod["web"]) == ["created", "started", "ready", "taken"]


def test_what_nobody_asks_for_goes_without_a_word(engine: Engine, events: list[Event]) -> None:
    early = engine.create_from(build_container_spec(BUSYBOX, SERVE), ahead=True)
    pod = make_pod(engine)
    layouts = [engine.store.session(engine.session_id).container(early.id), *(
        engine.store.session(engine.session_id).container(one.id) for one in pod.values()
    )]
    early.remove()
    pod.remove(force=True)
    assert not any(layout.directory.exists() for layout in layouts)
    assert events == []
    assert engine.counters.containers == 0


def test_nothing_is_fetched_ahead(engine: Engine) -> None:
    spec = build_container_spec("registry.invalid/nothing:1", pull="always")
    with pytest.raises(ImageNotFoundError):
        engine.create_from(spec, ahead=True)


def test_image_of_what_is_ahead_can_be_removed(engine: Engine, tmp_path: Path) -> None:
    name, stays = "localhost/ahead:1", "localhost/stays:1"
    image = busybox_builder().config(Env=["AHEAD=yes"]).build()
    engine.load(image.write_docker_archive(tmp_path / "image.tar", names=[name, stays]))
    early = engine.create_from(build_container_spec(name, SERVE), ahead=True)
    assert engine.has_current_images(early)
    engine.remove_image(name)
    assert not engine.has_current_images(early)
    early.start()
    assert early.running
    engine.admit(early)
    with pytest.raises(InUseError):
        engine.remove_image(stays)
    early.remove()
    engine.remove_image(stays)
