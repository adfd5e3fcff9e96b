"""Where a container is put: which namespaces, control group, shared memory and files of /etc are its own, its pod's, or
those of the container whose network it is in.

Known from its record alone, so that a process that did not create it finds the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import WrongStateError
from pytest_pods.engine.runtime.bundle import EtcFiles, NamespacePaths
from pytest_pods.engine.services import container_state
from pytest_pods.engine.services.wiring import read_interfaces
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.network_records import InterfaceRecord
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.state.layout import ContainerLayout, PodLayout, SessionLayout


@frozen
class Placement:
    """`cgroup` is None where the session has no groups, `shared_memory` where the container has its own /dev/shm."""

    namespaces: NamespacePaths
    etc: EtcFiles
    shared_memory: Path | None
    cgroup: str | None


def find_network_namespace(layout: SessionLayout, record: ContainerRecord) -> Path | None:
    """The container's network namespace, its own or somebody else's; None for the host's."""
    if record.spec.network is NetworkMode.HOST:
        return None
    return find_network_files(layout, record).namespace("net")


def find_interfaces(layout: SessionLayout, record: ContainerRecord) -> tuple[InterfaceRecord, ...]:
    """The named networks that its network namespace is on."""
    return read_interfaces(find_network_files(layout, record).interfaces_file)


def find_network_files(layout: SessionLayout, record: ContainerRecord) -> ContainerLayout | PodLayout:
    """The files of the container or pod whose network it is in, and with it its /etc/hosts and /etc/resolv.conf."""
    of = record.shared_network
    if of is None:
        return layout.container(record.id)
    return layout.pod(of.id) if of.pod else layout.container(of.id)


def owns_network(record: ContainerRecord) -> bool:
    """Whether the container's network namespace came with it, and goes with it."""
    return record.spec.network is not NetworkMode.HOST and record.shared_network is None


def is_infra(record: ContainerRecord) -> bool:
    """Whether the container is there only to hold its pod's PID namespace."""
    return record.membership is not None and record.membership.infra


def shares_pids(session: Session, record: ContainerRecord) -> bool:
    """Whether others are in the container's PID namespace: the end of its first process is not the end of all then."""
    return not session.pid_namespaces or record.shares("pid")


def find_cgroup(session: Session, record: ContainerRecord) -> str | None:
    """The container's group below that of its pod or of the session."""
    pod_id = record.membership.pod_id if record.membership is not None else None
    return session.cgroups.container(record.id, pod_id=pod_id)


def find_placement(session: Session, record: ContainerRecord) -> Placement:
    """Raises WrongStateError where the pod's PID namespace is gone."""
    membership = record.membership
    network = find_network_namespace(session.layout, record)
    cgroup = find_cgroup(session, record)
    etc = find_etc(session.layout, record)
    if membership is None:
        return Placement(NamespacePaths(network=network), etc, None, cgroup)
    pod = session.layout.pod(membership.pod_id)
    return Placement(
        namespaces=NamespacePaths(
            network=network,
            ipc=pod.namespace("ipc") if record.shares("ipc") else None,
            uts=pod.namespace("uts") if record.shares("uts") else None,
            pid=_find_pid_namespace(session, record),
        ),
        etc=etc,
        shared_memory=pod.shared_memory_dir if record.shares("ipc") else None,
        cgroup=cgroup,
    )


def find_etc(layout: SessionLayout, record: ContainerRecord) -> EtcFiles:
    """The container's files of /etc, its own or those that come with what it has from its pod."""
    own, membership = layout.container(record.id), record.membership
    with_network = find_network_files(layout, record)
    with_name = layout.pod(membership.pod_id) if membership is not None and record.shares("uts") else own
    resolv_file = None if record.spec.image_resolv_conf else with_network.resolv_file
    return EtcFiles(with_network.hosts_file, with_name.hostname_file, resolv_file)


def _find_pid_namespace(session: Session, record: ContainerRecord) -> Path | None:
    membership = record.membership
    if membership is None or membership.infra or not record.shares("pid") or not session.pid_namespaces:
        return None
    infra = session.layout.container(infra_id(membership.pod_id))
    pid = container_state.find_number(infra.pid_file)
    if pid is None or container_state.read_exit_code(infra) is not None:
        raise WrongStateError(
            f"container {record.name}: the PID namespace of pod {membership.pod_name} has ended",
            hint="start the pod, which makes it again",
        )
    return Path(f"/proc/{pid}/ns/pid")


def infra_id(pod_id: str) -> str:
    """The ID of the container that holds a pod's PID namespace: who knows the pod finds it without a search."""
    return hashlib.sha256(f"infra of {pod_id}".encode()).hexdigest()
