"""Plugging: a network namespace gets an interface on a live bridge, as netavark would make it, by netlink alone."""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import ConflictError, NetworkError, SystemCallError
from pytest_pods.engine.network.link_messages import Link
from pytest_pods.engine.network.netlink import Netlink

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.network_records import InterfaceRecord, NetworkRecord

_PATIENCE_S = 10.0
_LOOK_AGAIN_S = 0.001
DEFAULT_METRIC = 100
"""netavark's metric of a default route."""


def name_host_link(owner: str, interface: str) -> str:
    """The session's end of a container's link: 15 characters at most, one for each interface of each owner."""
    import zlib

    return f"v{owner[:6]}{zlib.crc32(f'{owner}/{interface}'.encode()):08x}"


def plug(
    sandbox: Sandbox, record: NetworkRecord, interface: InterfaceRecord, *, owner: str, namespace: Path
) -> None:
    """Raises ConflictError if the namespace has an interface of the name, NetworkError."""
    target = sandbox.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    mtu = record.spec.mtu
    try:
        with Netlink(sandbox) as outer:
            master = outer.find_link(record.bridge)
            if master is None:
                raise NetworkError(f"network {record.name} has lost its bridge {record.bridge}")
            name = name_host_link(owner, interface.interface)
            peer = Link(name=interface.interface, mac=interface.mac, namespace=target, mtu=mtu)
            outer.add_link(Link(name=name, up=True, master=master, mtu=mtu, kind="veth", peer=peer))
            if record.spec.vlan is not None:
                port = outer.find_link(name)
                if port is not None:
                    outer.set_vlan(port, record.spec.vlan)
    except SystemCallError as error:
        if error.errno == errno.EEXIST:
            raise ConflictError(
                f"{namespace} has an interface {interface.interface} already", hint="choose another with interface="
            ) from error
        raise
    finally:
        os.close(target)
    with Netlink(sandbox, namespace=namespace) as inner:
        own = inner.find_link(interface.interface)
        if own is None:
            raise NetworkError(f"the interface {interface.interface} of network {record.name} vanished")
        metric = DEFAULT_METRIC if record.spec.metric is None else record.spec.metric
        routes = [(gateway, metric) for gateway in interface.gateways]
        inner.take_into_use(own, addresses=interface.addresses, routes=routes)


def fix_bridge(sandbox: Sandbox, record: NetworkRecord, *, mac: str) -> None:
    """Gives a network's bridge a MAC of its own: else it has that of one of its links, and its neighbours' packets are
    lost when that link goes. A network's VLAN becomes the bridge's own: netavark leaves the bridge out of it, and then
    nobody reaches gateway and names."""
    with Netlink(sandbox) as netlink:
        index = netlink.find_link(record.bridge)
        if index is None:
            raise NetworkError(f"network {record.name} has lost its bridge {record.bridge}")
        netlink.set_link(Link(index=index, mac=mac))
        if record.spec.vlan is not None:
            netlink.set_vlan(index, record.spec.vlan, of_bridge=True)


def select_unbroken(sandbox: Sandbox, records: Iterable[NetworkRecord]) -> list[NetworkRecord]:
    """Those networks that still have their bridge."""
    with Netlink(sandbox) as session:
        return [record for record in records if session.find_link(record.bridge) is not None]


def await_addresses(sandbox: Sandbox, record: NetworkRecord, *, patience_s: float = _PATIENCE_S) -> None:
    """Returns when a network's own addresses can be used. The kernel looks at a new IPv6 address in its own time, and
    a name server that starts before has none there. Raises NetworkError after `patience_s`."""
    deadline = Deadline.after(patience_s)
    for gateway in record.gateways:
        while gateway.version == 6 and not _is_usable(sandbox, str(gateway)):
            if deadline.expired:
                raise NetworkError(f"network {record.name}: its address {gateway} cannot be used")
            time.sleep(_LOOK_AGAIN_S)


def _is_usable(sandbox: Sandbox, address: str) -> bool:
    with sandbox.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise
        return True


def unplug(sandbox: Sandbox, interface: InterfaceRecord, *, namespace: Path) -> None:
    """Takes an interface away from a namespace, and with it its other end; fine if it is not there."""
    with Netlink(sandbox, namespace=namespace) as inner:
        inner.remove_link_of_name(interface.interface)


def clear_bridge(sandbox: Sandbox, record: NetworkRecord, *, anchor: Path, interface: str) -> None:
    """Removes the links of a network's bridge but that of its anchor: those of namespaces that the kernel has yet to
    clean up, by which netavark would think that the network is in use."""
    with Netlink(sandbox) as outer:
        bridge = outer.find_link(record.bridge)
        if bridge is None:
            return
        with Netlink(sandbox, namespace=anchor) as inner:
            own = inner.find_peer(interface)
        for port in outer.find_ports(bridge):
            if port != own:
                with suppress(SystemCallError):
                    outer.remove_link(port)
