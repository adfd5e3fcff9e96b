"""What is asked of one image, as values."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs import values
from pytest_pods.engine.specs.container import PullPolicy, parse_policy
from pytest_pods.frozen import frozen

IMAGE_OPTIONS = frozenset({"archive", "platform", "pull"})


@frozen
class ImageSpec:
    """An image of a registry, or the one in an archive; None means: as the settings say."""

    reference: str | None
    archive: Path | None = None
    pull: PullPolicy | None = None
    platform: str | None = None


def build_image_spec(reference: object = None, /, *, directory: Path, **options: Any) -> ImageSpec:
    """`archive`, a docker-archive or oci-archive, is relative to `directory`. Raises InvalidSpecError that names the
    argument."""
    unknown = sorted(set(options) - IMAGE_OPTIONS)
    if unknown:
        raise InvalidSpecError(
            f"unknown argument {unknown[0]!r} of an image", hint=values.did_you_mean(unknown[0], IMAGE_OPTIONS)
        )
    archive, pull, platform = (options.get(name) for name in ("archive", "pull", "platform"))
    if (reference is None) == (archive is None):
        raise InvalidSpecError(
            "an image is one of a registry or one of an archive",
            hint="give a reference such as 'redis:7', or archive='shop.tar'",
        )
    if reference is not None and (not isinstance(reference, str) or not reference):
        raise InvalidSpecError(f"an image has to be a reference such as 'redis:7', not {reference!r}")
    if archive is not None and (pull is not None or platform is not None):
        raise InvalidSpecError(f"{'pull' if pull is not None else 'platform'} belongs to an image of a registry")
    if platform is not None and not isinstance(platform, str):
        raise InvalidSpecError(f"platform has to be a text such as 'linux/arm64', not {platform!r}")
    return ImageSpec(
        reference,
        archive=None if archive is None else _parse_path(archive, directory),
        pull=None if pull is None else parse_policy("pull", pull),
        platform=platform,
    )


def _parse_path(value: object, directory: Path) -> Path:
    if not isinstance(value, str | PathLike) or not isinstance(fspath(value), str):
        raise InvalidSpecError(f"archive has to be a path, not {value!r}")
    return directory / fspath(value)


def parse_image_spec(value: object, *, directory: Path) -> ImageSpec:
    """What a function returns: a reference, or the arguments as a mapping. Raises InvalidSpecError."""
    if isinstance(value, ImageSpec):
        return value
    if isinstance(value, str):
        return build_image_spec(value, directory=directory)
    if not isinstance(value, Mapping):
        raise InvalidSpecError(
            f"it returned {value!r}", hint="it has to return a reference, or a mapping such as {'archive': 'shop.tar'}"
        )
    options = dict(value)
    return build_image_spec(options.pop("image", None), directory=directory, **options)
