"""Volumes on the disk: made whole or not at all, listed, removed. What containers put into them is not looked at here.

A volume of a session lies in its scratch, and goes with it. Those of the command line lie in the store, and stay.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidSpecError, NameInUseError
from pytest_pods.engine.state import locks
from pytest_pods.engine.state.atomic import storage_errors
from pytest_pods.engine.state.records import find_document, write_document
from pytest_pods.engine.storage.staging import staged, sweep_staging
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_pods.engine.state.layout import StoreLayout, VolumeLayout, VolumesLayout
    from pytest_pods.engine.storage.trees import LauncherSource


@frozen
class VolumeRecord:
    """`created`: seconds since the epoch; `container`: the ID of the one that an anonymous volume goes with."""

    name: str
    created: float
    labels: Mapping[str, str] = field(default_factory=dict)
    container: str | None = None

    @property
    def anonymous(self) -> bool:
        return self.container is not None


class VolumeStore:
    """The volumes of one place. Several processes may work on it at once."""

    def __init__(self, layout: VolumesLayout, *, store: StoreLayout, launcher: LauncherSource) -> None:
        self.layout = layout
        self._store = store
        self._launcher = launcher

    def create(self, record: VolumeRecord, *, entries: Iterable[tuple[str, bytes | Path | None]] = ()) -> None:
        """Makes a volume with what `entries` say. Raises NameInUseError, InvalidSpecError, StorageError."""
        target = self.layout.volume(record.name).directory
        if target.exists():
            raise _name_in_use(record.name)
        self._sweep()
        with staged(self._store, self._launcher) as place, storage_errors(f"making volume {record.name}"):
            self.layout.directory.mkdir(mode=0o711, exist_ok=True)
            make_volume(place.volume, record, entries=entries)
            try:
                os.rename(place.volume.directory, target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise _name_in_use(record.name) from None

    def find(self, name: str) -> VolumeRecord | None:
        """Raises StorageError."""
        return find_record(self.layout.volume(name))

    def list(self) -> tuple[VolumeRecord, ...]:
        """By name."""
        try:
            names = sorted(os.listdir(self.layout.directory))
        except FileNotFoundError:
            return ()
        found = (self.find(name) for name in names if not name.startswith("."))
        return tuple(record for record in found if record is not None)

    def remove(self, name: str, *, check: Callable[[], None]) -> bool:
        """Removes a volume with all that is in it; False if there is none.

        `check` is called while nobody can begin to use it, and raises if it may not be removed.
        """
        self._sweep()
        with (
            storage_errors(f"removing volume {name}"),
            # What was moved there is deleted once others may go on.
            staged(self._store, self._launcher) as place,
            locks.brief(self.layout.lock_file),
        ):
            check()
            try:
                os.rename(self.layout.volume(name).directory, place.volume.directory)
            except FileNotFoundError:
                return False
        return True


    def _sweep(self) -> None:
        """What a killed process left; a session's own staging goes with the session."""
        if self._store.session_staging_dir is None:
            sweep_staging(self._store, self._launcher)


def make_volume(
    layout: VolumeLayout, record: VolumeRecord, *, entries: Iterable[tuple[str, bytes | Path | None]] = ()
) -> None:
    """Makes the directories of a volume in place; where that must not be seen half-made, elsewhere. Raises OSError."""
    layout.directory.mkdir(mode=0o711)
    layout.data_dir.mkdir()
    # As the image's directories usually are, whatever the caller's umask is.
    layout.data_dir.chmod(0o755)
    for path, content in entries:
        _write_entry(layout.data_dir, path, content)
    write_document(
        layout.record_file,
        {
            "name": record.name,
            "created": record.created,
            "driver": "local",
            "labels": dict(record.labels),
            "options": {},
            "anonymous": record.anonymous,
            "container": record.container,
        },
    )


def find_record(layout: VolumeLayout) -> VolumeRecord | None:
    """A volume's record, None if there is no volume. What is in one is worth more than its record: if a power cut has
    taken that, the volume is there all the same. Raises StorageError."""
    document = find_document(layout.record_file)
    name = layout.directory.name
    if document is None:
        try:
            return VolumeRecord(name, layout.data_dir.stat().st_ctime)
        except (FileNotFoundError, NotADirectoryError):
            return None
    labels = document.find("labels", dict) or {}
    return VolumeRecord(
        name,
        document.get("created", float),
        {str(key): str(value) for key, value in labels.items()},
        document.find("container", str),
    )


def _name_in_use(name: str) -> NameInUseError:
    return NameInUseError(f"there is a volume {name} already", hint="take another name, or remove that one")


def _write_entry(data: Path, path: str, content: bytes | Path | None) -> None:
    # Slow to import, and most volumes are made empty.
    import shutil

    target = data / path
    _make_directories(data, target if content is None else target.parent)
    if isinstance(content, bytes):
        target.write_bytes(content)
        target.chmod(0o644)
    elif content is not None and content.is_dir():
        try:
            shutil.copytree(content, target, symlinks=True, dirs_exist_ok=True)
        except shutil.Error as error:
            source, _, reason = error.args[0][0]
            raise InvalidSpecError(f"content: copying {source}: {reason}") from error
    elif content is not None:
        try:
            shutil.copy2(content, target)
        except shutil.SpecialFileError as error:
            raise InvalidSpecError(f"content: {error}") from error


def _make_directories(data: Path, directory: Path) -> None:
    if directory == data or directory.is_dir():
        return
    _make_directories(data, directory.parent)
    directory.mkdir()
    directory.chmod(0o755)
