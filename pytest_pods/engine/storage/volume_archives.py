"""What is in a volume, to a tar archive and from one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_pods.engine.storage.tree_streams import Readable, stream_in, stream_out

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.engine.host.process import Launcher


def pack(directory: Path, *, launcher: Launcher, write: Callable[[bytes], object], doing: str) -> None:
    """Gives `write` the archive piece by piece. Raises as `stream_out`."""
    stream_out(["pack", str(directory)], launcher=launcher, write=write, doing=doing)


def unpack_into(directory: Path, *, launcher: Launcher, archive: Readable, rootless: bool, doing: str) -> None:
    """Puts what is in an archive into a directory, beside and over what is there. Raises as `stream_in`."""
    arguments = ["import", str(directory), "rootless" if rootless else "rootful"]
    stream_in(arguments, launcher=launcher, archive=archive, doing=doing)
