"""What marks are refused for, and what they become."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_pods import waits
from pytest_pods.engine.errors import InvalidMarkerError
from pytest_pods.engine.specs.container import ContainerSpec
from pytest_pods.engine.specs.pods import PodSpec
from pytest_pods.engine.specs.ports import PortSpec
from pytest_pods.markers.parsing import plan_container, plan_pod


def mark_of(*args: object, **kwargs: object) -> pytest.Mark:
    return pytest.mark.container.with_args(*args, **kwargs).mark


def pod_mark(**kwargs: object) -> pytest.Mark:
    return pytest.mark.pod.with_args(**kwargs).mark


def item_with(*marks: pytest.Mark) -> pytest.Item:
    """What parsing asks of a test that has these marks, the nearest first."""
    item = SimpleNamespace(own_markers=list(marks), nodeid="test_it.py::test_one", path=Path("test_it.py"))
    item.listchain = lambda: [item]
    return cast(pytest.Item, item)


def parse_container_mark(*marks: pytest.Mark) -> ContainerSpec:
    spec = plan_container(item_with(*marks)).fixed
    assert spec is not None
    return spec


def parse_pod_mark(*marks: pytest.Mark) -> PodSpec:
    spec = plan_pod(item_with(*marks)).fixed
    assert spec is not None
    return spec


def test_mark_becomes_the_spec_that_the_api_would_build() -> None:
    wait = waits.port(6379)
    spec = parse_container_mark(mark_of("redis:7", ["redis-server"], ports=[6379], env={"A": "b"}, wait=wait))
    assert spec.image == "redis:7"
    assert spec.command == ("redis-server",)
    assert spec.ports == (PortSpec(6379),)
    assert spec.env == {"A": "b"}
    assert spec.wait is wait


def test_image_and_command_may_be_named() -> None:
    spec = parse_container_mark(mark_of(image="redis:7", command="redis-server --port 1"))
    assert (spec.image, spec.command) == ("redis:7", ("redis-server", "--port", "1"))


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        pytest.param(mark_of(), "names no image", id="no image"),
        pytest.param(mark_of("redis:7", prots=[1]), "unknown argument 'prots'", id="unknown argument"),
        pytest.param(mark_of("redis:7", prots=[1]), "did you mean 'ports'?", id="unknown argument, near one"),
        pytest.param(mark_of("redis:7", ports=["x"]), "invalid port 'x'", id="wrong value"),
        pytest.param(mark_of("redis:7", ports=6379), "write ports=[6379]", id="number for list"),
        pytest.param(mark_of("redis:7", [], 6379), "got a third: 6379", id="third positional"),
        pytest.param(mark_of("redis:7", image="redis:6"), "got image twice: 'redis:7' and 'redis:6'", id="image twice"),
        pytest.param(mark_of("redis:7", "a", command="b"), "got command twice", id="command twice"),
        pytest.param(mark_of(7), "image has to be a reference such as 'redis:7', not 7", id="image is no text"),
        pytest.param(mark_of("redis:7", wait=6379), "wait has to be a wait", id="wait is none"),
        pytest.param(mark_of("redis:7", env={"PORT": 1}), "write '1'", id="environment is no text"),
        pytest.param(mark_of("redis:7", name="a b"), "invalid name 'a b'", id="name"),
        pytest.param(mark_of("redis:7", extend=1), "extend has to be True or False, not 1", id="extend"),
        pytest.param(mark_of(env={}, extend=True), "no mark further out that it could add to", id="extends nothing"),
        pytest.param(mark_of("redis:7", images=["redis:6"]), "image and images were both given", id="two of image"),
        pytest.param(mark_of(images=[]), "images is empty", id="no images"),
        pytest.param(mark_of(images="redis:7"), "images has to be a list of references", id="images is a text"),
        pytest.param(mark_of(images=["redis", 7]), "images has to be a list of references", id="images of numbers"),
        pytest.param(mark_of(images=["a:1", "b", "a:1"]), "images names 'a:1' twice", id="same image"),
        pytest.param(
            mark_of(images=["redis", "docker.io/library/redis:latest"]),
            "images names 'docker.io/library/redis:latest' twice, also as 'redis'",
            id="same image, written otherwise",
        ),
        pytest.param(mark_of(spec={"image": "x"}), "spec has to be a function that takes fixtures", id="spec"),
        pytest.param(mark_of("redis:7", spec=print), "got spec and 'image'", id="spec and more"),
    ],
)
def test_mistake_names_mark_and_argument(mark: pytest.Mark, told: str) -> None:
    with pytest.raises(InvalidMarkerError) as caught:
        parse_container_mark(mark)
    assert caught.value.brief.startswith("@pytest.mark.container")
    assert told in str(caught.value)


def test_mark_that_extends_adds_to_the_next_one_further_out() -> None:
    near, far = waits.port(1), waits.port(2)
    spec = parse_container_mark(
        mark_of(env={"B": "near"}, ports=[2], extend=True),
        mark_of(command=["middle"], env={"B": "middle", "C": "middle"}, wait=near, extend=True),
        mark_of("redis:7", env={"A": "far", "B": "far"}, ports=[1], wait=far),
        mark_of("not counted", env={"D": "beyond"}),
    )
    assert spec.image == "redis:7"
    assert spec.env == {"A": "far", "B": "near", "C": "middle"}
    assert spec.command == ("middle",)
    assert spec.ports == (PortSpec(1), PortSpec(2))
    assert spec.wait is near


def test_marks_further_out_may_leave_the_image_to_nearer_ones() -> None:
    spec = parse_container_mark(mark_of("redis:7", extend=True), mark_of(env={"A": "b"}))
    assert (spec.image, spec.env) == ("redis:7", {"A": "b"})


def test_contradiction_of_several_marks_is_found() -> None:
    with pytest.raises(InvalidMarkerError, match="ports cannot be published with network='host'"):
        parse_container_mark(mark_of(network="host", extend=True), mark_of("redis:7", ports=[1]))


def test_members_of_pods_come_together_by_name() -> None:
    spec = parse_pod_mark(
        pod_mark(db={"env": {"B": "near"}, "needs": ["log"]}, cache={"image": "redis:7"}, memory="2g", extend=True),
        pod_mark(db={"image": "db:1", "env": {"A": "far"}, "needs": ["seed"]}, seed={"image": "s"}, log={"image": "l"}),
    )
    assert [member.name for member in spec.members] == ["db", "seed", "log", "cache"]
    assert spec.member("db").container.image == "db:1"
    assert spec.member("db").container.env == {"A": "far", "B": "near"}
    assert spec.member("db").needs == ("seed", "log")
    assert spec.memory == 2 * 1024**3


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        pytest.param(pod_mark(web={"env": {}}), "@pytest.mark.pod: member 'web': names no image", id="member"),
        pytest.param(pod_mark(memory="1g"), "@pytest.mark.pod: names no member", id="no member"),
        pytest.param(pod_mark(kube="x", extend=True), "the file says what the whole pod is", id="kube extends"),
        pytest.param(pod_mark(web={"images": []}), "member 'web': images is empty", id="images of member"),
        pytest.param(
            pod_mark(web={"image": "a", "images": ["b"]}), "member 'web': image and images were both", id="image twice"
        ),
    ],
)
def test_mistake_in_a_pod_is_named(mark: pytest.Mark, told: str) -> None:
    with pytest.raises(InvalidMarkerError) as caught:
        parse_pod_mark(mark)
    assert told in str(caught.value)


def test_function_is_not_called_before_its_plan_is_carried_out() -> None:
    called = []

    def describe(server: str, more: str = "default") -> dict[str, object]:
        called.append(server)
        return {"image": server, "env": {"MORE": more}}

    plan = plan_container(item_with(mark_of(env={"A": "b"}, extend=True), mark_of(spec=describe)))
    assert (plan.fixed, plan.parameters, called) == (None, ("server",), [])
    spec = plan.build({"server": "redis:7"})
    assert (spec.image, spec.env) == ("redis:7", {"MORE": "default", "A": "b"})


def test_function_that_extends_gets_its_own_fixtures_alone() -> None:
    marks = [mark_of(spec=lambda near: {"env": {"A": near}}, extend=True), mark_of(spec=lambda far: {"image": far})]
    plan = plan_container(item_with(*marks))
    assert plan.parameters == ("far", "near")
    spec = plan.build({"far": "redis:7", "near": "b"})
    assert (spec.image, spec.env) == ("redis:7", {"A": "b"})


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (7, "it returned 7"),
        ({"image": "redis:7", "prots": []}, "unknown argument 'prots'"),
        ({"images": ["a", "b"]}, "unknown argument 'images'"),
        ({}, "names no image"),
    ],
)
def test_mistake_in_what_a_function_returned_names_it(returned: object, told: str) -> None:
    def describe() -> object:
        return returned

    with pytest.raises(InvalidMarkerError, match=told) as caught:
        plan_container(item_with(mark_of(spec=describe))).build({})
    assert "describe)" in caught.value.brief


def test_mistake_beside_a_function_is_found_before_it_is_called() -> None:
    with pytest.raises(InvalidMarkerError, match="unknown argument 'prots'"):
        plan_container(item_with(mark_of(prots=[], extend=True), mark_of(spec=lambda: {})))


def test_whole_spec_of_a_function_is_extended() -> None:
    whole = parse_container_mark(mark_of("redis:7", env={"A": "b"}))
    spec = plan_container(item_with(mark_of(env={"C": "d"}, extend=True), mark_of(spec=lambda: whole))).build({})
    assert (spec.image, spec.env) == ("redis:7", {"A": "b", "C": "d"})
