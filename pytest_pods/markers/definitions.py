"""The marks that the plugin knows: what pytest is told about them, and in which order those of one test count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from _pytest.nodes import Node

CONTAINER: Final = "container"
POD: Final = "pod"
PODS: Final = "pods"

FIXTURES: Final = (CONTAINER, POD, "run_container", "run_pod", "make_network", "make_volume", PODS, "pods_artifacts")
"""The fixtures of ours that have plain names; `pods_fixture_prefix` stands before them."""

CONTAINER_SPEC: Final = "_pods_container_spec"
POD_SPEC: Final = "_pods_pod_spec"
"""The fixtures that give what the marks of a test ask for. They have parameters where there are several images."""

SPECS: Final = {CONTAINER: CONTAINER_SPEC, POD: POD_SPEC}

EXTEND: Final = "extend"
SPEC: Final = "spec"
IMAGE: Final = "image"
IMAGES: Final = "images"

LINES: Final = (
    f"{CONTAINER}(image, command=None, *, ports, env, volumes, tmpfs, wait, timeout, …): what the fixture `container`"
    " gives; the nearest mark counts, with extend=True it adds to the next one further out; images=[…] runs the test"
    " with each, spec=function takes other fixtures",
    f"{POD}(*, name=dict(image, needs, init, …), kube='shop.yaml', ports, network, share, …): what the fixture `pod`"
    " gives: a member for each mapping, or the pod of a file for Kubernetes; the nearest mark counts, with extend=True"
    " it adds to the next one further out; spec=function takes other fixtures",
    f"{PODS}: the test reaches the container engine; set by itself, for -m 'not pods'",
)
"""As pytest's ini `markers` has them."""


def find_marks(node: Node, name: str) -> tuple[pytest.Mark, ...]:
    """The marks of the name that a test has, the nearest first: those of its parameter set, of the function, its
    class, the classes that this one is derived from, the classes around it, the module, the package."""
    return tuple(mark for one in reversed(node.listchain()) for mark in _sort_marks(one) if mark.name == name)


def _sort_marks(node: Node) -> Sequence[pytest.Mark]:
    marks = node.own_markers
    if isinstance(node, pytest.Class):
        # pytest lists the marks of base classes first.
        return sorted(marks, key=lambda mark: _find_distance(node.obj, mark))
    of_parameters: Sequence[pytest.Mark] = getattr(getattr(node, "callspec", None), "marks", ())
    # pytest lists the marks of parameter sets behind those of the function.
    return [*of_parameters, *(mark for mark in marks if not any(mark is one for one in of_parameters))]


def _find_distance(cls: type, mark: pytest.Mark) -> int:
    """How many bases away the class is that has the mark; 0 also for marks that were put on the node itself."""
    for distance, base in enumerate(cls.__mro__):
        given = base.__dict__.get("pytestmark", ())
        for one in given if isinstance(given, list | tuple) else (given,):
            if getattr(one, "mark", one) is mark:
                return distance
    return 0
