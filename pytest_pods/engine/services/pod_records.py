"""Pods of a session as their records tell of them, and what a container that joins one takes over."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidDocumentError, InvalidSpecError, PodNotFoundError
from pytest_pods.engine.ids import new_container_name
from pytest_pods.engine.pod_records import PodRecord
from pytest_pods.engine.records import Membership
from pytest_pods.engine.services.planning import Joined
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.pods import refuse_same_ports
from pytest_pods.engine.specs.ports import PortSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.records import PublishedPort
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.specs.container import ContainerSpec


def find_pod_record(session: Session, pod_id: str) -> PodRecord | None:
    """None if the pod is half made or gone."""
    path = session.layout.pod(pod_id).record_file
    try:
        return PodRecord.from_bytes(path.read_bytes(), where=path)
    except (FileNotFoundError, InvalidDocumentError):
        return None


def list_pod_records(session: Session) -> list[PodRecord]:
    """All pods of the session, oldest first."""
    if not session.started:
        return []
    found = []
    with suppress(FileNotFoundError):
        for entry in os.scandir(session.layout.pods_dir):
            record = find_pod_record(session, entry.name)
            if record is not None:
                found.append(record)
    return sorted(found, key=lambda record: record.created)


def get_pod_record(session: Session, name: str) -> PodRecord:
    """By name, ID or the ID's beginning. Raises PodNotFoundError."""
    records = list_pod_records(session)
    exact = [one for one in records if name in (one.name, one.id)]
    near = exact or [one for one in records if len(name) >= 2 and one.id.startswith(name)]
    if len(near) == 1:
        return near[0]
    if near:
        raise PodNotFoundError(f"{name!r} is the beginning of {len(near)} pod IDs", hint="write more of it")
    raise PodNotFoundError(f"no pod {name!r} in session {session.id}")


def join_later(spec: ContainerSpec, pod: PodRecord, *, members: Sequence[Container]) -> Joined:
    """How a container joins a pod that is there. Raises InvalidSpecError for what the pod decides, and for a port that
    is published already."""
    others = [one for one in members if one.record.membership and one.record.membership.pod_id == pod.id]
    if "net" in pod.shares:
        if spec.network not in (NetworkMode.PRIVATE, pod.network):
            raise InvalidSpecError(f"the network of a member is that of pod {pod.name}", hint="leave it out")
        if spec.image_resolv_conf:
            raise InvalidSpecError(f"the dns of a member is that of pod {pod.name}", hint="give it to the pod")
        if spec.ports and pod.network is NetworkMode.HOST:
            raise InvalidSpecError(f"pod {pod.name} is on the host's network: ports cannot be published")
        taken = [(f"pod {pod.name}", _asked(pod.ports))]
        taken += [(f"member {one.name}", _asked(one.record.ports)) for one in others]
        refuse_same_ports([*taken, (f"container {spec.name or spec.image}", spec.ports)])
    if spec.hostname is not None and "uts" in pod.shares:
        raise InvalidSpecError(f"the hostname of a member is that of pod {pod.name}", hint="leave it out")
    position = 1 + max((one.record.membership.position for one in others if one.record.membership), default=-1)
    name = spec.name or new_container_name()
    return Joined(pod, Membership(pod.id, pod.name, name, pod.shares, position=position))


def _asked(ports: Sequence[PublishedPort]) -> list[PortSpec]:
    return [
        PortSpec(port.container_port, port.host_port, port.host_ip, "udp" if port.protocol == "udp" else "tcp")
        for port in ports
    ]
