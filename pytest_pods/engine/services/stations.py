"""Network namespaces that can be on networks: a container's own, or a pod's; others may be in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ContainerNotFoundError, NotFoundError, PodNotFoundError, WrongStateError
from pytest_pods.engine.pod_records import PodRecord
from pytest_pods.engine.services.container_records import find_container_record
from pytest_pods.engine.services.planning import build_container_names
from pytest_pods.engine.services.pod_records import find_pod_record
from pytest_pods.engine.services.wiring import read_interfaces
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.engine.network_records import InterfaceRecord
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.state.layout import ContainerLayout, PodLayout


@frozen
class Station:
    """Whose namespace it is: `owner` is the ID by which it has its places, `subject` names it to people.

    `names` are its own on every network; those of others that are in it come beside. `ip` is its address on the
    session's way out, or on its first network.
    """

    owner: str
    subject: str
    mode: NetworkMode
    ip: str
    names: tuple[str, ...]
    layout: ContainerLayout | PodLayout
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()

    @property
    def namespace(self) -> Path:
        return self.layout.namespace("net")

    @property
    def interfaces(self) -> tuple[InterfaceRecord, ...]:
        """The named networks that it is on now."""
        return read_interfaces(self.layout.interfaces_file)

    @property
    def current_ip(self) -> str:
        """Its address now: on the way out, or on the first of the networks that it is on; empty if it has left all."""
        if self.mode is not NetworkMode.NAMED:
            return self.ip
        return next((ip for one in self.interfaces for ip in sorted(one.ips, key=_is_ipv6)), "")

    def check_joinable(self) -> None:
        """Raises WrongStateError for one that is on no network, or on the host's."""
        if self.mode not in (NetworkMode.PRIVATE, NetworkMode.NAMED):
            raise WrongStateError(
                f"{self.subject} has network={self.mode.value!r} and can join no other",
                hint="make it with networks=[…]",
            )


def find_current_ip(session: Session, record: ContainerRecord | PodRecord) -> str:
    """Where a container or pod can be reached now; of one that was removed, where that was when it was made."""
    # Of a member, and of one in the network of another, it is how that one is on it.
    mode = record.network if isinstance(record, PodRecord) else record.spec.network
    if mode is not NetworkMode.NAMED:
        return record.ip
    try:
        return find_station(session, record).current_ip
    except (NotFoundError, WrongStateError):
        # Removed, or a pod whose members have a network each.
        return record.ip


def _is_ipv6(ip: str) -> bool:
    return ":" in ip


def find_station(session: Session, record: ContainerRecord | PodRecord) -> Station:
    """That of a pod, of a container, or of whoever a container shares it with.

    Raises ContainerNotFoundError, PodNotFoundError, WrongStateError for a pod without a common network.
    """
    if isinstance(record, PodRecord):
        return _build_of_pod(session, record)
    if record.shared_network is not None:
        return find_shared_station(session, record)
    return _build_of_container(session, record)


def _build_of_container(session: Session, record: ContainerRecord) -> Station:
    layout = session.layout.container(record.id)
    if not layout.directory.exists():
        raise ContainerNotFoundError.removed(record.name, record.id)
    spec = record.spec
    return Station(
        record.id,
        f"container {record.name}",
        spec.network,
        record.ip,
        build_container_names(record),
        layout,
        spec.dns,
        spec.dns_search,
        spec.dns_options,
    )


def find_shared_station(session: Session, record: ContainerRecord) -> Station:
    """Raises ContainerNotFoundError, PodNotFoundError."""
    of = record.shared_network
    assert of is not None
    if of.pod:
        pod = find_pod_record(session, of.id)
        if pod is None:
            raise PodNotFoundError.removed(of.name, of.id)
        return _build_of_pod(session, pod)
    owner = find_container_record(session.layout, of.id)
    if owner is None:
        raise ContainerNotFoundError.removed(of.name, of.id)
    return _build_of_container(session, owner)


def _build_of_pod(session: Session, pod: PodRecord) -> Station:
    layout = session.layout.pod(pod.id)
    if not layout.directory.exists():
        raise PodNotFoundError.removed(pod.name, pod.id)
    if "net" not in pod.shares:
        raise WrongStateError(f"the members of pod {pod.name} share no network", hint="each of them can join one")
    return Station(
        pod.id,
        f"pod {pod.name}",
        pod.network,
        pod.ip,
        build_pod_names(pod),
        layout,
        pod.dns,
        pod.dns_search,
        pod.dns_options,
    )


def build_pod_names(pod: PodRecord) -> tuple[str, ...]:
    """What a pod itself is called on its networks."""
    return (pod.name, pod.id[:12], *pod.aliases)
