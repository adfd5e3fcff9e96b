"""What marks do to the collection of a test: several images run it several times, functions bring fixtures into it."""

from __future__ import annotations

import pytest

from pytest_pods.markers.definitions import CONTAINER, SPEC, SPECS, find_marks


def parametrize_images(metafunc: pytest.Metafunc) -> None:
    """Lets a test run with each of the images that its marks name. Wrong marks are left to be reported later."""
    node = metafunc.definition
    for name, fixture in SPECS.items():
        if fixture not in metafunc.fixturenames or not find_marks(node, name):
            continue
        from pytest_pods.engine.errors import InvalidMarkerError
        from pytest_pods.markers.parsing import find_container_choices, find_pod_choices

        try:
            choices = (find_container_choices if name == CONTAINER else find_pod_choices)(node)
        except InvalidMarkerError:
            continue
        if choices:
            metafunc.parametrize(fixture, choices, ids=[choice.id for choice in choices], indirect=True)


def find_wanted_fixtures(collector: pytest.Collector, name: str, obj: object) -> tuple[str, ...]:
    """The fixtures that functions in the marks of a test want, if `obj` is a test that asks for what they describe."""
    if not (isinstance(collector, pytest.Module | pytest.Class) and collector.istestfunction(obj, name)):
        return ()
    own = getattr(obj, "pytestmark", None)
    marks = [*(own if isinstance(own, list) else ()), *collector.iter_markers()]
    if not any(SPEC in mark.kwargs for mark in marks if mark.name in SPECS):
        return ()
    from pytest_pods.engine.errors import InvalidMarkerError
    from pytest_pods.markers.parsing import find_parameters

    # Only pytest can tell which fixtures a test leads to; this test is never run.
    test = pytest.Function.from_parent(collector, name=name, callobj=getattr(obj, "__func__", obj))
    wanted: list[str] = []
    for mark, fixture in SPECS.items():
        if fixture in test.fixturenames and find_marks(test, mark):
            try:
                wanted += find_parameters(test, mark)
            except InvalidMarkerError:
                return ()
    return tuple(dict.fromkeys(wanted))
