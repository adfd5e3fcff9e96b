"""Containers in a network that is not their own: members of a pod, and those that were asked to be in another's.

Whose network it is has a list of them. Those in it know them by their names, and so do the networks that it is on. All
of that comes with the container, also with one that joins a pod which runs, and goes with it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.errors import InUseError, InvalidSpecError, NotFoundError
from pytest_pods.engine.records import NetworkOwner
from pytest_pods.engine.services.container_records import find_container_record
from pytest_pods.engine.services.pod_files import add_member_name, remove_member_name
from pytest_pods.engine.services.stations import Station, find_shared_station
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.state.locks import brief

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.networks import NetworkService
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.state.layout import ContainerLayout, PodLayout, SessionLayout


def join_network(record: ContainerRecord, other: ContainerRecord) -> ContainerRecord:
    """The record of a container in the network of another, which itself may be in somebody's. Pure.

    Raises InvalidSpecError for ports of a container in the host's network.
    """
    spec, of = record.spec, other.shared_network or NetworkOwner(other.id, other.name, pod=False)
    on_host = other.spec.network is NetworkMode.HOST
    if on_host and (spec.ports or spec.publish_all):
        raise InvalidSpecError(
            f"container {other.name} is on the host's network: ports cannot be published in it",
            hint="the service is on the host's ports already",
        )
    changes: dict[str, Any] = {"network": other.spec.network, "image_resolv_conf": other.spec.image_resolv_conf}
    joined = replace(record, ip=other.ip, network_of=of, spec=spec.with_changes(**changes))
    return replace(joined, hostname=other.hostname) if on_host and spec.hostname is None else joined


def introduce(session: Session, networks: NetworkService, record: ContainerRecord) -> None:
    """Puts the container on the list and makes its names known. Its record has to be written: whoever connects the
    network looks for it there. Raises NotFoundError."""
    if record.shared_network is None:
        return
    names = build_shared_names(record)
    station = find_shared_station(session, record)
    with changing(station):
        if station.layout.closed_file.exists():
            raise NotFoundError(f"{station.subject} is being removed")
        station.layout.sharers_dir.mkdir(mode=0o700, exist_ok=True)
        (station.layout.sharers_dir / record.id).touch()
        if interfaces := station.interfaces:
            networks.add_names(interfaces, names, owner=station.owner)
    add_member_name(station.layout.hosts_file, *names)


def close_network(
    layout: SessionLayout, owner: ContainerLayout | PodLayout, *, subject: str, force: bool
) -> list[ContainerRecord]:
    """From now on nobody comes into the network of a container or pod that is about to be removed. Who is in it because
    it was asked to be, and has to be removed before; raises InUseError for those unless `force`."""
    with suppress(FileNotFoundError), brief(owner.interfaces_lock):
        sharers = [record for record in list_sharers(layout, owner) if record.network_of is not None]
        if sharers and not force:
            raise InUseError(
                f"the network of {subject} is also that of {', '.join(one.name for one in sharers)}",
                hint="remove these first, or all of them by force",
            )
        owner.closed_file.touch()
        return sharers
    return []


def forget(session: Session, networks: NetworkService, record: ContainerRecord) -> None:
    """The reverse, while its record is still there; fine if the network is gone, or the names are."""
    if record.shared_network is None:
        return
    with suppress(NotFoundError, FileNotFoundError):
        station = find_shared_station(session, record)
        names = build_shared_names(record)
        remove_member_name(station.layout.hosts_file, *names)
        with changing(station):
            (station.layout.sharers_dir / record.id).unlink(missing_ok=True)
            interfaces = station.interfaces
            if any(networks.knows(one, names, owner=station.owner) for one in interfaces):
                kept = find_shared_names(session.layout, station.layout)
                networks.remove_names(
                    interfaces, [name for name in names if name not in kept], owner=station.owner
                )


@contextmanager
def changing(station: Station) -> Iterator[None]:
    """Held while who is in a network changes, or what networks it is on. Raises NotFoundError."""
    try:
        lock = brief(station.layout.interfaces_lock)
        lock.__enter__()
    except FileNotFoundError as error:
        raise NotFoundError(f"{station.subject} was removed") from error
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def build_shared_names(record: ContainerRecord) -> tuple[str, ...]:
    """What a container is called by those that share its network. Pure."""
    names = (record.membership.member, record.name) if record.membership is not None else (record.name,)
    return tuple(dict.fromkeys(names))


def find_shared_names(layout: SessionLayout, owner: ContainerLayout | PodLayout) -> tuple[str, ...]:
    """The names of all that are in the network of a container or pod, besides itself."""
    return tuple(name for record in list_sharers(layout, owner) for name in build_shared_names(record))


def list_sharers(layout: SessionLayout, owner: ContainerLayout | PodLayout) -> list[ContainerRecord]:
    """All that are in the network of a container or pod, besides itself; oldest first."""
    try:
        names = os.listdir(owner.sharers_dir)
    except FileNotFoundError:
        return []
    found = [record for name in names if (record := find_container_record(layout, name)) is not None]
    return sorted(found, key=lambda record: record.created)
