"""Copies between a container and the host, what a container has changed, and which of its paths match a pattern.

Nothing of the image runs for it. What is copied out is hostile: on the host, nothing of it leads, or grants, anywhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidInputError, NotFoundError
from pytest_pods.engine.oci.runtime_configuration_reading import parse_runtime_configuration
from pytest_pods.engine.services.copy_targets import Origin, build_origin, build_target
from pytest_pods.engine.services.reaching import (
    Place,
    find_devices,
    find_kind,
    follow_last,
    locate,
    open_place,
)
from pytest_pods.engine.storage import copies

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.records import Change, ContainerRecord
    from pytest_pods.engine.services.lifecycle import Lifecycle
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.storage.tree_streams import Readable

class Copying:
    """Copies for the containers of one session."""

    def __init__(self, session: Session, lifecycle: Lifecycle) -> None:
        self._session = session
        self._lifecycle = lifecycle

    @property
    def _sandbox(self) -> Sandbox:
        return self._session.start()

    def copy_in(self, record: ContainerRecord, source: str, destination: str, *, follow: bool) -> None:
        """Raises NotFoundError, ConflictError, DiskFullError, StorageError."""
        doing = f"copying {source} into container {record.name}"
        with ExitStack() as stack:
            descriptor = _open_on_host(stack, source, 0 if follow else os.O_NOFOLLOW, doing=doing)
            origin = _find_origin(source, descriptor)
            directory, name = self._open_destination(stack, record, origin, destination, doing=doing)
            # An ordinary user's files are root's in there, as the user is.
            outgoing = copies.Outgoing(descriptor, name, owners=not self._session.rootless)
            copies.transfer(
                outgoing, self._incoming(directory, on_host=False), launcher=self._sandbox, doing=doing
            )

    def copy_out(
        self, record: ContainerRecord, source: str, destination: str, *, follow: bool, most_bytes: int | None
    ) -> None:
        """Raises NotFoundError, ConflictError, SizeMismatchError, DiskFullError, StorageError."""
        doing = f"copying {source} out of container {record.name}"
        with ExitStack() as stack:
            outgoing, origin = self._open_source(stack, record, source, follow=follow, doing=doing)
            if os.path.islink(destination):
                # What a link leads to is written, not the link.
                destination = os.path.realpath(destination)
            target = build_target(
                origin,
                destination,
                exists=os.path.exists(destination),
                directory=os.path.isdir(destination),
                doing=doing,
            )
            directory = _open_on_host(stack, target.directory, os.O_DIRECTORY, doing=doing)
            copies.transfer(
                replace(outgoing, name=target.name),
                self._incoming(directory, on_host=True),
                launcher=self._sandbox,
                most_bytes=most_bytes,
                doing=doing,
            )

    def export(self, record: ContainerRecord, path: str, write: Callable[[bytes], object], *, follow: bool) -> None:
        """Gives `write` a tar archive piece by piece. Raises NotFoundError, StorageError."""
        doing = f"copying {path} out of container {record.name}"
        with ExitStack() as stack:
            outgoing, _ = self._open_source(stack, record, path, follow=follow, doing=doing)
            copies.send(outgoing, launcher=self._sandbox, write=write, doing=doing)

    def import_(self, record: ContainerRecord, path: str, archive: Readable) -> None:
        """Unpacks a tar archive into a directory. Raises NotFoundError, ContentError, ConflictError, DiskFullError,
        StorageError."""
        doing = f"copying an archive to {path} of container {record.name}"
        with ExitStack() as stack:
            directory = self._open(stack, self._locate(record, path), os.O_DIRECTORY, doing=doing)
            copies.receive(
                self._incoming(directory, on_host=False), launcher=self._sandbox, archive=archive, doing=doing
            )

    def find_matches(self, record: ContainerRecord, pattern: str) -> list[str]:
        """Raises InvalidInputError for a pattern that is not absolute."""
        if not pattern.startswith("/"):
            raise InvalidInputError(f"pattern {pattern!r} has to begin with '/'")
        place = self._locate(record, pattern)
        doing = f"looking for {pattern} in container {record.name}"
        with ExitStack() as stack:
            root = self._open(stack, replace(place, path="/"), os.O_DIRECTORY, doing=doing)
            found = copies.find_matches(
                root, place.path, left_out=self._find_devices(record), launcher=self._sandbox, doing=doing
            )
        if not place.prefix:
            return found
        # The pattern is of one place only, so that all that matches is below it.
        return [place.prefix + path for path in found]

    def find_changes(self, record: ContainerRecord, layers: Sequence[Path]) -> list[Change]:
        """What it has changed of the layers (lowest first). Raises StorageError."""
        layout = self._lifecycle.layout(record)
        self._lifecycle.state(record)
        config = layout.config_file
        configuration = parse_runtime_configuration(config.read_bytes(), where=str(config))
        return copies.find_changes(
            upper=layout.upper_dir,
            merged=layout.merged_dir,
            # runc makes what is missing of them.
            made=[*(mount.destination for mount in configuration.mounts), configuration.process.cwd],
            lower=layers,
            launcher=self._sandbox,
            doing=f"looking at the changes of container {record.name}",
        )

    def _locate(self, record: ContainerRecord, path: str) -> Place:
        return locate(self._session, self._lifecycle, record, path)

    def _find_devices(self, record: ContainerRecord) -> frozenset[int]:
        return find_devices(self._sandbox, self._lifecycle, record)

    def _incoming(self, directory: int, *, on_host: bool) -> copies.Incoming:
        return copies.Incoming(directory, on_host=on_host, rootless=self._session.rootless)

    def _open(self, stack: ExitStack, place: Place, flags: int, *, doing: str) -> int:
        descriptor = open_place(self._sandbox, place, flags, doing=doing)
        stack.callback(os.close, descriptor)
        return descriptor

    def _open_source(
        self, stack: ExitStack, record: ContainerRecord, source: str, *, follow: bool, doing: str
    ) -> tuple[copies.Outgoing, Origin]:
        flags = 0 if follow else os.O_NOFOLLOW
        descriptor = self._open(stack, self._locate(record, source), flags, doing=doing)
        origin = _find_origin(source, descriptor)
        name = "" if origin.contents else origin.name
        return copies.Outgoing(descriptor, name, left_out=self._find_devices(record)), origin

    def _open_destination(
        self, stack: ExitStack, record: ContainerRecord, origin: Origin, destination: str, *, doing: str
    ) -> tuple[int, str]:
        place = self._locate(record, f"/{destination.lstrip('/')}")
        place = replace(place, path=follow_last(self._sandbox, place))
        kind = find_kind(self._sandbox, place)
        target = build_target(
            origin, place.path, exists=kind is not None, directory=kind == stat.S_IFDIR, doing=doing
        )
        return self._open(stack, replace(place, path=target.directory), os.O_DIRECTORY, doing=doing), target.name


def _open_on_host(stack: ExitStack, path: str, flags: int, *, doing: str) -> int:
    try:
        descriptor = os.open(path, flags | os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise NotFoundError(f"{doing}: {path}: {error.strerror}") from error
    stack.callback(os.close, descriptor)
    return descriptor


def _find_origin(path: str, descriptor: int) -> Origin:
    return build_origin(path, directory=stat.S_ISDIR(os.fstat(descriptor).st_mode))
