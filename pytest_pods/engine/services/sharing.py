"""Names of containers in a network that is not their own: those in it know them, and so do the networks that it is on.

They come with the container, also with one that joins a pod which runs, and go with it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import NotFoundError
from pytest_pods.engine.services.container_records import iterate_container_records
from pytest_pods.engine.services.pod_files import add_member_name, remove_member_name
from pytest_pods.engine.services.stations import find_shared_station
from pytest_pods.engine.services.wiring import read_interfaces
from pytest_pods.engine.state.locks import brief

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.networks import NetworkService
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.state.layout import SessionLayout


def introduce(session: Session, networks: NetworkService, record: ContainerRecord) -> None:
    """Makes the container's names known, once its record is written: whoever joins a network looks for it there."""
    if record.shared_network is None:
        return
    names = build_shared_names(record)
    station = find_shared_station(session, record)
    add_member_name(station.layout.hosts_file, *names)
    with brief(station.layout.interfaces_lock):
        if interfaces := read_interfaces(station.layout.interfaces_file):
            networks.add_names(interfaces, names, owner=station.owner)


def forget(session: Session, networks: NetworkService, record: ContainerRecord) -> None:
    """The reverse, while its record is still there; fine if the network is gone, or the names are."""
    if record.shared_network is None:
        return
    with suppress(NotFoundError, FileNotFoundError):
        station = find_shared_station(session, record)
        names = build_shared_names(record)
        remove_member_name(station.layout.hosts_file, *names)
        with brief(station.layout.interfaces_lock):
            interfaces = read_interfaces(station.layout.interfaces_file)
            if any(networks.knows(one, names, owner=station.owner) for one in interfaces):
                kept = find_shared_names(session.layout, station.owner, but=(record.id,))
                gone = [name for name in names if name not in kept]
                networks.remove_names(interfaces, gone, owner=station.owner)


def build_shared_names(record: ContainerRecord) -> tuple[str, ...]:
    """What a container is called by those that share its network. Pure."""
    names = (record.membership.member, record.name) if record.membership is not None else (record.name,)
    return tuple(dict.fromkeys(names))


def find_shared_names(layout: SessionLayout, owner: str, *, but: Collection[str] = ()) -> tuple[str, ...]:
    """The names of all that are in the network of a pod; `but` are IDs of containers that do not count."""
    return tuple(
        name
        for record in iterate_container_records(layout)
        if record.shared_network == owner and record.id not in but
        for name in build_shared_names(record)
    )
