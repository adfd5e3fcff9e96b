"""What whoever opens an engine may add to it: which image a reference means, waits by name, an ear for events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.events import Event
    from pytest_pods.engine.specs.container import ContainerSpec
    from pytest_pods.engine.waiting import Wait


def _same(reference: str) -> str:
    return reference


def _none(_name: str) -> object:
    return None


def _ignore(_event: Event) -> None: ...


@frozen
class Extensions:
    """`resolve_image`: the reference that is used where this one is asked for; `find_wait`: the wait, or function of a
    container, of a name, None for a name that it does not know; `observe` is told what happens to containers and
    images, and neither raises nor takes long. All may be called by any thread."""

    resolve_image: Callable[[str], str] = _same
    find_wait: Callable[[str], object] = _none
    observe: Callable[[Event], None] = _ignore

    def resolve(self, spec: ContainerSpec) -> ContainerSpec:
        """The specification with the images that are used: its own, and those that it mounts."""
        from pytest_pods.engine.specs.mounts import ImageMount

        mounts = tuple(
            replace(one, image=self.resolve_image(one.image)) if isinstance(one, ImageMount) else one
            for one in spec.mounts
        )
        image = self.resolve_image(spec.image)
        return spec if (image, mounts) == (spec.image, spec.mounts) else spec.with_changes(image=image, mounts=mounts)

    def get_wait(self, name: str) -> Wait:
        """Raises InvalidSpecError for a name that nobody knows."""
        from pytest_pods.engine.errors import InvalidSpecError
        from pytest_pods.engine.waiting import NamedWait, parse_wait

        found = self.find_wait(name)
        if found is None:
            raise InvalidSpecError(
                f"no wait is called {name!r}",
                hint="implement the hook pytest_pods_find_wait, or write waits.port(6379) or the like",
            )
        wait = parse_wait(found)
        if isinstance(wait, NamedWait):
            raise InvalidSpecError(f"the wait {name!r} is again a name: {wait.name!r}")
        return wait
