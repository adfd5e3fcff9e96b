"""Engine: opens a store and a session, and offers every verb. No logic: each method is one call of a service."""

from __future__ import annotations

import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pytest_pods.engine.extensions import Extensions
from pytest_pods.engine.services.containers import ContainerService
from pytest_pods.engine.services.sessions import (
    Session,
    SweepReport,
    find_command_line_session,
    open_command_line_session,
    open_reused_session,
    sweep,
)
from pytest_pods.engine.specs.container import ContainerSpec, PullPolicy, Runnable, build_container_spec
from pytest_pods.engine.state.layout import SessionLayout, StoreLayout, build_store_layout
from pytest_pods.engine.state.sessions import SessionKind, SessionRecord, live_sessions
from pytest_pods.engine.state.store import ensure_store

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.errors import PodsError
    from pytest_pods.engine.events import Progress
    from pytest_pods.engine.kube.reading import KubeContent
    from pytest_pods.engine.network_handle import Network
    from pytest_pods.engine.network_records import NetworkRecord
    from pytest_pods.engine.pod import Pod
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.counters import Counters
    from pytest_pods.engine.services.images import Image, ImageService
    from pytest_pods.engine.services.pods import PodService
    from pytest_pods.engine.services.volumes import LateRemovals, VolumeService
    from pytest_pods.engine.specs.networks import NetworkSpec
    from pytest_pods.engine.specs.pods import PodSpec
    from pytest_pods.engine.specs.values import Command
    from pytest_pods.engine.specs.volumes import Content, VolumeSpec
    from pytest_pods.engine.volume import Volume

DEFAULT_TIMEOUT_S = 60.0


class Engine:
    """A session on a store. Opening costs nothing: the sandbox starts with the first thing that needs it. Thread-safe.

    Use it in a `with` statement: at its end everything that the session made is gone. It is gone as well if this
    process is killed.
    """

    def __init__(
        self,
        session: Session,
        *,
        insecure_registries: Sequence[str] = (),
        pull: PullPolicy = PullPolicy.MISSING,
        timeout: float = DEFAULT_TIMEOUT_S,
        progress: Progress | None = None,
        extensions: Extensions | None = None,
    ) -> None:
        from pytest_pods.engine.services.counters import Counters

        self._session = session
        self._extensions = extensions or Extensions()
        self._counters = Counters()
        self._insecure = tuple(insecure_registries)
        self._progress = progress
        self._pull_policy = pull
        self._timeout = timeout
        # Several threads may ask first; two services would not know of each other's containers.
        self._lock = threading.RLock()
        self._images: ImageService | None = None
        self._containers: ContainerService | None = None
        self._pods: PodService | None = None
        self._volumes: VolumeService | None = None
        self._others: dict[str, Engine] = {}
        self._late_volumes: LateRemovals | None = None
        self._of_command_line = session.kind is SessionKind.COMMAND_LINE

    @classmethod
    def open(
        cls,
        *,
        root: Path | None = None,
        insecure_registries: Sequence[str] = (),
        pull: PullPolicy = PullPolicy.MISSING,
        timeout: float = DEFAULT_TIMEOUT_S,
        progress: Progress | None = None,
        extensions: Extensions | None = None,
    ) -> Self:
        """A session of its own, which ends with this process at the latest. `root` is the store's directory."""
        return cls(
            Session(build_store_layout(root)),
            insecure_registries=insecure_registries,
            pull=pull,
            timeout=timeout,
            progress=progress,
            extensions=extensions,
        )

    @classmethod
    def open_command_line(
        cls,
        *,
        root: Path | None = None,
        insecure_registries: Sequence[str] = (),
        pull: PullPolicy = PullPolicy.MISSING,
        timeout: float = DEFAULT_TIMEOUT_S,
        progress: Progress | None = None,
    ) -> Self:
        """The user's session for the command line: it lives until its last container is removed."""
        session = open_command_line_session(build_store_layout(root))
        return cls(session, insecure_registries=insecure_registries, pull=pull, timeout=timeout, progress=progress)

    @classmethod
    def open_command_line_volumes(cls, *, root: Path | None = None) -> Self:
        """A session of its own that works on the volumes of the command line, whose session need not be there."""
        store = build_store_layout(root)
        ensure_store(store)
        engine = cls(Session(store))
        engine._of_command_line = True
        return engine

    @classmethod
    def open_command_line_at_rest(cls, *, root: Path | None = None) -> Self:
        """The command line's session if it lives; if not, nothing is started, and only what stays without it is there:
        its networks."""
        return cls(find_command_line_session(build_store_layout(root)))

    @classmethod
    def attach(
        cls,
        session_id: str,
        *,
        root: Path | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        store: StoreLayout | None = None,
        insecure_registries: Sequence[str] = (),
        pull: PullPolicy = PullPolicy.MISSING,
        extensions: Extensions | None = None,
    ) -> Self:
        """A live session that was kept or is shared, or the command line's. Raises SessionNotFoundError."""
        session = Session(store or build_store_layout(root), session_id=session_id)
        session.attach()
        return cls(
            session, insecure_registries=insecure_registries, pull=pull, timeout=timeout, extensions=extensions
        )

    @classmethod
    def open_shared(cls, *, root: Path | None = None, timeout: float = DEFAULT_TIMEOUT_S) -> Self:
        """A session of its own, to which other processes can attach; it ends with this process at the latest."""
        session = Session(build_store_layout(root), kind=SessionKind.SHARED)
        session.share()
        return cls(session, timeout=timeout)

    @classmethod
    def open_reused(
        cls,
        *,
        lease_s: float,
        root: Path | None = None,
        insecure_registries: Sequence[str] = (),
        pull: PullPolicy = PullPolicy.MISSING,
        timeout: float = DEFAULT_TIMEOUT_S,
        extensions: Extensions | None = None,
    ) -> Self:
        """The session in which containers are kept for the next run of tests: it lives for `lease_s` seconds after the
        last process that has opened it has left."""
        return cls(
            open_reused_session(build_store_layout(root), lease_s=lease_s),
            insecure_registries=insecure_registries,
            pull=pull,
            timeout=timeout,
            extensions=extensions,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session with everything in it; a kept or command-line session is only left.

        Raises CleanupError with every fault of removals that ran in the background.
        """
        try:
            if self._containers is not None:
                self._containers.close_health()
                self._containers.lifecycle.finish()
        finally:
            for other in self._others.values():
                other.close()
            self._session.leave()

    def end(self) -> None:
        """Ends the session with everything in it, also a kept or command-line one."""
        if self._containers is not None:
            self._containers.close_health()
        self._session.end()

    @property
    def store(self) -> StoreLayout:
        return self._session.store

    @property
    def session_id(self) -> str:
        return self._session.id

    @property
    def session_record(self) -> SessionRecord:
        """Starts the session."""
        return self._session.record

    @property
    def session_layout(self) -> SessionLayout:
        return self._session.layout

    @property
    def sandbox_started(self) -> bool:
        return self._session.started

    @property
    def counters(self) -> Counters:
        """How much was done, for summaries."""
        return self._counters

    def start(self) -> None:
        """Starts the sandbox now rather than at first need."""
        self._session.start()

    def keep(self, seconds: float) -> str:
        """Hands the session to a lease: it outlives this process for `seconds`. Returns its ID."""
        self._session.listen(lease_s=seconds)
        if self._containers is not None:
            self._containers.hand_over_health()
            self._containers.lifecycle.hand_over()
        return self._session.id

    @property
    def _image_service(self) -> ImageService:
        with self._lock:
            if self._images is None:
                from pytest_pods.engine.services.images import ImageService

                self._images = ImageService(
                    replace(self._session.store, session_staging_dir=self._session.layout.staging_dir),
                    launcher=self._session.start,
                    insecure_registries=self._insecure,
                    progress=self._progress,
                    counters=self._counters,
                    observe=self._extensions.observe,
                    is_hidden=self._is_ahead,
                )
            return self._images

    @property
    def _service(self) -> ContainerService:
        with self._lock:
            if self._containers is None:
                self._containers = ContainerService(
                    self._session,
                    images=lambda: self._image_service,
                    volumes=lambda: self._volume_service,
                    counters=self._counters,
                    pull=self._pull_policy,
                    timeout=self._timeout,
                    extensions=self._extensions,
                )
            return self._containers

    @property
    def _pod_service(self) -> PodService:
        with self._lock:
            if self._pods is None:
                from pytest_pods.engine.services.pods import PodService

                self._pods = PodService(self._session, self._service)
            return self._pods

    @property
    def _volume_service(self) -> VolumeService:
        with self._lock:
            if self._volumes is None:
                from pytest_pods.engine.services.volumes import VolumeService

                session = self._session
                own = replace(session.store, session_staging_dir=session.layout.staging_dir)
                self._volumes = VolumeService(
                    session.store.volumes if self._of_command_line else session.volumes,
                    store=session.store if self._of_command_line else own,
                    launcher=session.start,
                    session=None if self._of_command_line else session.layout,
                    open_container=self._open_container,
                    is_hidden=self._is_ahead,
                )
            return self._volumes

    def _is_ahead(self, record: ContainerRecord) -> bool:
        return self._containers is not None and self._containers.ahead.has(record)

    def _open_container(self, record: ContainerRecord) -> Container:
        if record.session_id == self._session.id:
            return self._service.get(record.id)
        with self._lock:
            if record.session_id not in self._others:
                session = Session(self._session.store, session_id=record.session_id)
                session.attach()
                self._others[record.session_id] = Engine(session, timeout=self._timeout)
            return self._others[record.session_id].container(record.id)

    def pull(
        self,
        reference: str,
        *,
        policy: PullPolicy | None = None,
        platform: str | None = None,
        progress: Progress | None = None,
        given_up: threading.Event | None = None,
    ) -> Image:
        """Brings an image into the store. It may be `given_up` by another thread, and is a RegistryError then. Raises
        ImageNotFoundError, RegistryError, ContentError, StorageError."""
        return self._image_service.pull(
            self._extensions.resolve_image(reference),
            policy=policy or PullPolicy.ALWAYS,
            platform=platform,
            progress=progress,
            given_up=given_up,
        )

    def load(self, path: Path | str) -> list[Image]:
        """Brings the images of a docker-archive or oci-archive into the store."""
        return self._image_service.load(Path(path))

    def image(self, reference: str) -> Image:
        """An image of the store, by reference, digest, ID or the ID's beginning. Raises ImageNotFoundError."""
        return self._image_service.get(reference)

    def images(self) -> list[Image]:
        """All images of the store."""
        return self._image_service.list()

    def remove_image(self, reference: str, *, force: bool = False) -> None:
        """Removes a reference and, with the last one, the image. Raises ImageNotFoundError, InUseError."""
        self._image_service.remove(reference, force=force)

    def find_damage(self) -> Sequence[str]:
        """Checks every blob and layer of the store, content included; what is wrong, for people."""
        return self._image_service.find_damage()

    @property
    def swept(self) -> SweepReport:
        """What this session's start removed of dead ones."""
        return self._session.swept

    def create(self, image: str | Runnable, command: Command | None = None, /, **options: Any) -> Container:
        """A container that is not started; options as of `specs.build_container_spec`."""
        return self.create_from(build_container_spec(image, command, **options))

    def run(self, image: str | Runnable, command: Command | None = None, /, **options: Any) -> Container:
        """A container that is started and, where `wait=` is given, ready."""
        return self.run_from(build_container_spec(image, command, **options))

    def create_from(self, spec: ContainerSpec, *, ahead: bool = False) -> Container:
        """One that is made `ahead` of its use has all that others have, but nobody at the other end of its link, and
        nobody finds it or hears of it: it becomes the session's by `admit`."""
        return self._service.create(spec, ahead=ahead)

    def run_from(self, spec: ContainerSpec) -> Container:
        return self._service.run(spec)

    def create_pod(self, **options: Any) -> Pod:
        """A pod whose members are not started; options as of `specs.pods.build_pod_spec`, or `kube=`, a file that
        describes it for Kubernetes."""
        return self.create_pod_from(_build_pod_spec(options))

    def run_pod(self, **options: Any) -> Pod:
        """A pod whose members have started, in the order of their needs, and are ready where they have a wait."""
        return self.run_pod_from(_build_pod_spec(options))

    def play_kube(
        self,
        path: str | os.PathLike[str],
        *,
        config_maps: Sequence[str | os.PathLike[str]] = (),
        start: bool = True,
        **options: Any,
    ) -> list[Pod]:
        """All pods of a file of Kubernetes documents, started and ready; `config_maps` are files with more documents
        that they may refer to, `options` are those of a pod and take the place of what the file says.

        What has no effect here is a PodsWarning. Raises KubeDocumentError, PodFailedError.
        """
        from pytest_pods.engine.kube.reading import read_kube

        return self.play_kube_content(read_kube(path, more=config_maps), start=start, **options)

    def play_kube_content(self, content: KubeContent, *, start: bool = True, **options: Any) -> list[Pod]:
        """`play_kube` for documents that were read already."""
        from pytest_pods.engine.services.kube import play

        return play(
            content,
            pods=self._pod_service,
            create_volume=self.create_volume_from,
            options=options,
            start=start,
        )

    def create_pod_from(self, spec: PodSpec) -> Pod:
        return self._pod_service.create(spec)

    def run_pod_from(
        self,
        spec: PodSpec,
        *,
        on_failure: Callable[[Pod, PodsError], bool] | None = None,
        ahead: Callable[[Pod], None] | None = None,
    ) -> Pod:
        """`on_failure` sees a pod that does not come up, which is then removed unless it answers True. `ahead` gets the
        pod before its members are made; it is then made ahead of its use, as by `create_from`."""
        return self._pod_service.run(spec, on_failure=on_failure, ahead=ahead)

    def has_current_images(self, container: Container) -> bool:
        """Whether the references that it was made from still mean the same images."""
        return self._service.has_current_images(container.record)

    def let_out(self, thing: Container | Pod) -> None:
        """What was made ahead of its use reaches others, and is reached, from now on. Raises CommandError."""
        from pytest_pods.engine.container import Container

        if isinstance(thing, Container):
            self._service.let_out(thing.record)
        else:
            self._pod_service.let_out(thing.record)

    def admit(self, thing: Container | Pod) -> None:
        """What was made ahead of its use is there for everybody from now on, and counts; `let_out` comes before."""
        from pytest_pods.engine.container import Container

        if isinstance(thing, Container):
            self._service.admit(thing.record)
        else:
            self._pod_service.admit(thing.record)

    def pod(self, name: str) -> Pod:
        """A pod of this session by name, ID or the ID's beginning. Raises PodNotFoundError."""
        return self._pod_service.get(name)

    def pods(self) -> list[Pod]:
        """The session's pods, oldest first."""
        return self._pod_service.list()

    def container(self, name: str) -> Container:
        """A container of this session by name, ID or the ID's beginning. Raises ContainerNotFoundError."""
        return self._service.get(name)

    def follow_end(self, container: Container) -> bool:
        """Does what is to follow a container's end, by its restart policy or the exit policy of its pod; whether it was
        started again."""
        return self._service.lifecycle.follow_end(container.record)

    def follow_health(self, container: Container) -> None:
        """Checks its health as it asks for until it ends. Nothing else can be done with this engine meanwhile: the
        session, which is a kept or a command-line one, is left between checks."""
        from pytest_pods.engine.services.health_following import follow

        record = container.record
        ended = self._service.lifecycle.open_exit_descriptor(record)
        follow(self._session, record, health=self._service.health, ended=ended)

    def containers(self, *, all: bool = True) -> list[Container]:
        """The session's containers, oldest first; with `all=False` those that run."""
        return [container for container in self._service.list() if all or container.running]

    def remove_remains(self, name: str, *, owner: str = "") -> None:
        """Removes the container or pod of a name, also one that a killed process has half made; nothing if there is
        none, or, with the ID `owner`, if the name is another's. Raises CleanupError."""
        from pytest_pods.engine.services.remains import remove_remains

        remove_remains(
            self._session, name, owner=owner, containers=self._service, pods=lambda: self._pod_service
        )

    def remove_later(self, thing: Container | Pod, *, then: Callable[[], None] | None = None) -> None:
        """Removes a container or a pod in the background; faults are raised by `close`. `then` is called there once
        it is gone."""
        from pytest_pods.engine.container import Container

        if isinstance(thing, Container):
            self._service.lifecycle.remove_later(thing.record, then=then)
        else:
            self._pod_service.remove_later(thing.record, then=then)

    def remove_network_later(self, network: Network) -> None:
        """Removes a network in the background, after the containers that are removed there; its name is free at once,
        its subnet when it is gone. Faults are raised by `close`."""
        self._service.remove_network_later(network.record)

    def await_removals(self) -> None:
        """Returns when all that is removed in the background is gone."""
        self._service.lifecycle.await_removals()

    def create_network(self, name: str | None = None, /, **options: Any) -> Network:
        """A network for `networks=[…]` of containers; options as of `specs.networks.build_network_spec`.

        It is set up when a container is first on it. Raises NameInUseError, SubnetInUseError, InvalidSpecError.
        """
        from pytest_pods.engine.ids import new_container_name
        from pytest_pods.engine.specs.networks import build_network_spec

        return self.create_network_from(build_network_spec(name or new_container_name(), **options))

    def create_network_from(self, spec: NetworkSpec) -> Network:
        return self._build_network(self._service.networks.create(spec))

    def network(self, name: str) -> Network:
        """A network by name, ID or the ID's beginning; "default" is made if need be. Raises NetworkNotFoundError."""
        return self._build_network(self._service.networks.definitions.get(name))

    def networks(self) -> list[Network]:
        """The session's networks, oldest first; for the command line all that it has."""
        return [self._build_network(record) for record in self._service.networks.definitions.list()]

    def _build_network(self, record: NetworkRecord) -> Network:
        from pytest_pods.engine.network_handle import Network

        return Network(record, self._service, lambda: self._pod_service)

    def create_volume(
        self, name: str | None = None, *, labels: Mapping[str, str] | None = None, content: Content | None = None
    ) -> Volume:
        """A volume that goes with the session; the command line's stay. `content` is a directory that is copied into
        it, or a mapping of relative paths to texts, bytes or paths. Raises NameInUseError, InvalidSpecError."""
        from pytest_pods.engine.specs.volumes import build_volume_spec

        return self.create_volume_from(build_volume_spec(name, labels=labels, content=content))

    def create_volume_from(self, spec: VolumeSpec) -> Volume:
        return self._volume_service.create(spec)

    def volume(self, name: str) -> Volume:
        """Raises VolumeNotFoundError."""
        return self._volume_service.get(name)

    def volumes(self) -> list[Volume]:
        """Named ones by name, then those that go with a container."""
        return self._volume_service.list()

    def remove_volume(self, name: str, *, force: bool = False) -> None:
        """Raises VolumeNotFoundError, and InUseError for one that containers use; `force` removes those first."""
        self._volume_service.remove(name, force=force)

    def prune_volumes(self) -> list[str]:
        """Removes the volumes that no container uses; their names."""
        return self._volume_service.prune()

    def remove_volumes_later(self, *volumes: Volume) -> None:
        """Removes volumes in the background, each as soon as no container uses it: tried now, and at each call.

        Faults are raised by `close`.
        """
        with self._lock:
            if self._late_volumes is None:
                if not volumes:
                    return
                from pytest_pods.engine.services.volumes import LateRemovals

                self._late_volumes = LateRemovals()
        self._late_volumes.add(*volumes)
        if self._late_volumes:
            self._service.lifecycle.do_later(self._late_volumes.attempt)

    def await_volume_removal(self, name: str) -> None:
        """If a volume is to be removed later, waits until what stands before that is done and it was tried."""
        if self._late_volumes is not None and self._late_volumes.waits_for(name):
            self.remove_volumes_later()
            self._service.lifecycle.await_removals()

    @staticmethod
    def sessions(root: Path | None = None) -> list[SessionRecord]:
        """The live sessions of a store, oldest first."""
        return live_sessions(build_store_layout(root))

    @staticmethod
    def sweep(root: Path | None = None) -> SweepReport:
        """Removes what dead sessions left."""
        return sweep(build_store_layout(root))


def _build_pod_spec(options: dict[str, Any]) -> PodSpec:
    if "kube" not in options:
        from pytest_pods.engine.specs.pods import build_pod_spec

        return build_pod_spec(**options)
    from pytest_pods.engine.errors import PodsWarning
    from pytest_pods.engine.kube.choosing import build_pod_spec_from

    spec, said = build_pod_spec_from(options, directory=Path.cwd())
    for text in said:
        warnings.warn(text, PodsWarning, stacklevel=3)
    return spec
