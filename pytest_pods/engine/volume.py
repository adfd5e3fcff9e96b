"""The handle on one volume that tests and the command line hold; every verb is one call of the service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_pods.engine.specs.mounts import VolumeMount

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.services.volumes import VolumeService
    from pytest_pods.engine.storage.tree_streams import Readable
    from pytest_pods.engine.storage.volumes import VolumeRecord


class Writable(Protocol):
    """An open file, or what writes like one."""

    def write(self, content: bytes, /) -> object: ...


class Volume:
    """A volume of a session, or of the command line. Its text is its name, as in `volumes=[f"{volume}:/data"]`."""

    def __init__(self, record: VolumeRecord, service: VolumeService) -> None:
        self._record = record
        self._service = service

    def __repr__(self) -> str:
        return f"<Volume {self.name}>"

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Volume) and (other.name, other._service) == (self.name, self._service)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def record(self) -> VolumeRecord:
        """What was written down when it was made."""
        return self._record

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def labels(self) -> Mapping[str, str]:
        return self._record.labels

    @property
    def anonymous(self) -> bool:
        """True for one that goes with its container."""
        return self._record.anonymous

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self._record.created, UTC)

    @property
    def path(self) -> Path:
        """Where its files are, in the sandbox and on the host. What is there was written by containers: links in it
        may lead anywhere. `read` and `write` never follow them out of the volume. Raises VolumeNotFoundError."""
        return Path(self._service.path(self.name))

    def at(self, target: str, /, *, read_only: bool = False) -> VolumeMount:
        """How it is mounted at a place of a container: `volumes=[volume.at("/data", read_only=True)]`."""
        return VolumeMount(self.name, target, read_only)

    def users(self) -> list[Container]:
        """The containers that have it mounted, whatever their state; oldest first."""
        return self._service.user_containers(self.name)

    def read(self, path: str) -> bytes:
        """The content of a file in it. Raises NotFoundError, InvalidInputError."""
        return self._service.read(self.name, path)

    def write(self, path: str, content: bytes | str, *, mode: int = 0o644) -> None:
        """Writes a file in it, replacing what was there; the directory has to exist. Raises NotFoundError."""
        self._service.write(self.name, path, content.encode() if isinstance(content, str) else content, mode=mode)

    def export(self, file: Writable) -> None:
        """Writes all that is in it as a tar archive. Raises StorageError, UnsafeEntryError."""
        self._service.export(self.name, file.write)

    def import_(self, archive: Readable) -> None:
        """Puts what is in a tar archive, compressed or not, beside and over what is in it.

        Raises ContentError, StorageError; what was unpacked until then stays.
        """
        self._service.import_(self.name, archive)

    def inspect(self) -> dict[str, Any]:
        """A document in the shape of `docker volume inspect`, with the number of its users."""
        return self._service.inspect(self._record)

    def remove(self, *, force: bool = False) -> None:
        """Removes it with all that is in it. Raises InUseError, or with `force` removes the containers that use it."""
        self._service.remove(self.name, force=force)
