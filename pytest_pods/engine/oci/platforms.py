"""Platforms: what people write, what this machine is, and which image of an index is for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ImageNotFoundError, InvalidSpecError
from pytest_pods.engine.oci.descriptor import Descriptor, Platform

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_pods.engine.oci.manifest import Index

_PART = re.compile(r"[a-z0-9_]{1,32}\Z")

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "loongarch64": "loong64",
}
_ARM_MACHINE = re.compile(r"armv([5-8])")
_NEWEST = {"arm": "v7", "arm64": "v8", "amd64": "v1"}
"""Variant that is meant where none is given."""


def parse_platform(text: str) -> Platform:
    """Reads `linux/arm64/v8`, `linux/amd64` or `arm64`; raises InvalidSpecError."""
    parts = text.lower().split("/")
    if len(parts) == 1:
        parts.insert(0, "linux")
    if len(parts) > 3 or not all(_PART.match(part.replace("-", "_")) for part in parts):
        raise InvalidSpecError(f"invalid platform {text[:80]!r}", hint="write, for example, 'linux/arm64'")
    variant = parts[2] if len(parts) == 3 else None
    if parts[1] in ("armel", "armhf") and variant is None:
        variant = "v6" if parts[1] == "armel" else "v7"
    return Platform(parts[0], _ARCHITECTURES.get(parts[1], parts[1]), variant)


def host_platform() -> Platform:
    """The platform of this machine's kernel."""
    import os

    machine = os.uname().machine.lower()
    if arm := _ARM_MACHINE.match(machine):
        return Platform("linux", "arm", f"v{min(int(arm.group(1)), 7)}")
    return Platform("linux", _ARCHITECTURES.get(machine, machine))


def build_platform_order(wanted: Platform) -> tuple[Platform, ...]:
    """What can be run where `wanted` is asked for, best first: older variants serve where the newest is missing."""
    variant = wanted.variant or _NEWEST.get(wanted.architecture)
    if variant is None or not re.fullmatch(r"v[0-9]{1,2}", variant):
        return (Platform(wanted.os, wanted.architecture, variant),)
    lowest = {"arm": 5, "arm64": 8, "amd64": 1}.get(wanted.architecture, int(variant[1:]))
    return tuple(
        Platform(wanted.os, wanted.architecture, f"v{number}") for number in range(int(variant[1:]), lowest - 1, -1)
    )


def find_for_platform(index: Index, wanted: Platform) -> Descriptor | None:
    """The entry of `index` that suits `wanted` best; an entry without a platform serves if no other could."""
    order = {platform: place for place, platform in enumerate(build_platform_order(wanted))}
    suitable = [
        (order[normal], entry)
        for entry in index.manifests
        if entry.platform is not None and (normal := _normalise(entry.platform)) in order
    ]
    if suitable:
        return min(suitable, key=lambda pair: pair[0])[1]
    unnamed = [entry for entry in index.manifests if entry.platform is None]
    return unnamed[0] if len(unnamed) == 1 else None


def get_for_platform(index: Index, wanted: Platform, *, where: str) -> Descriptor:
    """As `find_for_platform`; raises ImageNotFoundError that lists what there is."""
    if (entry := find_for_platform(index, wanted)) is not None:
        return entry
    there = _describe(entry.platform for entry in index.manifests)
    raise ImageNotFoundError(f"{where} has no image for {wanted}", hint=f"it has images for {there}")


def platform_suits(actual: Platform, wanted: Platform) -> bool:
    """Whether an image that says it is for `actual` is what `wanted` asks for."""
    return _normalise(actual) in build_platform_order(wanted)


def _normalise(platform: Platform) -> Platform:
    architecture = _ARCHITECTURES.get(platform.architecture.lower(), platform.architecture.lower())
    variant = platform.variant or _NEWEST.get(architecture)
    # Both spellings are in use: "v8" and "8".
    if variant and variant[0].isdigit():
        variant = f"v{variant}"
    return Platform(platform.os.lower(), architecture, variant)


def _describe(platforms: Iterable[Platform | None]) -> str:
    # Attestations are stored as entries of an unknown platform.
    names = sorted({str(one) for one in platforms if one is not None and one.os != "unknown"})
    return ", ".join(names[:20]) or "no platform at all"
