"""From `@pytest.mark.container(...)` and `pod(...)` to specifications; mistakes name the mark and the argument."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.errors import InvalidInputError, InvalidMarkerError, PodsWarning
from pytest_pods.engine.specs.container import build_container_spec
from pytest_pods.engine.specs.pods import build_pod_spec
from pytest_pods.markers.definitions import CONTAINER, POD, find_mark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

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


def parse_pod_mark(mark: pytest.Mark, directory: Path) -> tuple[PodSpec, tuple[str, ...]]:
    """The specification that a mark asks for, and what of a file for Kubernetes has no effect.

    `kube=` is relative to `directory`. Raises InvalidMarkerError that names the member and the argument.
    """
    if mark.args:
        raise InvalidMarkerError(
            f"@pytest.mark.{POD} takes its members by name, and got {mark.args[0]!r}",
            hint=f'write @pytest.mark.{POD}(db=dict(image="redis:7"))',
        )
    try:
        spec, said = build_pod_options(mark.kwargs, directory)
    except InvalidInputError as error:
        brief = f"@pytest.mark.{POD}: {error.brief}"
        raise InvalidMarkerError(brief, details=error.details, hint=error.hint) from error
    if not spec.members:
        raise InvalidMarkerError(
            f"@pytest.mark.{POD} names no member", hint=f'write @pytest.mark.{POD}(db=dict(image="redis:7"))'
        )
    return spec, said


def build_pod_options(options: Mapping[str, Any], directory: Path) -> tuple[PodSpec, tuple[str, ...]]:
    """What the arguments of a pod ask for, with `kube=` or without, and what of it has no effect."""
    if "kube" not in options:
        return build_pod_spec(**options), ()
    from pytest_pods.engine.kube.choosing import build_pod_spec_from

    return build_pod_spec_from(options, directory=directory)


def warn_of(said: Sequence[str]) -> None:
    """What of a file for Kubernetes has no effect, as warnings of the test."""
    for text in said:
        warnings.warn(text, PodsWarning, stacklevel=2)


def get_pod_spec(item: pytest.Item) -> PodSpec:
    """What the nearest mark of a test asks for; raises InvalidMarkerError, also if there is no mark."""
    mark = find_mark(item, POD)
    if mark is None:
        raise InvalidMarkerError(
            f"{item.nodeid} uses the fixture {POD}, and has no @pytest.mark.{POD}",
            hint=f'write @pytest.mark.{POD}(db=dict(image="redis:7")) on the test, its class or as pytestmark',
        )
    spec, said = parse_pod_mark(mark, item.path.parent)
    warn_of(said)
    return spec


def get_container_spec(item: pytest.Item) -> ContainerSpec:
    """What the nearest mark of a test asks for; raises InvalidMarkerError, also if there is no mark."""
    mark = find_mark(item, CONTAINER)
    if mark is None:
        raise InvalidMarkerError(
            f"{item.nodeid} uses the fixture {CONTAINER}, and has no @pytest.mark.{CONTAINER}",
            hint=f'write @pytest.mark.{CONTAINER}("redis:7") on the test, its class or as pytestmark of its module',
        )
    return parse_container_mark(mark)
