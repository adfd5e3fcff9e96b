"""Several images of one container: `images=["redis:6", "redis:7"]` runs what uses it once with each of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

from pytest_pods.engine.errors import InvalidReferenceError, InvalidSpecError
from pytest_pods.engine.oci.reference import Reference
from pytest_pods.engine.specs.container import ContainerSpec
from pytest_pods.engine.specs.pods import POD_OPTIONS, MemberSpec, naming_member
from pytest_pods.markers.definitions import IMAGE, IMAGES


@dataclass(frozen=True, slots=True, repr=False)
class Choice:
    """One image for each that has several: pairs of a member's name, empty for a container of its own, and an image."""

    images: tuple[tuple[str, str], ...]

    @property
    def id(self) -> str:
        """What a test is called with it: `redis:6`, or `redis:6-postgres:16`."""
        return "-".join(image for _, image in self.images)

    def __repr__(self) -> str:
        # pytest shows it where it shows what fixtures it sets up.
        return self.id

    def find(self, member: str = "") -> str | None:
        """The image that was chosen for the member."""
        return dict(self.images).get(member)


NO_CHOICE: Final = Choice(())


def build_choices(lists: Mapping[str, Sequence[str]]) -> tuple[Choice, ...]:
    """All combinations of the images of each member; none if no member has several."""
    if not lists:
        return ()
    return tuple(Choice(tuple(zip(lists, images, strict=True))) for images in itertools.product(*lists.values()))


def find_image_lists(links: Sequence[Mapping[str, Any]]) -> Mapping[str, tuple[str, ...]]:
    """Which members have several images, in the order in which they are named first. Each of the `links` describes
    members by their names (`name_container` and `find_members` give that), the last counts most.

    Raises InvalidSpecError that names the member.
    """
    named: dict[str, tuple[str, ...]] = {}
    for members in links:
        for member, options in members.items():
            images = _read_images(member, options)
            if images is not None:
                # A place in the order is kept where a later link says something else.
                named[member] = images
    return {member: images for member, images in named.items() if images}


def name_container(options: object) -> Mapping[str, Any]:
    """A container of its own, described as a member without a name."""
    return {"": options}


def find_members(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the arguments of a pod say of its members, by their names."""
    more = options.get("containers")
    named = {name: value for name, value in options.items() if name not in POD_OPTIONS}
    return {**named, **more} if isinstance(more, Mapping) else named


def choose_image(options: Mapping[str, Any], choice: Choice, member: str = "") -> Mapping[str, Any]:
    """The arguments of a container with the chosen image in the place of `images`."""
    image = choice.find(member) if IMAGES in options else None
    rest = {name: value for name, value in options.items() if name != IMAGES}
    return rest if image is None else {**rest, IMAGE: image}


def choose_pod_images(options: Mapping[str, Any], choice: Choice) -> Mapping[str, Any]:
    """The arguments of a pod with the chosen images in the places of `images`."""
    chosen = dict(options)
    for name in options.keys() - POD_OPTIONS:
        chosen[name] = _choose_of_member(options[name], choice, name)
    more = options.get("containers")
    if isinstance(more, Mapping):
        chosen["containers"] = {name: _choose_of_member(value, choice, name) for name, value in more.items()}
    return chosen


def _choose_of_member(value: object, choice: Choice, member: str) -> object:
    return choose_image(value, choice, member) if isinstance(value, Mapping) else value


def _read_images(member: str, options: object) -> tuple[str, ...] | None:
    """None if nothing is said of the image, nothing if there is one."""
    if isinstance(options, ContainerSpec | MemberSpec):
        return ()
    if not isinstance(options, Mapping):
        return None
    if IMAGES not in options:
        return None if options.get(IMAGE) is None else ()
    with naming_member(member) if member else nullcontext():
        if options.get(IMAGE) is not None:
            raise InvalidSpecError("image and images were both given", hint="name all of them in images")
        return _parse_images(options[IMAGES])


def _parse_images(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(image, str) and image for image in value):
        raise InvalidSpecError(f"images has to be a list of references such as ['redis:6', 'redis:7'], not {value!r}")
    if not value:
        raise InvalidSpecError("images is empty: the test would not run at all", hint="name an image, or skip the test")
    seen: dict[object, str] = {}
    for image in value:
        identity = _find_identity(image)
        if identity in seen:
            other = seen[identity]
            raise InvalidSpecError(f"images names {image!r} twice" + ("" if other == image else f", also as {other!r}"))
        seen[identity] = image
    return tuple(value)


def _find_identity(image: str) -> object:
    # The same reference, however it is written; or an image's ID.
    try:
        return Reference.parse(image)
    except InvalidReferenceError:
        return image
