"""What marks are refused for, and what they become."""

from __future__ import annotations

import pytest

from pytest_pods import waits
from pytest_pods.engine.errors import InvalidMarkerError
from pytest_pods.engine.specs.ports import PortSpec
from pytest_pods.markers.parsing import parse_container_mark


def mark_of(*args: object, **kwargs: object) -> pytest.Mark:
    # A name that no test of this suite is refused for.
    return pytest.mark.usefixtures.with_args(*args, **kwargs).mark


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
    ],
)
def test_mistake_names_mark_and_argument(mark: pytest.Mark, told: str) -> None:
    with pytest.raises(InvalidMarkerError) as caught:
        parse_container_mark(mark)
    assert caught.value.brief.startswith("@pytest.mark.container")
    assert told in str(caught.value)
