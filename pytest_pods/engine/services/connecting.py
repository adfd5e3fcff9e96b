"""Networks of a container that is there already: it joins and leaves them while it runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ConflictError, NetworkNotFoundError, WrongStateError
from pytest_pods.engine.network.uplink import GATEWAY, NAME_SERVER
from pytest_pods.engine.services.etc_files import EtcRequest, build_etc_texts
from pytest_pods.engine.services.wiring import read_interfaces, rebuild_wiring, write_interfaces
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.state.locks import brief

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.engine.network_records import InterfaceRecord
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.creation import HostFacts
    from pytest_pods.engine.services.networks import NetworkService
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.services.wiring import Wirer
    from pytest_pods.engine.specs.networks import Attachment
    from pytest_pods.engine.state.layout import ContainerLayout


class Connecting:
    """Connects and disconnects the containers of one session."""

    def __init__(self, session: Session, networks: NetworkService, *, wirer: Wirer, facts: HostFacts) -> None:
        self._session = session
        self._networks = networks
        self._wirer = wirer
        self._facts = facts

    def interfaces(self, record: ContainerRecord) -> tuple[InterfaceRecord, ...]:
        """What it is on now."""
        return read_interfaces(self._session.layout.container(record.id).interfaces_file)

    def connect(self, record: ContainerRecord, attachment: Attachment) -> InterfaceRecord:
        """Raises ConflictError if it is on the network, WrongStateError if it has no network of its own."""
        if record.spec.network not in (NetworkMode.PRIVATE, NetworkMode.NAMED):
            raise WrongStateError(
                f"container {record.name} has network={record.spec.network.value!r} and can join no other",
                hint="make it with networks=[…]",
            )
        if record.membership is not None and record.shares("net"):
            raise WrongStateError(
                f"the network of container {record.name} is that of pod {record.membership.pod_name}",
                hint="make the pod with networks=[…]",
            )
        layout = self._session.layout.container(record.id)
        with self._changing(layout):
            before = read_interfaces(layout.interfaces_file)
            network = self._networks.definitions.get(attachment.network)
            if any(one.network_id == network.id for one in before):
                raise ConflictError(f"container {record.name} is on network {network.name} already")
            used = {one.interface for one in before}
            if record.spec.network is NetworkMode.PRIVATE:
                used.add("eth0")
            known_as = (record.name, record.id[:12], *record.spec.aliases)
            (new,) = self._networks.reserve([attachment], owner=record.id, known_as=known_as, used=used)
            # Written down first: whoever removes the container gives back what is written.
            write_interfaces(layout.interfaces_file, (*before, new))
            try:
                self._networks.plug(
                    [new], owner=record.id, namespace=layout.namespace("net"), servers=record.spec.dns
                )
            except BaseException:
                self._networks.release([new], owner=record.id)
                write_interfaces(layout.interfaces_file, before)
                raise
            self._write_resolv_conf(record, layout, (*before, new))
        return new

    def disconnect(self, record: ContainerRecord, network: str) -> None:
        """Raises NetworkNotFoundError if it is not on the network."""
        layout = self._session.layout.container(record.id)
        with self._changing(layout):
            before = read_interfaces(layout.interfaces_file)
            gone = next((one for one in before if network in (one.network, one.network_id)), None)
            if gone is None:
                on = ", ".join(one.network for one in before) or "none"
                raise NetworkNotFoundError(f"container {record.name} is not on network {network} (it is on: {on})")
            left = tuple(one for one in before if one is not gone)
            self._networks.unplug(gone, owner=record.id, namespace=layout.namespace("net"))
            write_interfaces(layout.interfaces_file, left)
            self._write_resolv_conf(record, layout, left)

    def reload(self, record: ContainerRecord) -> None:
        """Plugs it anew into all that it is on, with the same addresses, and makes its names known again."""
        layout = self._session.layout.container(record.id)
        namespace = layout.namespace("net")
        with self._changing(layout):
            interfaces = read_interfaces(layout.interfaces_file)
            way_out = rebuild_wiring(record.spec.network, ip=record.ip, interfaces=())
            if way_out.lease is not None:
                self._session.uplink.unplug(way_out.lease)
                self._session.uplink.plug(way_out.lease, namespace=namespace)
            if interfaces:
                self._networks.replug(interfaces, owner=record.id, namespace=namespace, servers=record.spec.dns)

    @contextmanager
    def _changing(self, layout: ContainerLayout) -> Iterator[None]:
        with brief(layout.interfaces_lock):
            yield

    def _write_resolv_conf(
        self, record: ContainerRecord, layout: ContainerLayout, interfaces: tuple[InterfaceRecord, ...]
    ) -> None:
        spec = record.spec
        leads_out = spec.network is NetworkMode.PRIVATE or self._networks.lead_out(interfaces)
        named = self._networks.find_name_servers(interfaces)
        texts = build_etc_texts(
            EtcRequest(
                mode=NetworkMode.NAMED if named else spec.network,
                ip=record.ip,
                names=(record.hostname, record.name),
                host_hosts=self._facts.hosts,
                host_resolv_conf=self._facts.resolv_conf,
                gateway=str(GATEWAY) if leads_out else "",
                servers=named or spec.dns or ((str(NAME_SERVER),) if leads_out else ()),
                search=spec.dns_search,
                options=spec.dns_options,
            )
        )
        # In place: the container has this very file.
        layout.resolv_file.write_text(texts.resolv_conf)
