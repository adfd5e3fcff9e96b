"""From `@pytest.mark.container(...)` and `pod(...)` to specifications; mistakes name the mark and the argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidInputError, InvalidMarkerError
from pytest_pods.engine.specs.container import build_container_spec
from pytest_pods.engine.specs.pods import build_pod_spec
from pytest_pods.markers.definitions import CONTAINER, POD, find_mark

if TYPE_CHECKING:
    import pytest

    from pytest_pods.engine.specs.container import ContainerSpec
    from pytest_pods.engine.specs.pods import PodSpec


def parse_container_mark(mark: pytest.Mark) -> ContainerSpec:
    """The specification that a mark asks for; raises InvalidMarkerError that names the argument."""
    if not mark.args and "image" not in mark.kwargs:
        raise InvalidMarkerError(
            f"@pytest.mark.{CONTAINER} names no image", hint=f'write @pytest.mark.{CONTAINER}("redis:7")'
        )
    options = dict(mark.kwargs)
    positional = list(mark.args)
    if "image" in options and not positional:
        positional = [options.pop("image")]
    if len(positional) > 2:
        raise InvalidMarkerError(
            f"@pytest.mark.{CONTAINER} takes the image and the command by position, and got a third: {positional[2]!r}",
            hint="name the other arguments, as in ports=[6379]",
        )
    for name, given in (("image", positional[:1]), ("command", positional[1:])):
        if given and name in options:
            raise InvalidMarkerError(f"@pytest.mark.{CONTAINER} got {name} twice: {given[0]!r} and {options[name]!r}")
    try:
        return build_container_spec(*positional, **options)
    except InvalidInputError as error:
        raise InvalidMarkerError(
            f"@pytest.mark.{CONTAINER}: {error.brief}", details=error.details, hint=error.hint
        ) from error


def parse_pod_mark(mark: pytest.Mark) -> PodSpec:
    """The specification that a mark asks for; raises InvalidMarkerError that names the member and the argument."""
    if mark.args:
        raise InvalidMarkerError(
            f"@pytest.mark.{POD} takes its members by name, and got {mark.args[0]!r}",
            hint=f'write @pytest.mark.{POD}(db=dict(image="redis:7"))',
        )
    try:
        spec = build_pod_spec(**mark.kwargs)
    except InvalidInputError as error:
        brief = f"@pytest.mark.{POD}: {error.brief}"
        raise InvalidMarkerError(brief, details=error.details, hint=error.hint) from error
    if not spec.members:
        raise InvalidMarkerError(
            f"@pytest.mark.{POD} names no member", hint=f'write @pytest.mark.{POD}(db=dict(image="redis:7"))'
        )
    return spec


def get_pod_spec(item: pytest.Item) -> PodSpec:
    """What the nearest mark of a test asks for; raises InvalidMarkerError, also if there is no mark."""
    mark = find_mark(item, POD)
    if mark is None:
        raise InvalidMarkerError(
            f"{item.nodeid} uses the fixture {POD}, and has no @pytest.mark.{POD}",
            hint=f'write @pytest.mark.{POD}(db=dict(image="redis:7")) on the test, its class or as pytestmark',
        )
    return parse_pod_mark(mark)


def get_container_spec(item: pytest.Item) -> ContainerSpec:
    """What the nearest mark of a test asks for; raises InvalidMarkerError, also if there is no mark."""
    mark = find_mark(item, CONTAINER)
    if mark is None:
        raise InvalidMarkerError(
            f"{item.nodeid} uses the fixture {CONTAINER}, and has no @pytest.mark.{CONTAINER}",
            hint=f'write @pytest.mark.{CONTAINER}("redis:7") on the test, its class or as pytestmark of its module',
        )
    return parse_container_mark(mark)
