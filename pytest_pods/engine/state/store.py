"""Makes a store's directories, and refuses one that is not ours or that another release wrote."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import StorageError, UnsupportedVersionError
from pytest_pods.engine.state.atomic import find_bytes, storage_errors, write_atomically
from pytest_pods.engine.state.layout import VERSION, StoreLayout

if TYPE_CHECKING:
    from pathlib import Path

_OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}\n'
_EMPTY_INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}\n'


def ensure_store(layout: StoreLayout) -> None:
    """Afterwards all directories of the store exist, and are the user's alone.

    Raises StorageError, and UnsupportedVersionError for a store of another release.
    """
    version = _find_version(layout)
    if version is not None and version != VERSION:
        raise UnsupportedVersionError(
            f"the store {layout.root} has the version {version!r}; this release reads {VERSION!r}",
            hint="use the release that made it, or another root",
        )
    with storage_errors(f"preparing the store {layout.root}"):
        _make_private(layout.run_root)
        if version is None:
            _make_private(layout.root)
            for directory in _directories(layout):
                directory.mkdir(parents=True, mode=0o700, exist_ok=True)
            for path, content in ((layout.layout_file, _OCI_LAYOUT), (layout.index_file, _EMPTY_INDEX)):
                if not path.exists():
                    write_atomically(path, content, mode=0o644)
            write_atomically(layout.version_file, VERSION.encode() + b"\n")
        layout.sessions_dir.mkdir(mode=0o700, exist_ok=True)


def _find_version(layout: StoreLayout) -> str | None:
    with storage_errors(f"reading the store {layout.root}"):
        content = find_bytes(layout.version_file)
    return None if content is None else content.decode("utf-8", "replace").strip()


def _directories(layout: StoreLayout) -> tuple[Path, ...]:
    return (
        layout.blobs_dir / "sha256",
        layout.blobs_dir / "sha512",
        layout.images_dir,
        layout.layers_dir,
        layout.empty_dir,
        layout.common_staging_dir,
        layout.scratch_dir,
        layout.volumes.directory,
        layout.locks_dir,
    )


def _make_private(directory: Path) -> None:
    """Set-uid programs of images lie below: nobody else may reach them."""
    directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    status = os.lstat(directory)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StorageError(
            f"{directory} belongs to another user or is not a directory", hint="choose another place with --pods-root"
        )
    if status.st_mode & 0o077:
        os.chmod(directory, 0o700)
