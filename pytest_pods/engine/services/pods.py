"""Pods of a session: made, brought up, found, ended and removed.

What they share is made by `pod_setup`, their members are containers like others; `pod_starting` knows the order.
"""

from __future__ import annotations

import signal as signals
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import (
    ContainerNotFoundError,
    NotFoundError,
    PodNotFoundError,
    PodsError,
    WrongStateError,
)
from pytest_pods.engine.pod import Pod
from pytest_pods.engine.records import Membership
from pytest_pods.engine.services import pod_records
from pytest_pods.engine.services.infra import build_infra_record, create_infra
from pytest_pods.engine.services.planning import Joined
from pytest_pods.engine.services.pod_setup import PodSetup, build_removal_steps, find_wiring
from pytest_pods.engine.services.pod_starting import Bringing
from pytest_pods.engine.services.sessions import collect_faults
from pytest_pods.engine.services.wiring import read_interfaces
from pytest_pods.engine.specs.networks import Attachment, NetworkMode
from pytest_pods.engine.specs.pods import SHARED, MemberSpec, PodSpec
from pytest_pods.engine.specs.ports import PortSpec
from pytest_pods.engine.specs.values import parse_signal

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.network_records import InterfaceRecord
    from pytest_pods.engine.pod_records import PodRecord, PodStatus
    from pytest_pods.engine.services.containers import ContainerService
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.specs.mounts import MountSpec
    from pytest_pods.engine.stats import PodStats


class PodService:
    """Pods of one session. Thread-safe."""

    def __init__(self, session: Session, containers: ContainerService) -> None:
        self._session = session
        self._containers = containers
        self._lock = threading.Lock()
        self._made: dict[str, dict[str, Container]] = {}

    def create(self, spec: PodSpec) -> Pod:
        """A pod whose members wait to be started. What was half made when something failed is removed again."""
        with self._session.telling_its_end():
            return self._make(spec, start=False)

    def run(
        self,
        spec: PodSpec,
        *,
        on_failure: Callable[[Pod, PodsError], bool] | None = None,
        ahead: Callable[[Pod], None] | None = None,
    ) -> Pod:
        """A pod whose members have started and are ready; one that does not get there is removed, unless `on_failure`
        says that it is to be kept. With `ahead`, which is told of it as soon as it is there, it is nobody's before
        `admit`.

        Raises PodFailedError for a member that ends or does not get ready, and what creating one raises.
        """
        with self._session.telling_its_end():
            return self._make(spec, start=True, on_failure=on_failure, ahead=ahead)

    def admit(self, record: PodRecord) -> None:
        """A pod that was made ahead is the session's from now on, as if it had just been made."""
        members = [one.record for one in self.members(record).values()]
        for member in members:
            self._containers.count_admitted(member)
        self._containers.ahead.admit(record.id, *members)

    def let_out(self, record: PodRecord) -> None:
        """From now on somebody is at the other end of its link, or of those of its members."""
        self._containers.wirer.let_out(find_wiring(self._session, record))
        for member in self.members(record).values():
            self._containers.let_out(member.record)

    def _make(
        self,
        spec: PodSpec,
        *,
        start: bool,
        on_failure: Callable[[Pod, PodsError], bool] | None = None,
        ahead: Callable[[Pod], None] | None = None,
    ) -> Pod:
        facts = self._containers.host_facts()
        setup = PodSetup(self._session, self._containers.wirer, facts=facts)
        record = setup.plan(spec)
        if ahead is not None:
            self._containers.ahead.add(record.id)
        made: dict[str, Container] = {}
        with self._lock:
            self._made[record.id] = made
        try:
            record = setup.make(record, spec)
            setup.close()
            if ahead is not None:
                ahead(Pod(record, self, spec))
            if self._holds_pids(record):
                create_infra(self._session, record, facts=facts, lifecycle=self._containers.lifecycle)

            order = [member.name for member in spec.members]

            def obtain(member: MemberSpec) -> Container:
                joined = build_joined(record, member, position=order.index(member.name))
                container = self._containers.create(member.container, joined=joined)
                made[member.name] = container
                return container

            bringing = Bringing(
                record.name,
                [build_effective(spec, member, pod_name=record.name) for member in spec.members],
                obtain=obtain,
                remove=lambda container: self._containers.lifecycle.remove(container.record, force=True),
                timeout=self._containers.default_timeout,
                before=[lambda: setup.plug(record, cut_off=ahead is not None)],
            )
            if start:
                bringing.start()
            else:
                bringing.create()
        except BaseException as error:
            try:
                keep = on_failure is not None and isinstance(error, PodsError) and on_failure(Pod(record, self), error)
            except BaseException:
                self._give_back(record)
                raise
            if not keep:
                self._give_back(record)
            raise
        finally:
            setup.close()
        return Pod(record, self, spec)

    def _give_back(self, record: PodRecord) -> None:
        # Its faults must not take the place of what went wrong.
        with suppress(PodsError):
            self.remove_all(record)

    def _holds_pids(self, record: PodRecord) -> bool:
        # Without PID namespaces everybody sees everybody anyway.
        return "pid" in record.shares and self._session.pid_namespaces

    # finding

    def list(self) -> list[Pod]:
        """All pods of the session, oldest first; one that is half made, or made ahead, is passed over."""
        ahead = self._containers.ahead
        return [
            Pod(record, self) for record in pod_records.list_pod_records(self._session) if not ahead.has_id(record.id)
        ]

    def get(self, name: str) -> Pod:
        """By name, ID or the ID's beginning. Raises PodNotFoundError."""
        record = pod_records.get_pod_record(self._session, name)
        if self._containers.ahead.has_id(record.id):
            raise PodNotFoundError(f"no pod {name!r} in session {self._session.id}")
        return Pod(record, self)

    def members(self, record: PodRecord) -> Mapping[str, Container]:
        """The members that there are, by what the pod calls them, in the order in which they were named."""
        found = [
            container
            for container in self._containers.list_with_ahead()
            if container.record.membership is not None and container.record.membership.pod_id == record.id
        ]
        found.sort(key=lambda one: one.record.membership.position if one.record.membership else 0)
        with self._lock:
            known = {one.id: one for one in self._made.get(record.id, {}).values()}
        members: dict[str, Container] = {}
        for container in found:
            assert container.record.membership is not None
            # The one that this process made still knows its wait.
            members[container.record.membership.member] = known.get(container.id, container)
        return members

    def status(self, record: PodRecord) -> PodStatus:
        """Raises PodNotFoundError if it was removed."""
        self._require(record)
        return judge_status([one.status for one in self._lasting(record).values()])

    def _lasting(self, record: PodRecord) -> Mapping[str, Container]:
        """Without init members, which have ended when a pod is well."""
        return {
            name: one
            for name, one in self.members(record).items()
            if one.record.membership is None or not one.record.membership.init
        }

    def _require(self, record: PodRecord) -> None:
        if self._session.connected().lost is None and not self._session.layout.pod(record.id).directory.exists():
            raise PodNotFoundError.removed(record.name, record.id)

    # the members' life

    def start(self, record: PodRecord) -> None:
        """Starts the members that do not run, in order, and waits for those whose wait is known. Raises PodFailedError;
        the pod stays."""
        self._require(record)
        members = self.members(record)
        for container in members.values():
            self._containers.lifecycle.ensure_pids(container.record)
        Bringing(
            record.name,
            [_build_member(name, container) for name, container in members.items()],
            obtain=lambda member: members[member.name],
            remove=lambda container: None,
            timeout=self._containers.default_timeout,
        ).start()

    def stop(self, record: PodRecord, *, timeout: float | None) -> None:
        """All members at once: each gets its own grace."""
        self._require(record)
        self._each(record, lambda one: one.stop(timeout))
        if self._holds_pids(record):
            self._containers.lifecycle.stop(build_infra_record(record), timeout=0)

    def kill(self, record: PodRecord, *, signal: str | int) -> None:
        """Raises WrongStateError if no member runs."""
        self._require(record)
        number = parse_signal(signal)
        running = [one for one in self.members(record).values() if one.running]
        if not running:
            raise WrongStateError(f"no member of pod {record.name} runs")
        for one in running:
            with suppress(WrongStateError):
                one.kill(number)
        if number == signals.SIGKILL and self._holds_pids(record):
            self._containers.lifecycle.stop(build_infra_record(record), timeout=0)

    def pause(self, record: PodRecord) -> None:
        self._require(record)
        self._each(record, lambda one: one.pause() if one.status == "running" else None)

    def unpause(self, record: PodRecord) -> None:
        self._require(record)
        self._each(record, lambda one: one.unpause() if one.status == "paused" else None)

    def wait(self, record: PodRecord, *, timeout: float | None) -> Mapping[str, int]:
        """Waits until every member, but for init ones, has ended; their exit codes. Raises DeadlineExceededError."""
        self._require(record)
        deadline = Deadline.after(timeout)
        return {name: one.wait(deadline.remaining) for name, one in self._lasting(record).items()}

    def _each(self, record: PodRecord, act: Callable[[Container], None]) -> None:
        from pytest_pods.engine.services.parallel import run_together

        members = [*self.members(record).values()]
        if members:
            run_together(
                [partial(act, one) for one in members],
                most=len(members),
                give_up=lambda: None,
            )

    # removing

    def remove(self, record: PodRecord, *, force: bool) -> None:
        """Removes the pod with its members; with `force` also if one runs, and first those that are in its network.

        Raises WrongStateError, InUseError, CleanupError.
        """
        self._require(record)
        if not force and any(one.running for one in self.members(record).values()):
            raise WrongStateError(f"members of pod {record.name} run", hint="stop it first, or remove it by force")
        if self._session.connected().lost is None:
            layout = self._session.layout.pod(record.id)
            self._containers.lifecycle.empty_network(layout, subject=f"pod {record.name}", force=force)
            self.remove_all(record)

    def remove_later(self, record: PodRecord, *, then: Callable[[], None] | None = None) -> None:
        """Removes in the background; faults are raised when the engine is closed. `then` is called when it is gone."""

        def remove() -> None:
            self.remove(record, force=True)
            if then is not None:
                then()

        self._containers.lifecycle.do_later(remove)

    def remove_all(self, record: PodRecord) -> None:
        """Takes away whatever there is of a pod, also of a half-made one. Raises CleanupError."""
        lifecycle = self._containers.lifecycle
        wirer, wiring = self._containers.wirer, find_wiring(self._session, record)
        steps: list[Callable[[], None]] = [lambda: wirer.forget_names(wiring, owner=record.id)]
        for container in self.members(record).values():
            steps.append(_build_removal(partial(lifecycle.remove_all, container.record)))
        infra = build_infra_record(record)
        if lifecycle.layout(infra).directory.exists():
            steps.append(lambda: lifecycle.remove_all(infra))
        shared = build_removal_steps(self._session, record, wirer=wirer)
        collect_faults(f"removing pod {record.name}", [*steps, *shared])
        self._containers.ahead.forget(record.id)
        with self._lock:
            self._made.pop(record.id, None)

    # reaching in

    def interfaces(self, record: PodRecord) -> tuple[InterfaceRecord, ...]:
        """The named networks that it is on now."""
        return read_interfaces(self._session.layout.pod(record.id).interfaces_file)

    def find_ip(self, record: PodRecord) -> str:
        """Where it can be reached now; of one that was removed, where that was when it was made."""
        return self._containers.connecting.find_ip(record)

    def connect(self, record: PodRecord, port: int, *, timeout: float | None) -> socket.socket:
        """Raises OSError as connect(2), NotFoundError where the members have a network each."""
        if "net" not in record.shares:
            raise NotFoundError(f"pod {record.name} shares no network", hint="connect to one of its members")
        layout = self._session.layout.pod(record.id)
        namespace = None if record.network is NetworkMode.HOST else layout.namespace("net")
        ips = [record.ip, *(ip for one in read_interfaces(layout.interfaces_file) for ip in one.ips)]
        return self._containers.inside.connect_in(
            namespace, [*dict.fromkeys(filter(None, ips))], port, timeout=timeout
        )

    def stats(self, record: PodRecord) -> PodStats:
        """What the members use, each and together."""
        self._require(record)
        members = {name: one.record for name, one in self.members(record).items()}
        return self._containers.stats.read_pod(record, members)

    def build_spec(self, record: PodRecord) -> PodSpec:
        """What the pod and its members are, as one would ask for it; what only a process knows, waits, is missing."""
        members = tuple(
            MemberSpec(
                name,
                one.spec.with_changes(
                    name=None, pod=None, network=NetworkMode.PRIVATE, networks=(), image_resolv_conf=False
                ),
                one.record.membership.needs,
                one.record.membership.init,
            )
            for name, one in self.members(record).items()
            if one.record.membership is not None
        )
        return build_pod_spec_of(record, members)

    def inspect(self, record: PodRecord) -> dict[str, Any]:
        """A document in the shape of `podman pod inspect`."""
        from pytest_pods.engine.runtime.inspection import build_pod_inspection

        members = [(name, one.id, one.status) for name, one in self.members(record).items()]
        cgroup = self._session.cgroups.pod(record.id)
        networks = [one.network for one in self.interfaces(record)]
        return build_pod_inspection(record, self.status(record), members, networks=networks, cgroup=cgroup)


def build_pod_spec_of(record: PodRecord, members: tuple[MemberSpec, ...]) -> PodSpec:
    """The specification that a record came from, as far as it says. Pure."""
    ports = tuple(
        PortSpec(port.container_port, port.host_port, port.host_ip, "udp" if port.protocol == "udp" else "tcp")
        for port in record.ports
    )
    limits: dict[str, Any] = dict(record.limits)
    return PodSpec(
        members,
        name=record.name,
        share=frozenset(share for share in SHARED if share in record.shares),
        ports=ports,
        network=record.network,
        networks=tuple(Attachment(name) for name in record.networks),
        aliases=record.aliases,
        image_resolv_conf=record.image_resolv_conf,
        exit_policy="stop" if record.exit_policy == "stop" else "continue",
        restart=record.restart,
        dns=record.dns,
        dns_search=record.dns_search,
        dns_options=record.dns_options,
        labels=record.labels,
        add_hosts=record.add_hosts,
        own_volumes=record.volumes,
        **limits,
    )


def build_effective(pod: PodSpec, member: MemberSpec, *, pod_name: str) -> MemberSpec:
    """The member with what the pod says for all of them. Pure."""
    spec = member.container
    own = {mount.target.rstrip("/") for mount in spec.mounts}
    shared: Sequence[MountSpec] = [mount for mount in pod.mounts if mount.target.rstrip("/") not in own]
    changes: dict[str, Any] = {"name": f"{pod_name}-{member.name}", "mounts": (*shared, *spec.mounts)}
    if spec.timeout is None:
        changes["timeout"] = pod.timeout
    if spec.restart is None and not member.init:
        changes["restart"] = pod.restart
    if "net" in pod.share:
        changes |= {"network": pod.network, "networks": pod.networks}
    return replace(member, container=spec.with_changes(**changes))


def build_joined(pod: PodRecord, member: MemberSpec, *, position: int) -> Joined:
    """How a member is in its pod. Pure."""
    membership = Membership(
        pod.id, pod.name, member.name, pod.shares, member.needs, member.init, position=position
    )
    return Joined(pod, membership)


def _build_member(name: str, container: Container) -> MemberSpec:
    membership = container.record.membership
    assert membership is not None
    return MemberSpec(name, container.spec, membership.needs, membership.init)


def _build_removal(remove: Callable[[], None]) -> Callable[[], None]:
    def step() -> None:
        # Somebody may have been faster.
        with suppress(ContainerNotFoundError):
            remove()

    return step


def judge_status(states: Sequence[str]) -> PodStatus:
    """What the states of the members add up to. Pure."""
    kinds = set(states)
    if kinds <= {"created"}:
        return "created"
    if kinds == {"exited"}:
        return "exited"
    if kinds == {"paused"}:
        return "paused"
    return "running" if kinds <= {"running", "paused"} else "degraded"
