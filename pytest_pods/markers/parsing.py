"""From the marks of a test to a plan of its container or pod; mistakes name the mark and the argument.

The nearest mark counts. With `extend=True` it adds to the next one further out, and so on. Nothing is made here, and no
function of the user is called before a plan is carried out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pytest_pods.engine.errors import InvalidInputError, InvalidMarkerError, InvalidSpecError, PodsWarning
from pytest_pods.engine.specs.container import ContainerSpec
from pytest_pods.engine.specs.extending import (
    build_extended_container_spec,
    build_extended_pod_spec,
    parse_container_link,
    parse_pod_link,
)
from pytest_pods.engine.specs.pods import PodSpec, build_pod_spec
from pytest_pods.frozen import frozen
from pytest_pods.markers.definitions import (
    CONTAINER,
    CONTAINER_SPEC,
    EXTEND,
    IMAGE,
    IMAGES,
    POD,
    POD_SPEC,
    SPEC,
    find_marks,
)
from pytest_pods.markers.images import (
    NO_CHOICE,
    Choice,
    build_choices,
    choose_image,
    choose_pod_images,
    find_image_lists,
    find_members,
    name_container,
)
from pytest_pods.markers.plans import Plan, name_function, read_parameters

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

T = TypeVar("T")


def plan_container(item: pytest.Item, *, asked: bool = True) -> Plan[ContainerSpec]:
    """How the container comes about that a test's marks ask for.

    `asked` is False for a test that does not lead to it. Raises InvalidMarkerError, also if there is no mark.
    """
    links = _read_links(item, CONTAINER, _read_container_mark)
    with _naming(CONTAINER):
        choice = _find_choice(item, CONTAINER_SPEC, [name_container(link.options) for link in links], asked=asked)
        links = [link.with_options(choose_image(link.options, choice)) for link in links]
        return _plan(CONTAINER, links, _build_container)


def plan_pod(item: pytest.Item, *, asked: bool = True) -> Plan[PodSpec]:
    """How the pod comes about that a test's marks ask for; `kube=` is relative to the test's file.

    `asked` is False for a test that does not lead to it. Raises InvalidMarkerError, also if there is no mark.
    """
    links = _read_links(item, POD, _read_pod_mark)
    with _naming(POD):
        choice = _find_choice(item, POD_SPEC, [find_members(link.options) for link in links], asked=asked)
        links = [link.with_options(choose_pod_images(link.options, choice)) for link in links]
        return _plan(POD, links, partial(_build_pod, item.path.parent))


def find_container_choices(node: pytest.Item) -> tuple[Choice, ...]:
    """The images that a test is to be run with, where its marks name several; raises InvalidMarkerError."""
    links = _read_links(node, CONTAINER, _read_container_mark)
    with _naming(CONTAINER):
        return build_choices(find_image_lists([name_container(link.options) for link in links]))


def find_pod_choices(node: pytest.Item) -> tuple[Choice, ...]:
    """The images of members that a test is to be run with, where its marks name several; raises InvalidMarkerError."""
    links = _read_links(node, POD, _read_pod_mark)
    with _naming(POD):
        return build_choices(find_image_lists([find_members(link.options) for link in links]))


def find_parameters(node: pytest.Item, name: str) -> tuple[str, ...]:
    """The fixtures that functions in a test's marks want; raises InvalidMarkerError."""
    links = _read_links(node, name, _read_container_mark if name == CONTAINER else _read_pod_mark)
    return tuple(dict.fromkeys(parameter for link in links for parameter in link.parameters))


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


@frozen
class _Link:
    """What one mark says: arguments, or a function that returns them; it may add to the mark further out."""

    options: Mapping[str, Any]
    function: Callable[..., object] | None = None
    extends: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        return () if self.function is None else read_parameters(self.function)

    def with_options(self, options: Mapping[str, Any]) -> _Link:
        return _Link(options, self.function, self.extends)


_Said: TypeAlias = "Mapping[str, Any] | ContainerSpec | PodSpec"
_Build: TypeAlias = Callable[[Sequence[Any]], tuple[T, tuple[str, ...]]]
"""From what marks say, the one furthest out first, to a specification, and what of it has no effect."""


def _read_links(item: pytest.Item, name: str, read: Callable[[pytest.Mark], _Link]) -> list[_Link]:
    """What the marks of a test say that count, the one furthest out first."""
    links: list[_Link] = []
    for mark in find_marks(item, name):
        links.insert(0, read(mark))
        if not links[0].extends:
            return links
    if links:
        raise InvalidMarkerError(
            f"@pytest.mark.{name} has {EXTEND}=True, and there is no mark further out that it could add to",
            hint=f"put @pytest.mark.{name} on the class or in pytestmark of the module, or leave {EXTEND} out",
        )
    example = '"redis:7"' if name == CONTAINER else 'db=dict(image="redis:7")'
    raise InvalidMarkerError(
        f"{item.nodeid} asks for a {name}, and has no @pytest.mark.{name}",
        hint=f"write @pytest.mark.{name}({example}) on the test, its class or as pytestmark of its module",
    )


def _read_container_mark(mark: pytest.Mark) -> _Link:
    options = dict(mark.kwargs)
    if len(mark.args) > 2:
        raise InvalidMarkerError(
            f"@pytest.mark.{CONTAINER} takes the image and the command by position, and got a third: {mark.args[2]!r}",
            hint="name the other arguments, as in ports=[6379]",
        )
    for name, value in zip((IMAGE, "command"), mark.args, strict=False):
        if name in options:
            raise InvalidMarkerError(f"@pytest.mark.{CONTAINER} got {name} twice: {value!r} and {options[name]!r}")
        options[name] = value
    return _read_link(CONTAINER, options)


def _read_pod_mark(mark: pytest.Mark) -> _Link:
    if mark.args:
        raise InvalidMarkerError(
            f"@pytest.mark.{POD} takes its members by name, and got {mark.args[0]!r}",
            hint=f'write @pytest.mark.{POD}(db=dict(image="redis:7"))',
        )
    link = _read_link(POD, dict(mark.kwargs))
    if link.extends and "kube" in link.options:
        raise InvalidMarkerError(
            f"@pytest.mark.{POD} has kube and {EXTEND}=True: the file says what the whole pod is",
            hint="name the file in the mark further out, and add to it from here",
        )
    return link


def _read_link(name: str, options: dict[str, Any]) -> _Link:
    extends = options.pop(EXTEND, False)
    if not isinstance(extends, bool):
        raise InvalidMarkerError(f"@pytest.mark.{name}: {EXTEND} has to be True or False, not {extends!r}")
    if SPEC not in options:
        return _Link(options, None, extends)
    function = options.pop(SPEC)
    if not callable(function):
        raise InvalidMarkerError(
            f"@pytest.mark.{name}: {SPEC} has to be a function that takes fixtures, not {function!r}",
            hint="give what is known already as arguments of the mark",
        )
    if options:
        raise InvalidMarkerError(
            f"@pytest.mark.{name} got {SPEC} and {next(iter(options))!r}",
            hint=f"the function returns all that the {name} is made of; a nearer mark with {EXTEND}=True adds to it",
        )
    return _Link({}, function, extends)


def _find_choice(item: pytest.Item, fixture: str, links: Sequence[Mapping[str, Any]], *, asked: bool) -> Choice:
    """The images that this run of a test is with."""
    choices = build_choices(find_image_lists(links))
    chosen: Choice | None = getattr(getattr(item, "callspec", None), "params", {}).get(fixture)
    if chosen is None:
        if choices and asked:
            raise InvalidSpecError(
                f"{IMAGES} in a mark of a parameter set, in one that was added later, or of a test that asks for it"
                " only while it runs",
                hint=f"write one {IMAGE}, or put {IMAGES} on the function and the fixture among its arguments",
            )
        return choices[0] if choices else NO_CHOICE
    if chosen not in choices:
        raise InvalidSpecError(
            f"the test runs with each of several images, and the mark of its parameter set names another {IMAGE}",
            hint=f"leave the {IMAGE} of the parameter set out, or the {IMAGES} of the mark further out",
        )
    return chosen


def _plan(name: str, links: Sequence[_Link], build: _Build[T]) -> Plan[T]:
    functions = [link.function for link in links if link.function is not None]
    if not functions:
        spec, said = build([link.options for link in links])

        def give(_fixtures: object) -> T:
            warn_of(said)
            return spec

        return Plan(give, fixed=spec)
    for link in links:
        if "kube" not in link.options:
            (parse_container_link if name == CONTAINER else parse_pod_link)(link.options)

    def resolve(fixtures: Mapping[str, Any]) -> T:
        parts = [link.options if link.function is None else _ask(name, link, link.function, fixtures) for link in links]
        with _naming(name, functions[-1]):
            spec, said = build(parts)
        warn_of(said)
        return spec

    return Plan(resolve, tuple(dict.fromkeys(parameter for link in links for parameter in link.parameters)))


def _ask(name: str, link: _Link, function: Callable[..., object], fixtures: Mapping[str, Any]) -> _Said:
    value = function(**{parameter: fixtures[parameter] for parameter in link.parameters})
    if isinstance(value, Mapping):
        return value
    if isinstance(value, ContainerSpec if name == CONTAINER else PodSpec) and not link.extends:
        return value
    example = '{"image": "redis:7"}' if name == CONTAINER else '{"db": {"image": "redis:7"}}'
    raise InvalidMarkerError(
        f"@pytest.mark.{name}({SPEC}={name_function(function)}): it returned {value!r}",
        hint=f"it has to return a mapping such as {example}" + ("" if link.extends else ", or a spec"),
    )


def _build_container(parts: Sequence[Any]) -> tuple[ContainerSpec, tuple[str, ...]]:
    return build_extended_container_spec(parts), ()


def _build_pod(directory: Path, parts: Sequence[Any]) -> tuple[PodSpec, tuple[str, ...]]:
    said: tuple[str, ...] = ()
    first, *others = parts
    if isinstance(first, Mapping) and "kube" in first:
        first, said = build_pod_options(first, directory)
        for option in ("network", "networks"):
            if any(option in part for part in others):
                raise InvalidSpecError(
                    f"{option} cannot be added to the pod of a file, whose services are names of its network",
                    hint=f"give {option} beside kube=, in the mark further out",
                )
    spec = build_extended_pod_spec([first, *others])
    if not spec.members:
        raise InvalidSpecError("names no member", hint=f'write @pytest.mark.{POD}(db=dict(image="redis:7"))')
    return spec, said


@contextmanager
def _naming(name: str, function: Callable[..., object] | None = None) -> Iterator[None]:
    """Lets errors of arguments name the mark, and the function that gave them."""
    where = "" if function is None else f"({SPEC}={name_function(function)})"
    try:
        yield
    except InvalidMarkerError:
        raise
    except InvalidInputError as error:
        brief = f"@pytest.mark.{name}{where}: {error.brief}"
        raise InvalidMarkerError(brief, details=error.details, hint=error.hint) from error
