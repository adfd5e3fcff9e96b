"""The marks that the plugin knows: what pytest is told about them, and which of several on one test counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

CONTAINER: Final = "container"
POD: Final = "pod"
PODS: Final = "pods"

LINES: Final = (
    f"{CONTAINER}(image, command=None, *, ports, env, volumes, tmpfs, wait, timeout, …): what the fixture `container`"
    " gives; the nearest mark counts",
    f"{POD}(*, name=dict(image, needs, init, …), kube='shop.yaml', ports, network, share, …): what the fixture `pod`"
    " gives: a member for each mapping, or the pod of a file for Kubernetes; the nearest mark counts",
    f"{PODS}: the test reaches the container engine; set by itself, for -m 'not pods'",
)
"""As pytest's ini `markers` has them."""


def find_mark(item: pytest.Item, name: str) -> pytest.Mark | None:
    """The nearest mark of the name: of the parameter set, else of the function, its class, its module."""
    # pytest lists the marks of parameter sets behind those of the function.
    marks: Iterable[pytest.Mark] = getattr(getattr(item, "callspec", None), "marks", ())
    for mark in marks:
        if mark.name == name:
            return mark
    return item.get_closest_marker(name)
