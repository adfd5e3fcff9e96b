"""`inspect`: everything about containers, images, volumes or networks, as documents in Docker's shape."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "NAME...",
    OptionGroup(
        "Options",
        Option("-f", "--format", value="FORMAT", help="json (default), or a template such as '{{.State.Status}}'"),
        Option("--type", value="KIND", help="what the names are of (default: a container if there is one)",
               choices=("container", "image", "volume", "network", "pod", "all")),
    ),
    least=1,
    most=None,
    examples=[
        ("pytest-pods inspect -f '{{.State.ExitCode}}' web", "how it ended"),
        ("""pytest-pods inspect -f '{{index .Config.Labels "app"}}' web""", "a label with a name that is no word"),
    ],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.templates import print_inspections

    kind = parsed.find("--type") or "all"
    return print_inspections(parsed, context, lambda name: _inspect(name, kind, context))


def _inspect(name: str, kind: str, context: Context) -> dict[str, Any]:
    from pytest_pods.cli.image_views import build_image_inspection
    from pytest_pods.engine.errors import (
        ContainerNotFoundError,
        ImageNotFoundError,
        InvalidInputError,
        NetworkNotFoundError,
        NotFoundError,
        PodNotFoundError,
        VolumeNotFoundError,
    )

    if kind in ("container", "all"):
        try:
            return context.get_container(name)[1].inspect()
        except ContainerNotFoundError:
            if kind == "container":
                raise
    if kind in ("pod", "all"):
        try:
            return context.get_pod(name)[1].inspect()
        except PodNotFoundError:
            if kind == "pod":
                raise
    if kind in ("image", "all"):
        try:
            return build_image_inspection(context.open_for_images().image(name))
        except (ImageNotFoundError, InvalidInputError):
            if kind == "image":
                raise
    if kind in ("volume", "all"):
        try:
            return context.get_volume(name).inspect()
        except VolumeNotFoundError:
            if kind == "volume":
                raise
    try:
        return context.get_network(name)[1].inspect()
    except NetworkNotFoundError:
        if kind == "network":
            raise
    raise NotFoundError(
        f"no container, pod, image, volume or network {name!r}",
        hint="pytest-pods ps -a, pod ps, images, volume ls and network ls list them",
    )
