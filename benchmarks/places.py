"""Directories for what does not outlive the machine's uptime: on a tmpfs, as /run is on most machines."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def run_directories(*directories: Path) -> Iterator[None]:
    """Makes them, each a tmpfs of its own. Needs root, as dockerd does."""
    with ExitStack() as stack:
        for directory in directories:
            directory.mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", directory], check=True)
            stack.callback(_unmount, directory)
        yield


def _unmount(directory: Path) -> None:
    subprocess.run(["umount", "--lazy", directory], check=True)
