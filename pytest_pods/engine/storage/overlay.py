"""The plan of an overlay mount: its options, for the new mount API and for kernels without it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pods.engine.errors import UnsupportedHostError
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_CLASSIC_DATA = 4095
"""Bytes of mount(2) data: the kernel takes one page and cuts the rest off in silence."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@frozen
class OverlayPlan:
    """An overlay of `lower` (lowest first) and a writable `upper`."""

    lower: tuple[Path, ...]
    upper: Path
    work: Path
    flags: tuple[str, ...]

    @property
    def options(self) -> tuple[str, ...]:
        """For the new mount API: one option a layer, topmost first, so that no length and no character is special."""
        return (
            *(f"lowerdir+={directory}" for directory in reversed(self.lower)),
            f"upperdir={self.upper}",
            f"workdir={self.work}",
            *self.flags,
        )

    def classic(self, *, links: Path) -> ClassicOverlay:
        """For mount(2) with `links` as working directory. Raises UnsupportedHostError if there are too many layers."""
        names = {_short(number): directory for number, directory in enumerate(self.lower)}
        data = ",".join(
            (
                "lowerdir=" + ":".join(reversed(names)),
                f"upperdir={_escape(self.upper)}",
                f"workdir={_escape(self.work)}",
                *self.flags,
            )
        )
        if len(data.encode()) > MOST_CLASSIC_DATA:
            raise UnsupportedHostError(
                f"{len(self.lower)} layers are more than this kernel mounts at once",
                hint="a kernel from 6.8 on has no such limit; or build the image with fewer layers",
            )
        return ClassicOverlay(data, links, names)


@frozen
class ClassicOverlay:
    """`data` for mount(2); its lower directories are `links` (name → target), symbolic links in `directory`."""

    data: str
    directory: Path
    links: Mapping[str, Path]


def build_overlay_plan(
    *, lower: tuple[Path, ...], upper: Path, work: Path, user_xattrs: bool, volatile: bool = True
) -> OverlayPlan:
    """`user_xattrs`: rootless, where the kernel lets nobody set trusted.* attributes.

    `volatile`: nothing is synced, which is right for scratch that nobody mounts again.
    """
    if not lower:
        raise ValueError("an overlay needs a lower directory")
    flags = (*(["userxattr"] if user_xattrs else []), *(["volatile"] if volatile else []))
    return OverlayPlan(lower, upper, work, flags)


def _short(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
        if not number:
            return text


def _escape(path: Path) -> str:
    """The classic option string takes backslashes before what would end a value."""
    text = str(path)
    for character in "\\:,":
        text = text.replace(character, f"\\{character}")
    return text
