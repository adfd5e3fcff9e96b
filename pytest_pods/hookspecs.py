"""The hooks that we offer to conftest files and other plugins, with their contracts.

Each may leave out arguments that it does not need, as hooks of pytest do. Hooks on containers are called for those of
fixtures and marks, members of pods too; not for what a test makes by `pods` itself. Their order for one container:
before_create, created, ready or failed, before_remove, removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.specs.container import ContainerSpec
    from pytest_pods.engine.waiting import Wait


@pytest.hookspec(firstresult=True)
def pytest_pods_resolve_image(image: str) -> str | None:
    """The reference that is used wherever a test asks for `image`; None leaves it to the next, and at last as it is.

    Called once a run for each reference, after `--pods-image`, which goes first; also for what a test pulls or runs by
    `pods` itself, and by any thread.
    """


@pytest.hookspec(firstresult=True)
def pytest_pods_find_wait(name: str) -> Wait | Callable[[Container], object] | None:
    """The wait that `wait="NAME"` means, or a function of the container; None leaves it to the next."""


@pytest.hookspec(firstresult=True)
def pytest_pods_before_create(spec: ContainerSpec, fixture: str, nodeid: str) -> ContainerSpec | None:
    """A container of a fixture is about to be made: another specification to make it from, as of
    `spec.with_changes(env={…})`, or None.

    `fixture` is the fixture's name, `nodeid` the test or collector that the container belongs to. What is raised here
    fails the set-up of the fixture.
    """


@pytest.hookspec()
def pytest_pods_container_created(container: Container, fixture: str, nodeid: str) -> None:
    """A container of a fixture was made. It has not been started; a member of a pod may have been.

    What is raised here fails the set-up of the fixture.
    """


@pytest.hookspec()
def pytest_pods_container_ready(container: Container, fixture: str, nodeid: str) -> None:
    """A container of a fixture has started, and its wait (if any) holds; the test does not have it yet.

    What is raised here fails the set-up of the fixture.
    """


@pytest.hookspec()
def pytest_pods_container_failed(container: Container, fixture: str, nodeid: str, error: Exception) -> None:
    """A container of a fixture did not start or did not get ready; it is still there, and removed afterwards."""


@pytest.hookspec()
def pytest_pods_before_remove(container: Container, fixture: str, nodeid: str) -> None:
    """A container of a fixture is about to be removed: it is still there, and what it is asked takes the test's time.

    It is removed whatever is raised here, which fails the tear-down of the fixture.
    """


@pytest.hookspec()
def pytest_pods_container_removed(container: Container, fixture: str, nodeid: str) -> None:
    """A container of a fixture is gone; only its name, ID, image and specification can be asked.

    Containers are removed in the background: this is called when pytest next begins a test, or ends. What is raised
    here is a fault of the run.
    """


@pytest.hookspec()
def pytest_pods_report_sections(container: Container, fixture: str, nodeid: str) -> Iterable[tuple[str, str]] | None:
    """A test has failed that this container, which is still there, belongs to: sections for its report, each a title
    and a text.

    What is raised here is shown as a section.
    """
