"""Volumes: made, found, listed, removed, and reached into. Knows which containers use them.

There are as many places with volumes as sessions, and one more: the command line's, which outlives its sessions.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_pods.engine.errors import (
    InUseError,
    NameInUseError,
    NotFoundError,
    VolumeNotFoundError,
)
from pytest_pods.engine.ids import new_container_id
from pytest_pods.engine.services.file_access import read_file, write_file
from pytest_pods.engine.services.image_users import read_session_records
from pytest_pods.engine.specs.mounts import VolumeMount
from pytest_pods.engine.specs.volumes import VolumeSpec
from pytest_pods.engine.state import locks
from pytest_pods.engine.state.sessions import find_command_line_id, is_live
from pytest_pods.engine.storage.volumes import VolumeRecord, VolumeStore, find_record
from pytest_pods.engine.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.state.layout import SessionLayout, StoreLayout, VolumeLayout, VolumesLayout
    from pytest_pods.engine.storage.tree_streams import Readable

_Volumes: TypeAlias = list[Volume]
_Records: TypeAlias = list["ContainerRecord"]
_Containers: TypeAlias = list["Container"]
_Names: TypeAlias = list[str]


class VolumeService:
    """The volumes of one place. Thread-safe; several processes may work on it."""

    def __init__(
        self,
        layout: VolumesLayout,
        *,
        store: StoreLayout,
        launcher: Callable[[], Sandbox],
        session: SessionLayout | None,
        open_container: Callable[[ContainerRecord], Container],
        is_hidden: Callable[[ContainerRecord], bool],
    ) -> None:
        """`store` says where to make what is then moved to `layout`; `session` is the one whose containers use the
        volumes, None for the command line's, whichever that is; `open_container` gives the handle of one of them. What
        goes with one that `is_hidden` is not listed."""
        self.layout = layout
        self._store = store
        self._launcher = launcher
        self._session = session
        self._open_container = open_container
        self._is_hidden = is_hidden
        self._volumes = VolumeStore(layout, store=store, launcher=launcher)

    # making and finding

    def create(self, spec: VolumeSpec) -> Volume:
        """Raises NameInUseError, InvalidSpecError, StorageError."""
        record = VolumeRecord(spec.name or new_container_id(), time.time(), spec.labels)
        self._volumes.create(record, entries=spec.entries)
        return Volume(record, self)

    def ensure(self, name: str) -> VolumeLayout:
        """The volume, made if there is none. The caller's record says already that it uses it. Raises StorageError."""
        self.layout.directory.mkdir(mode=0o711, exist_ok=True)
        # Whoever removes it has asked for its users before or after we wrote that we are one.
        with locks.brief(self.layout.lock_file):
            if self._volumes.find(name) is None:
                with suppress(NameInUseError):
                    self.create(VolumeSpec(name))
        return self.layout.volume(name)

    def get(self, name: str) -> Volume:
        """Raises VolumeNotFoundError."""
        record = self._find(name)
        if record is None:
            raise VolumeNotFoundError(f"no volume {name!r}", hint="pytest-pods volume ls lists those that there are")
        return Volume(record, self)

    def list(self) -> _Volumes:
        """Named ones by name, then those that go with a container."""
        anonymous = (find_record(layout) for layout in self._anonymous(hidden=self._is_hidden))
        records = (*self._volumes.list(), *anonymous)
        return [Volume(record, self) for record in records if record is not None]

    def _find(self, name: str) -> VolumeRecord | None:
        if not name or "/" in name or name.startswith("."):
            return None
        layout = self._find_layout(name)
        return None if layout is None else find_record(layout)

    def _find_layout(self, name: str) -> VolumeLayout | None:
        if self._volumes.find(name) is not None:
            return self.layout.volume(name)
        return next((layout for layout in self._anonymous() if layout.directory.name == name), None)

    def _get_layout(self, name: str) -> VolumeLayout:
        layout = self._find_layout(name)
        if layout is None:
            raise VolumeNotFoundError(f"volume {name} was removed")
        return layout

    # who uses them

    def users(self, name: str) -> _Records:
        """The records of the containers that have it mounted, or will once they run; oldest first."""
        found = [record for _, record in self._containers() if any(mount.name == name for mount in _volumes_of(record))]
        return sorted(found, key=lambda record: record.created)

    def user_containers(self, name: str) -> _Containers:
        """Those that are still there."""
        found: _Containers = []
        for record in self.users(name):
            with suppress(NotFoundError):
                found.append(self._open_container(record))
        return found

    def _containers(self) -> Iterator[tuple[SessionLayout, ContainerRecord]]:
        session = self._session or self._find_command_line()
        if session is not None:
            for record in read_session_records(session):
                yield session, record

    def _find_command_line(self) -> SessionLayout | None:
        session_id = find_command_line_id(self._store)
        if session_id is None:
            return None
        session = self._store.session(session_id)
        return session if is_live(session) else None

    def _anonymous(
        self, *, hidden: Callable[[ContainerRecord], bool] = lambda _record: False
    ) -> Iterator[VolumeLayout]:
        for session, record in self._containers():
            if hidden(record):
                continue
            place = session.container(record.id).volumes
            for mount in _volumes_of(record):
                if mount.anonymous and mount.name is not None:
                    yield place.volume(mount.name)

    # removing

    def remove(self, name: str, *, force: bool) -> None:
        """Raises VolumeNotFoundError, and InUseError for one that a container uses; with `force` those go first."""
        record = self.get(name).record
        if force:
            for container in self.user_containers(name):
                with suppress(NotFoundError):
                    container.remove(force=True)
        if record.anonymous:
            # It has gone with its container, or stays with it.
            self._refuse_used(name)
            return
        if not self._volumes.remove(name, check=lambda: self._refuse_used(name)):
            raise VolumeNotFoundError(f"volume {name} was removed")

    def _refuse_used(self, name: str) -> None:
        users = self.users(name)
        if users:
            names = ", ".join(record.name for record in users)
            raise InUseError(
                f"volume {name} is used by the container{'s' if len(users) > 1 else ''} {names}",
                hint="remove them first, or the volume by force, which removes them",
            )

    def prune(self) -> _Names:
        """Removes those that no container uses; their names."""
        removed = []
        for record in self._volumes.list():
            with suppress(InUseError, VolumeNotFoundError):
                self.remove(record.name, force=False)
                removed.append(record.name)
        return removed

    # reaching in

    def path(self, name: str) -> str:
        """Where its files are, in the sandbox and on the host."""
        return str(self._get_layout(name).data_dir)

    def read(self, name: str, path: str) -> bytes:
        """Raises NotFoundError, InvalidInputError for what is no regular file or is too large to be one value."""
        root = self._get_layout(name).data_dir
        return read_file(self._launcher(), path, root=root, subject=f"volume {name}", cure="export it")

    def write(self, name: str, path: str, content: bytes, *, mode: int) -> None:
        """Raises NotFoundError if the directory does not exist."""
        root = self._get_layout(name).data_dir
        write_file(self._launcher(), path, content, mode=mode, root=root, subject=f"volume {name}")

    def export(self, name: str, write: Callable[[bytes], object]) -> None:
        """Gives `write` a tar archive piece by piece. Raises StorageError, UnsafeEntryError."""
        from pytest_pods.engine.storage.volume_archives import pack

        directory = self._get_layout(name).data_dir
        pack(directory, launcher=self._launcher(), write=write, doing=f"exporting volume {name}")

    def import_(self, name: str, archive: Readable) -> None:
        """Raises ContentError, DiskFullError, StorageError; what was unpacked until then stays."""
        from pytest_pods.engine.storage.volume_archives import unpack_into

        unpack_into(
            self._get_layout(name).data_dir,
            launcher=self._launcher(),
            archive=archive,
            rootless=os.geteuid() != 0,
            doing=f"importing into volume {name}",
        )

    def inspect(self, record: VolumeRecord) -> dict[str, Any]:
        """A document in the shape of `docker volume inspect`."""
        layout = self._get_layout(record.name)
        created = datetime.fromtimestamp(record.created, UTC)
        return {
            "Name": record.name,
            "Driver": "local",
            "Mountpoint": str(layout.data_dir),
            "CreatedAt": created.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "Labels": dict(record.labels),
            "Options": {},
            "Scope": "local",
            "Anonymous": record.anonymous,
            "NeedsCopyUp": not record.anonymous and not layout.used_file.exists(),
            # Docker's "not counted": walking the whole tree is not what an inspection should cost.
            "UsageData": {"RefCount": len(self.users(record.name)), "Size": -1},
        }


def _volumes_of(record: ContainerRecord) -> Iterator[VolumeMount]:
    return (mount for mount in record.mounts if isinstance(mount, VolumeMount))


class LateRemovals:
    """Volumes that are to go as soon as no container uses them any more. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: _Volumes = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, *volumes: Volume) -> None:
        with self._lock:
            self._waiting += volumes

    def waits_for(self, name: str) -> bool:
        return any(volume.name == name for volume in self._waiting)

    def attempt(self) -> None:
        """Removes those that nobody uses; those that are used stay for the next time. Raises PodsError."""
        with self._lock:
            left = [*self._waiting]
            for volume in left:
                try:
                    volume.remove()
                except InUseError:
                    continue
                except VolumeNotFoundError:
                    pass
                self._waiting.remove(volume)
