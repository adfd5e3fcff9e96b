"""Networks of a container or pod that is there already: it joins and leaves them while it runs.

A member of a pod has the pod's network, so that with a member it is the pod which joins and leaves; and so it is with a
container in the network of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ConflictError, NetworkNotFoundError
from pytest_pods.engine.network.uplink import GATEWAY, NAME_SERVER
from pytest_pods.engine.services.etc_files import EtcRequest, build_resolv_conf
from pytest_pods.engine.services.placement import find_interfaces
from pytest_pods.engine.services.sharing import changing, find_shared_names
from pytest_pods.engine.services.stations import Station, find_current_ip, find_station
from pytest_pods.engine.services.wiring import rebuild_wiring, write_interfaces
from pytest_pods.engine.specs.networks import NetworkMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_pods.engine.network_records import InterfaceRecord
    from pytest_pods.engine.pod_records import PodRecord
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.creation import HostFacts
    from pytest_pods.engine.services.networks import NetworkService
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.specs.networks import Attachment


class Connecting:
    """Connects and disconnects the containers and pods of one session."""

    def __init__(self, session: Session, networks: NetworkService, *, facts: Callable[[], HostFacts]) -> None:
        self._session = session
        self._networks = networks
        self._facts = facts

    def interfaces(self, record: ContainerRecord) -> tuple[InterfaceRecord, ...]:
        """What it is on now."""
        return find_interfaces(self._session.layout, record)

    def find_ip(self, record: ContainerRecord | PodRecord) -> str:
        """Where it can be reached now; of one that was removed, where that was when it was made."""
        return find_current_ip(self._session, record)

    def connect(self, record: ContainerRecord | PodRecord, attachment: Attachment) -> InterfaceRecord:
        """Raises ConflictError if it is on the network, WrongStateError if it has no network that could join others."""
        station = find_station(self._session, record)
        station.check_joinable()
        with changing(station):
            before = station.interfaces
            network = self._networks.definitions.get(attachment.network)
            if any(one.network_id == network.id for one in before):
                raise ConflictError(f"{station.subject} is on network {network.name} already")
            used = {one.interface for one in before}
            if station.mode is NetworkMode.PRIVATE:
                used.add("eth0")
            (new,) = self._networks.reserve([attachment], owner=station.owner, known_as=station.names, used=used)
            # Written down first: whoever removes the owner gives back what is written.
            write_interfaces(station.layout.interfaces_file, (*before, new))
            try:
                self._networks.plug(
                    [new],
                    owner=station.owner,
                    namespace=station.namespace,
                    servers=station.dns,
                    more_names=find_shared_names(self._session.layout, station.layout),
                )
            except BaseException:
                self._networks.release([new], owner=station.owner)
                write_interfaces(station.layout.interfaces_file, before)
                raise
            self._write_resolv_conf(station, (*before, new))
        return new

    def disconnect(self, record: ContainerRecord | PodRecord, network: str) -> None:
        """Raises NetworkNotFoundError if it is not on the network."""
        station = find_station(self._session, record)
        with changing(station):
            before = station.interfaces
            gone = next((one for one in before if network in (one.network, one.network_id)), None)
            if gone is None:
                on = ", ".join(one.network for one in before) or "none"
                raise NetworkNotFoundError(f"{station.subject} is not on network {network} (it is on: {on})")
            left = tuple(one for one in before if one is not gone)
            self._networks.unplug(gone, owner=station.owner, namespace=station.namespace)
            write_interfaces(station.layout.interfaces_file, left)
            self._write_resolv_conf(station, left)

    def reload(self, record: ContainerRecord | PodRecord) -> None:
        """Plugs it anew into all that it is on, with the same addresses, and makes its names known again."""
        station = find_station(self._session, record)
        with changing(station):
            interfaces = station.interfaces
            way_out = rebuild_wiring(station.mode, ip=station.ip, interfaces=())
            if way_out.lease is not None:
                self._session.uplink.unplug(way_out.lease)
                self._session.uplink.plug(way_out.lease, namespace=station.namespace)
            if interfaces:
                self._networks.replug(
                    interfaces,
                    owner=station.owner,
                    namespace=station.namespace,
                    servers=station.dns,
                    more_names=find_shared_names(self._session.layout, station.layout),
                )

    def _write_resolv_conf(self, station: Station, interfaces: tuple[InterfaceRecord, ...]) -> None:
        leads_out = station.mode is NetworkMode.PRIVATE or self._networks.lead_out(interfaces)
        named = self._networks.find_name_servers(interfaces)
        text = build_resolv_conf(
            EtcRequest(
                mode=NetworkMode.NAMED if named else station.mode,
                ip=station.ip,
                names=station.names,
                host_hosts="",
                host_resolv_conf=self._facts().resolv_conf,
                gateway=str(GATEWAY) if leads_out else "",
                servers=named or station.dns or ((str(NAME_SERVER),) if leads_out else ()),
                search=station.dns_search,
                options=station.dns_options,
            )
        )
        # In place: whoever has the network has this very file.
        station.layout.resolv_file.write_text(text)
