"""Containers of a session: made, found and listed here.

What is done with one stands in the parts that this puts together: lifecycle, inside, output, execution.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import (
    ContainerNotFoundError,
    ExitedEarlyError,
    NotReadyError,
    PodsError,
)
from pytest_pods.engine.events import ContainerEventKind
from pytest_pods.engine.extensions import Extensions
from pytest_pods.engine.services.ahead import Ahead
from pytest_pods.engine.services.container_records import iterate_container_records
from pytest_pods.engine.services.creation import Creation, HostFacts, read_host_facts
from pytest_pods.engine.services.inside import Inside
from pytest_pods.engine.services.lifecycle import Lifecycle
from pytest_pods.engine.services.mounting import find_sources, with_mounts
from pytest_pods.engine.services.networks import NetworkService
from pytest_pods.engine.services.output import Output
from pytest_pods.engine.services.placement import find_interfaces, find_network_namespace, is_infra
from pytest_pods.engine.services.planning import Joined, Plan, Planner
from pytest_pods.engine.services.pod_records import list_pod_records
from pytest_pods.engine.services.publishing import forward_ports
from pytest_pods.engine.services.sharing import introduce, join_network
from pytest_pods.engine.services.telling import Teller
from pytest_pods.engine.services.wiring import Wirer, rebuild_wiring
from pytest_pods.engine.specs.container import PullPolicy
from pytest_pods.engine.specs.mounts import ImageMount

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from pytest_pods.engine.host.channel import SandboxProcess
    from pytest_pods.engine.network_records import NetworkRecord
    from pytest_pods.engine.records import Change, ContainerRecord
    from pytest_pods.engine.runtime.processes import ContainerProcess
    from pytest_pods.engine.services.beside import Beside
    from pytest_pods.engine.services.capturing import Capture
    from pytest_pods.engine.services.connecting import Connecting
    from pytest_pods.engine.services.copying import Copying
    from pytest_pods.engine.services.counters import Counters
    from pytest_pods.engine.services.exec_starting import ExecService
    from pytest_pods.engine.services.execution import ExecRequest, ExecResult
    from pytest_pods.engine.services.health import HealthService
    from pytest_pods.engine.services.images import ImageService
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.services.stats import StatsReader
    from pytest_pods.engine.services.volumes import VolumeService
    from pytest_pods.engine.specs.container import ContainerSpec
    from pytest_pods.engine.waiting import Wait

_Containers: TypeAlias = list[Container]
"""Inside the class `list` is a method."""


class ContainerService:
    """Containers of one session. Thread-safe."""

    def __init__(
        self,
        session: Session,
        *,
        images: Callable[[], ImageService],
        volumes: Callable[[], VolumeService],
        counters: Counters,
        pull: PullPolicy,
        timeout: float,
        extensions: Extensions | None = None,
    ) -> None:
        self._session = session
        self.extensions = extensions or Extensions()
        self._images = images
        self.volumes = volumes
        self._counters = counters
        self._pull_policy = pull
        self.default_timeout = timeout
        self._lock = threading.RLock()
        self._facts: HostFacts | None = None
        self._accounts: dict[str, tuple[bytes, bytes]] = {}
        self.networks = NetworkService(session)
        self.wirer = Wirer(session, self.networks)
        self.planner = Planner(session, self.wirer)
        self.ahead = Ahead(self.extensions.observe)
        self._teller = Teller(self.extensions.observe, lambda record: Container(record, self), ahead=self.ahead)
        self.lifecycle = Lifecycle(
            session,
            runtime=lambda: self.host_facts().runtime,
            create_again=self._create_again,
            wirer=self.wirer,
            started=self._watch_health,
            teller=self._teller,
        )
        self.inside = Inside(session, self.lifecycle)
        self.output = Output(self.lifecycle)
        self._execs: ExecService | None = None
        self._health: HealthService | None = None

    def create(self, spec: ContainerSpec, *, joined: Joined | None = None, ahead: bool = False) -> Container:
        """A container that waits to be started, in the pod, or the network of the container, that its spec names, or as
        the member of `joined`. One that is made `ahead` is nobody's before `admit`.

        What was half made when something failed is removed again. Raises SandboxLostError if the session ends
        meanwhile.
        """
        with self._session.telling_its_end():
            return self._create(spec, joined, ahead=ahead)

    def _create(self, spec: ContainerSpec, joined: Joined | None, *, ahead: bool) -> Container:
        if spec.pod is not None:
            joined = self._join(spec, spec.pod)
            restart = joined.pod.restart if spec.restart is None and not spec.remove else spec.restart
            spec = spec.with_changes(name=joined.membership.member, restart=restart)
        spec = self.extensions.resolve(spec)
        in_network = self._find_network(spec)
        images = self._images()
        ahead = ahead or (joined is not None and self.ahead.has_id(joined.pod.id))
        # Nobody waits long for what nobody has asked for.
        policy = PullPolicy.NEVER if ahead else spec.pull or self._pull_policy
        image = images.ensure(spec.image, policy=policy, platform=spec.platform)
        mounted = [images.ensure(one.image, policy=policy) for one in spec.mounts if isinstance(one, ImageMount)]
        began = time.monotonic()
        facts = self.host_facts()
        self._session.start()
        self._session.cgroups.check_limits(spec.limits, subject=spec.name or spec.image)
        if spec.max_memory is not None:
            self._session.cgroups.require_group(subject=spec.name or spec.image)
        plan = self.planner.plan(spec, image, joined, in_network=in_network)
        if ahead and joined is None:
            self.ahead.add(plan.record.id)
        plan.record = with_mounts(plan.record, image.config, mounted)
        if joined is not None and joined.pod.volumes:
            from pytest_pods.engine.services.pod_volumes import settle_pod_volumes

            plan.record = settle_pod_volumes(plan.record, joined.pod, self._session.layout.pod(joined.pod.id))
        creation = Creation(
            self._session, plan.record, facts=facts, wiring=plan.wiring, accounts=self._accounts
        )
        record = plan.record
        try:
            creation.check_mounts()
            images.use(image, *mounted, record_use=creation.make_files)
            creation.mount_root(image)
            if record.mounts:
                creation.prepare_mounts(image.config, mounted, self.volumes())
            creation.pin_namespaces()
            record = self._forward(plan)
            introduce(self._session, self.networks, record)
            plugged = self.wirer.connect_in_background(
                plan.wiring,
                owner=record.id,
                namespace=self.lifecycle.layout(record).namespace("net"),
                cut_off=self.ahead.has(record),
            )
            try:
                self.lifecycle.ensure_pids(record)
                self.lifecycle.watch(record, creation.start_monitor(creation.write_configuration(image.config)))
            except BaseException:
                # Its faults must not take the place of this one, least of all of Ctrl-C.
                with suppress(Exception):
                    plugged()
                raise
            plugged()
            if spec.max_memory is not None:
                self.stats.require_peak(record)
        except BaseException as error:
            removed = not self.lifecycle.layout(record).directory.exists()
            with suppress(PodsError):
                self.lifecycle.remove_all(record)
            if removed and isinstance(error, PodsError | OSError):
                # By whoever removes its pod, say: what was missing then tells nothing.
                raise ContainerNotFoundError(f"container {record.name} was removed while it was made") from error
            raise
        finally:
            plan.close()
        if not self.ahead.has(record):
            self._counters.count_container()
        self._teller.tell(ContainerEventKind.CREATED, record, began=began)
        return Container(record, self)

    def admit(self, record: ContainerRecord) -> None:
        """A container that was made ahead is the session's from now on, as if it had just been made."""
        self.count_admitted(record)
        self.ahead.admit(record.id, record)

    def has_current_images(self, record: ContainerRecord) -> bool:
        """Whether the references that a container was made from still mean the same images."""
        images = self._images()
        asked = [record.image, *(one.image for one in record.spec.mounts if isinstance(one, ImageMount))]
        found = [images.find_id(reference) for reference in asked]
        return [str(one) for one in found if one is not None] == [record.image_id, *record.mounted_images]

    def let_out(self, record: ContainerRecord) -> None:
        """From now on somebody is at the other end of its link, if it has one of its own."""
        if record.shared_network is None:
            self.wirer.let_out(rebuild_wiring(record.spec.network, ip=record.ip, interfaces=()))

    def count_admitted(self, record: ContainerRecord) -> None:
        """Counts and tells; what happened before is told when it is there for everybody."""
        self._counters.count_container()
        self._teller.tell(ContainerEventKind.TAKEN, record)

    def run(self, spec: ContainerSpec) -> Container:
        """A container that is started and, where the spec has a wait, ready; one that does not get there is removed."""
        began = time.monotonic()
        container = self.create(spec)
        try:
            self.lifecycle.start(container.record)
            self._counters.create_seconds.append(time.monotonic() - began)
            if spec.wait is not None:
                self.wait_ready(container, spec.wait, timeout=spec.timeout)
        except BaseException:
            with suppress(PodsError):
                self.lifecycle.remove(container.record, force=True)
            raise
        return container

    @property
    def connecting(self) -> Connecting:
        """Joins networks to containers that are there."""
        from pytest_pods.engine.services.connecting import Connecting

        return Connecting(self._session, self.networks, facts=self.host_facts)

    @property
    def copying(self) -> Copying:
        """Copies files of containers."""
        from pytest_pods.engine.services.copying import Copying

        return Copying(self._session, self.lifecycle)

    def capture(
        self, record: ContainerRecord, *, most_bytes: int | None, path: str | PathLike[str] | None
    ) -> Capture:
        """Captures the packets of a container's network from now on."""
        from pytest_pods.engine.services.capturing import MOST_BYTES, start_capture

        return start_capture(self._session, record, most_bytes=most_bytes or MOST_BYTES, path=path)

    def find_changes(self, record: ContainerRecord) -> list[Change]:
        """What a container has changed of its image. Raises ImageNotFoundError if that was removed."""
        return self.copying.find_changes(record, self._images().get(record.image_id).diff_dirs)

    @property
    def stats(self) -> StatsReader:
        """Tells what containers and pods use."""
        from pytest_pods.engine.services.stats import StatsReader

        return StatsReader(self._session, find_state=self.lifecycle.state)

    def processes(self, record: ContainerRecord) -> list[ContainerProcess]:
        """Raises WrongStateError if the container does not run."""
        from pytest_pods.engine.services.processes import list_processes

        return list_processes(self._session.start(), record, self.lifecycle.state(record))

    def remove_network(self, record: NetworkRecord) -> None:
        """Raises InUseError that names the containers on it."""
        names = {one.id: one.name for one in self.list()}
        names |= {pod.id: pod.name for pod in list_pod_records(self._session)}
        self.networks.remove(record, name_of=lambda owner: names.get(owner, owner[:12]))

    def remove_network_later(self, record: NetworkRecord) -> None:
        """Its name is free at once; the rest goes in the background, after the containers that go there before."""
        self.networks.definitions.remove(record)
        self.lifecycle.do_later(lambda: self.remove_network(record), at_end=False)

    def host_facts(self) -> HostFacts:
        """What creations need to know of the machine, read once."""
        with self._lock:
            if self._facts is None:
                self._facts = read_host_facts(self._session.start())
            return self._facts

    def _forward(self, plan: Plan) -> ContainerRecord:
        """Has the sandbox take over the host's ports, and writes their numbers down."""
        record = plan.record
        if not plan.listeners:
            return record
        ports = forward_ports(
            self._session.start(),
            record.ports,
            plan.listeners,
            namespace=find_network_namespace(self._session.layout, record),
            ips=plan.wiring.ips or tuple(filter(None, [record.ip])),
        )
        record = replace(record, ports=ports)
        self.lifecycle.layout(record).record_file.write_bytes(record.to_bytes())
        return record

    def _join(self, spec: ContainerSpec, name: str) -> Joined:
        from pytest_pods.engine.services.pod_records import get_pod_record, join_later

        return join_later(spec, get_pod_record(self._session, name), members=self.list())

    def _find_network(self, spec: ContainerSpec) -> Callable[[ContainerRecord], ContainerRecord]:
        """What puts a container into the network that its spec names. Raises ContainerNotFoundError."""
        if spec.network_container is None:
            return lambda record: record
        other = self.get(spec.network_container).record
        return lambda record: join_network(record, other)

    def _create_again(self, record: ContainerRecord) -> SandboxProcess:
        creation = Creation(self._session, record, facts=self.host_facts())
        if is_infra(record):
            from pytest_pods.engine.services.infra import create_again

            return create_again(creation)
        image = self._images().get(record.image_id)
        return creation.start_monitor(creation.write_configuration(image.config))

    def list(self) -> list[Container]:
        """All containers of the session, oldest first; one that is half made or made ahead, and one that only holds a
        pod's PID namespace, is passed over."""
        return [container for container in self.list_with_ahead() if not self.ahead.has(container.record)]

    def list_with_ahead(self) -> _Containers:
        """As `list`, with those that were made ahead."""
        if not self._session.started:
            return []
        found = [
            Container(record, self)
            for record in iterate_container_records(self._session.layout)
            if not is_infra(record)
        ]
        return sorted(found, key=lambda container: container.record.created)

    def get(self, name: str) -> Container:
        """By name, ID or the ID's beginning. Raises ContainerNotFoundError."""
        containers = self.list()
        exact = [one for one in containers if name in (one.name, one.id)]
        near = exact or [one for one in containers if len(name) >= 2 and one.id.startswith(name)]
        if len(near) == 1:
            return near[0]
        if near:
            raise ContainerNotFoundError(
                f"{name!r} is the beginning of {len(near)} container IDs", hint="write more of it"
            )
        raise ContainerNotFoundError(
            f"no container {name!r} in session {self._session.id}", hint="pytest-pods ps --all lists them"
        )

    def inspect(self, record: ContainerRecord) -> dict[str, Any]:
        """A document in the shape of `docker inspect`."""
        from pytest_pods.engine.runtime.inspection import build_inspection
        from pytest_pods.engine.services.network_views import build_endpoints

        layout = self.lifecycle.layout(record)
        return build_inspection(
            record,
            self.lifecycle.state(record),
            layout,
            sources=find_sources(record, layout, self._session.volumes),
            endpoints=build_endpoints(find_interfaces(self._session.layout, record)),
        )

    def wait_ready(
        self, container: Container, wait: Wait | Callable[[Container], object], *, timeout: float | None
    ) -> None:
        """Raises NotReadyError, ExitedEarlyError, SandboxLostError."""
        with self._session.telling_its_end():
            self._wait_ready(container, wait, timeout)

    def _wait_ready(
        self, container: Container, wait: Wait | Callable[[Container], object], timeout: float | None
    ) -> None:
        from pytest_pods.engine.services.waiting import wait_ready
        from pytest_pods.engine.waiting import NamedWait, parse_wait

        own = wait is container.spec.wait
        wait = parse_wait(wait)
        if isinstance(wait, NamedWait):
            wait = self.extensions.get_wait(wait.name)
        kinds = ContainerEventKind
        began, text = time.monotonic(), wait.describe()
        try:
            wait_ready(container, wait, timeout=self.default_timeout if timeout is None else timeout)
        except (NotReadyError, ExitedEarlyError) as error:
            text += f"; last seen: {error.last_seen}" if isinstance(error, NotReadyError) and error.last_seen else ""
            self._teller.tell(kinds.NOT_READY if own else kinds.NOT_SEEN, container.record, began=began, text=text)
            raise
        self._teller.tell(kinds.READY if own else kinds.AWAITED, container.record, began=began, text=text)

    def exec(
        self,
        record: ContainerRecord,
        request: ExecRequest,
        *,
        stdin: bytes | None,
        timeout: float | None,
        through_runtime: bool,
        most_output: int | None,
    ) -> ExecResult:
        """Runs a command to its end and collects its output."""
        from pytest_pods.engine.services.execution import run_captured

        starter = self._exec_service.find_starter(record, request, through_runtime=through_runtime)
        return run_captured(
            starter, request.argv, stdin=stdin, timeout=timeout, kill=self._kill_execution, most=most_output
        )

    def _kill_execution(self, process: SandboxProcess) -> None:
        from pytest_pods.engine.services.exec_killing import kill_execution

        kill_execution(self._session.start(), process)

    def exec_attached(
        self, record: ContainerRecord, request: ExecRequest, *, stdin: int | None, stdout: int, stderr: int
    ) -> int:
        """Runs a command on descriptors of the caller."""
        from pytest_pods.engine.services.execution import run_attached

        starter = self._exec_service.find_starter(record, request, through_runtime=False)
        return run_attached(starter, stdin=stdin, stdout=stdout, stderr=stderr)

    def exec_detached(self, record: ContainerRecord, request: ExecRequest) -> None:
        """Starts a command and does not wait for it."""
        starter = self._exec_service.find_starter(record, request, through_runtime=False)
        starter({}).close_pidfd()

    def beside(self, record: ContainerRecord) -> Beside:
        """The place for programs of the host in the container's network."""
        from pytest_pods.engine.services.beside import Beside

        return Beside(self._session, record)

    @property
    def health(self) -> HealthService:
        """The health checks of the session's containers."""
        with self._lock:
            if self._health is None:
                from pytest_pods.engine.services.health import HealthService

                self._health = HealthService(
                    self._session, self.lifecycle, open_container=lambda record: Container(record, self)
                )
            return self._health

    def _watch_health(self, record: ContainerRecord) -> None:
        # Whoever has no health check pays nothing for it.
        if record.health is not None:
            self.health.watch(record)

    def hand_over_health(self) -> None:
        """The session has a life of its own from here on, and so have the checks."""
        if self._health is not None:
            self._health.hand_over()

    def close_health(self) -> None:
        """From here on nothing is checked, and nothing written."""
        if self._health is not None:
            self._health.close()

    @property
    def _exec_service(self) -> ExecService:
        with self._lock:
            if self._execs is None:
                from pytest_pods.engine.services.exec_starting import ExecService

                self._execs = ExecService(self._session, facts=self.host_facts(), state=self.lifecycle.state)
            return self._execs
