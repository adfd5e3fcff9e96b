"""Images as rows for people and as documents for programs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_pods.cli.formats import format_age, format_moment, format_size
from pytest_pods.engine.oci.reference import Reference

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_pods.engine.oci.image_config import ImageHealth
    from pytest_pods.engine.services.image import Image

_NONE = "<none>"


def split_name(reference: str) -> tuple[str, str]:
    """Repository and tag of a reference; `<none>` for a tag that is not there."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    repository, _, tag = last.partition(":")
    return head + slash + repository, tag or _NONE


def build_image_rows(image: Image, now: datetime, *, truncate: bool) -> list[dict[str, str]]:
    """One row for each of its references, in Docker's names."""
    rows = []
    for reference in image.references or ("",):
        repository, tag = split_name(Reference.parse(reference).familiar()) if reference else (_NONE, _NONE)
        rows.append(
            {
                "Repository": repository,
                "Tag": tag,
                "ID": image.short_id if truncate else str(image.id),
                "Digest": str(image.manifest.digest),
                "CreatedAt": format_moment(image.created),
                "CreatedSince": format_age(image.created, now) or "N/A",
                "Size": format_size(image.size),
            }
        )
    return rows


def build_image_document(image: Image) -> dict[str, Any]:
    """What `images --format json` has of it, in Podman's names."""
    return {
        "Id": image.id.hex,
        "Names": list(image.references),
        "RepoTags": _tags(image),
        "RepoDigests": list(image.digests),
        "Digest": str(image.manifest.digest),
        "Created": int(image.created.timestamp()) if image.created else 0,
        "CreatedAt": image.created.isoformat() if image.created else "",
        "Size": image.size,
        "Labels": dict(image.config.labels),
        "Os": image.config.platform.os,
        "Arch": image.config.platform.architecture,
    }


def build_image_inspection(image: Image) -> dict[str, Any]:
    """The document of `image inspect`, in the shape of Docker's."""
    config = image.config
    return {
        "Id": str(image.id),
        "RepoTags": _tags(image),
        "RepoDigests": list(image.digests),
        "Digest": str(image.manifest.digest),
        "Created": config.created or "",
        "Os": config.platform.os,
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant or "",
        "Size": image.size,
        "Config": {
            "User": config.user,
            "Env": [f"{name}={value}" for name, value in config.env],
            "Entrypoint": list(config.entrypoint) or None,
            "Cmd": list(config.command) or None,
            "WorkingDir": config.workdir,
            "StopSignal": config.stop_signal or "",
            "ExposedPorts": {port: {} for port in config.exposed_ports},
            "Volumes": {volume: {} for volume in config.volumes},
            "Labels": dict(config.labels),
            **({} if config.health is None else {"Healthcheck": _build_health_check(config.health)}),
        },
        "RootFS": {"Type": "layers", "Layers": [str(diff_id) for diff_id in config.diff_ids]},
    }


def _build_health_check(health: ImageHealth) -> dict[str, Any]:
    """As it stands in the image: times in nanoseconds, 0 where it says nothing."""
    times = {
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
    }
    return {
        "Test": list(health.test),
        **{key: round((value or 0) * 1e9) for key, value in times.items()},
        "Retries": health.retries or 0,
    }


def _tags(image: Image) -> list[str]:
    return [reference for reference in image.references if "@" not in reference]
