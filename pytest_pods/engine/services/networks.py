"""Networks of a session: made, set up at first use, plugged into, taken down; and the names on them.

netavark sets a network up once, for a namespace that only holds it (the anchor); containers are plugged by netlink.
What is half made after a kill is found by the missing `up` file, and taken back first.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from pytest_pods.engine.errors import (
    ConflictError,
    InUseError,
    NetworkError,
    NetworkNotFoundError,
    PodsError,
    SystemCallError,
    UnsupportedHostError,
)
from pytest_pods.engine.host.sandbox import NamespaceKind
from pytest_pods.engine.network import links, names
from pytest_pods.engine.network.leases import list_holders, release_leases, take_leases
from pytest_pods.engine.network.name_server import NameServer
from pytest_pods.engine.network.names import NameEntry, build_entries, build_server_file, parse_entries
from pytest_pods.engine.network.netavark import Netavark, build_request, check_support
from pytest_pods.engine.network.subnets import build_mac, find_anchor_address, select_gateways
from pytest_pods.engine.network.uplink import NAME_SERVER
from pytest_pods.engine.network_records import InterfaceRecord, NetworkRecord
from pytest_pods.engine.services.network_definitions import NetworkDefinitions
from pytest_pods.engine.services.spare_networks import SpareNetworks
from pytest_pods.engine.state.atomic import find_bytes, write_atomically
from pytest_pods.engine.state.locks import brief
from pytest_pods.engine.state.sessions import SessionKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.specs.networks import Attachment, NetworkSpec
    from pytest_pods.engine.state.layout import NetworkLayout

    _Change: TypeAlias = Callable[[InterfaceRecord, NameEntry | None], NameEntry | None]
    """From an owner's place on a network and what it is called there to what it is called from now on."""

_ANCHOR = "a" * 64
"""The owner that a network's anchor counts as."""
_ANCHOR_INTERFACE = "eth0"


class NetworkService:
    """The networks of one session. Thread-safe, and safe beside other processes that work in the session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._definitions: NetworkDefinitions | None = None
        self._spares = SpareNetworks(session, take_down=self._end)

    @property
    def definitions(self) -> NetworkDefinitions:
        """Which networks there are."""
        if self._definitions is None:
            of_command_line = self._session.kind is SessionKind.COMMAND_LINE
            self._definitions = NetworkDefinitions(
                self._session.store.networks_dir if of_command_line else self._session.layout.network_definitions_dir,
                live=self._list_live,
                adopt=lambda spec: self._spares.adopt(spec) if self._session.started else None,
            )
        return self._definitions

    def _list_live(self) -> list[NetworkRecord]:
        """The networks that are set up, also one that was removed and is still being taken down."""
        found = []
        with suppress(FileNotFoundError):
            for network_id in os.listdir(self._session.layout.live_networks_dir):
                path = self._session.layout.network(network_id).record_file
                content = find_bytes(path)
                if content is not None:
                    found.append(NetworkRecord.from_bytes(content, where=path))
        return found

    def layout(self, record: NetworkRecord) -> NetworkLayout:
        return self._session.layout.network(record.id)

    def create(self, spec: NetworkSpec) -> NetworkRecord:
        """Raises NameInUseError, SubnetInUseError, UnsupportedVersionError, UnsupportedHostError."""
        if self._session.kind is not SessionKind.COMMAND_LINE:
            self._session.start()
        with self._session.telling_its_end():
            record = self.definitions.create(spec)
        try:
            check_support(record)
            if spec.parent is not None and self._session.rootless:
                raise UnsupportedHostError(
                    f"network {spec.name}: {spec.driver} on {spec.parent} needs root",
                    hint="an ordinary user may not use interfaces of the host; a bridge needs no privileges",
                )
        except BaseException:
            self.definitions.remove(record)
            raise
        return record

    # places on networks

    def reserve(
        self,
        attachments: Sequence[Attachment],
        *,
        owner: str,
        known_as: Sequence[str],
        used: Iterable[str] = (),
    ) -> tuple[InterfaceRecord, ...]:
        """Takes addresses on every network, or on none; `used` are interfaces that there are. Raises
        NetworkNotFoundError, AddressInUseError, ConflictError, NetworkError."""
        taken: list[InterfaceRecord] = []
        interfaces = set(used)
        try:
            for attachment in attachments:
                new = self._reserve_one(attachment, owner=owner, known_as=known_as, used=interfaces)
                taken.append(new)
                interfaces.add(new.interface)
        except BaseException:
            self.release(taken, owner=owner)
            raise
        return tuple(taken)

    def _reserve_one(
        self, attachment: Attachment, *, owner: str, known_as: Sequence[str], used: Collection[str]
    ) -> InterfaceRecord:
        record = self.definitions.get(attachment.network)
        interface = attachment.interface or next(f"eth{n}" for n in range(len(used) + 1) if f"eth{n}" not in used)
        if interface in used:
            raise ConflictError(f"two interfaces {interface} on one container", hint="name another with interface=")
        layout = self.layout(record)
        self._make_room(layout)
        addresses = take_leases(
            record, layout, owner=owner, asked=attachment.addresses, is_there=self._find_owner
        )
        return InterfaceRecord(
            network=record.name,
            network_id=record.id,
            interface=interface,
            addresses=addresses,
            gateways=select_gateways(record),
            mac=attachment.mac or build_mac(one.partition("/")[0] for one in addresses),
            names=tuple(dict.fromkeys((*known_as, *attachment.aliases))),
        )

    def _find_owner(self, owner: str) -> bool:
        layout = self._session.layout
        return (
            owner == _ANCHOR or layout.container(owner).directory.exists() or layout.pod(owner).directory.exists()
        )

    def release(self, interfaces: Iterable[InterfaceRecord], *, owner: str) -> None:
        """Gives addresses back."""
        for interface in interfaces:
            release_leases(self._session.layout.network(interface.network_id), interface.ips, owner=owner)

    def find_name_servers(self, interfaces: Iterable[InterfaceRecord]) -> tuple[str, ...]:
        """Whom a container on these networks asks."""
        records = [self._get_by_id(interface) for interface in interfaces]
        return tuple(str(gateway) for record in records if record.names for gateway in record.gateways)

    def lead_out(self, interfaces: Iterable[InterfaceRecord]) -> bool:
        """Whether one of the networks leads out of the session."""
        return any(self._get_by_id(interface).leads_out for interface in interfaces)

    def _get_by_id(self, interface: InterfaceRecord) -> NetworkRecord:
        record = self.definitions.find(interface.network)
        if record is None or record.id != interface.network_id:
            raise NetworkNotFoundError(f"network {interface.network} was removed")
        return record

    # plugging

    def plug(
        self,
        interfaces: Sequence[InterfaceRecord],
        *,
        owner: str,
        namespace: Path,
        servers: Sequence[str] = (),
        more_names: Sequence[str] = (),
    ) -> None:
        """Puts a network namespace on networks, which are set up if need be, and makes its names known there.

        `more_names` are those of whoever else is in it: they come and go while it stays.
        """
        for interface in interfaces:
            record = self._get_by_id(interface)
            self.ensure_up(record)
            if record.pluggable:
                links.plug(self._session.start(), record, interface, owner=owner, namespace=namespace)
            else:
                self._netavark.set_up(
                    build_request(record, interface, owner=owner),
                    namespace,
                    subject=f"network {record.name}",
                    host_network=record.driver != "bridge",
                )
        entries = {
            one.network_id: NameEntry(
                owner, one.ips, tuple(dict.fromkeys((*one.names, *more_names))), tuple(servers)
            )
            for one in interfaces
        }
        self._change_names(interfaces, lambda one, _: entries[one.network_id], owner=owner)

    def replug(
        self,
        interfaces: Sequence[InterfaceRecord],
        *,
        owner: str,
        namespace: Path,
        servers: Sequence[str] = (),
        more_names: Sequence[str] = (),
    ) -> None:
        """Takes interfaces away and makes them anew, with the same addresses; networks that are not up are set up."""
        for interface in interfaces:
            links.unplug(self._session.start(), interface, namespace=namespace)
        self.plug(interfaces, owner=owner, namespace=namespace, servers=servers, more_names=more_names)

    def unplug(self, interface: InterfaceRecord, *, owner: str, namespace: Path) -> None:
        """The reverse: the names first, then the interface, then the addresses."""
        self.forget_names([interface], owner=owner)
        links.unplug(self._session.start(), interface, namespace=namespace)
        self.release([interface], owner=owner)

    def _make_room(self, layout: NetworkLayout) -> None:
        if layout.leases_dir.is_dir():
            return
        # One at a time: the directories above belong to a session, perhaps one that has just ended.
        for directory in (self._session.layout.live_networks_dir, layout.directory, layout.leases_dir):
            directory.mkdir(mode=0o700, exist_ok=True)

    @property
    def _netavark(self) -> Netavark:
        return Netavark(self._session.start(), self._session.layout)

    def ensure_up(self, record: NetworkRecord) -> None:
        """Sets a network up unless it is. Raises NetworkError, MissingProgramError."""
        layout = self.layout(record)
        if layout.up_file.exists():
            return
        if record.driver != "bridge":
            return
        if record.leads_out:
            self._session.uplink.ensure_up()
        self._make_room(layout)
        with brief(layout.lock_file):
            if not layout.up_file.exists():
                self._set_up(record, layout)

    def _set_up(self, record: NetworkRecord, layout: NetworkLayout) -> None:
        if layout.anchor_dir.exists():
            self._take_down(record, layout)
        # First: its addresses are taken as long as there is a bridge.
        write_atomically(layout.record_file, record.to_bytes())
        layout.anchor_dir.mkdir(mode=0o700)
        try:
            self._session.start().pin(layout.anchor_dir, NamespaceKind.NETWORK)
            self._netavark.set_up(
                _build_anchor_request(record), layout.anchor_dir / "net", subject=f"network {record.name}"
            )
            gateways = [str(gateway) for gateway in record.gateways]
            links.fix_bridge(self._session.start(), record, mac=build_mac(gateways))
            links.await_addresses(self._session.start(), record)
            layout.up_file.touch()
        except BaseException:
            with suppress(PodsError):
                self._take_down(record, layout)
            raise

    def _take_down(self, record: NetworkRecord, layout: NetworkLayout) -> None:
        # Under this lock: a new name server that is on its way would wait at a gateway that goes.
        with brief(self._session.layout.name_server_lock):
            layout.up_file.unlink(missing_ok=True)
        anchor = layout.anchor_dir / "net"
        sandbox = self._session.start()
        with suppress(SystemCallError):
            # netavark needs the namespace to be there; a half-made anchor may not have one.
            os.close(sandbox.open(anchor, os.O_RDONLY | os.O_CLOEXEC))
            links.clear_bridge(sandbox, record, anchor=anchor, interface=_ANCHOR_INTERFACE)
            self._netavark.tear_down(_build_anchor_request(record), anchor)
            sandbox.unmount(anchor)
        anchor.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            layout.anchor_dir.rmdir()

    # names

    def forget_all_names(self, record: NetworkRecord) -> None:
        """Without telling the name server: for a network whose containers all go."""
        self.layout(record).names_file.unlink(missing_ok=True)

    def forget_names(self, interfaces: Iterable[InterfaceRecord], *, owner: str) -> None:
        """Nobody finds the owner by its names on these networks any more."""
        self._change_names(interfaces, lambda _, __: None, owner=owner)

    def knows(self, interface: InterfaceRecord, names: Iterable[str], *, owner: str) -> bool:
        """Whether the owner is called by one of the names there."""
        entries = self._read_entries(self._session.layout.network(interface.network_id))
        return any(one.owner == owner and not set(names).isdisjoint(one.names) for one in entries)

    def add_names(self, interfaces: Iterable[InterfaceRecord], names: Sequence[str], *, owner: str) -> None:
        """Names beside those of the owner, wherever it is known already."""

        def add(_: InterfaceRecord, entry: NameEntry | None) -> NameEntry | None:
            return entry and replace(entry, names=tuple(dict.fromkeys((*entry.names, *names))))

        self._change_names(interfaces, add, owner=owner)

    def remove_names(self, interfaces: Iterable[InterfaceRecord], names: Iterable[str], *, owner: str) -> None:
        """The reverse; what the owner itself is called stays."""
        gone = set(names)

        def remove(interface: InterfaceRecord, entry: NameEntry | None) -> NameEntry | None:
            return entry and replace(
                entry, names=tuple(name for name in entry.names if name not in gone or name in interface.names)
            )

        self._change_names(interfaces, remove, owner=owner)

    def _change_names(self, interfaces: Iterable[InterfaceRecord], change: _Change, *, owner: str) -> None:
        with brief(self._session.layout.name_server_lock):
            changed = {one.network_id for one in interfaces if self._change_one(one, change, owner=owner)}
            nameless = {record.id for record in self.definitions.list() if not record.names}
            if changed - nameless:
                self._update_server()

    def _change_one(self, interface: InterfaceRecord, change: _Change, *, owner: str) -> bool:
        layout = self._session.layout.network(interface.network_id)
        if not layout.directory.exists():
            return False
        before = self._read_entries(layout)
        old = next((one for one in before if one.owner == owner), None)
        new = change(interface, old)
        if new == old:
            return False
        after = [one for one in before if one is not old]
        if new is not None:
            after.append(new)
        try:
            write_atomically(layout.names_file, build_entries(after).encode())
        except FileNotFoundError:
            # The network has just gone, and with it all names on it.
            return False
        return True

    @staticmethod
    def _read_entries(layout: NetworkLayout) -> list[NameEntry]:
        return parse_entries((find_bytes(layout.names_file) or b"").decode())

    def _update_server(self) -> None:
        generation = f"generation-{os.urandom(6).hex()}"
        files: dict[str, str] = {}
        gateways: list[str] = []
        named = [one for one in self.definitions.list() if one.names and self.layout(one).up_file.exists()]
        # Later releases of aardvark-dns do not start at all where one address is missing.
        for record in links.select_unbroken(self._session.start(), named):
            layout = self.layout(record)
            content = (find_bytes(layout.names_file) or b"").decode()
            upstream = record.spec.dns_servers or ((str(NAME_SERVER),) if record.leads_out else ())
            # Not by its name: aardvark-dns has a file of its own beside these.
            name = f"{record.id}%int" if record.spec.internal else record.id
            files[name] = build_server_file(record, content, upstream=upstream, generation=generation)
            gateways += [str(gateway) for gateway in record.gateways]
        NameServer(self._session.start(), self._session.layout).update(
            files, gateways=gateways, generation=generation
        )

    def resolve(self, record: NetworkRecord, name: str) -> tuple[str, ...]:
        """The addresses that a name has on a network. Raises NetworkNotFoundError if nobody is called that."""
        wanted = name.lower().rstrip(".").removesuffix(f".{names.SEARCH_DOMAIN}")
        found = [
            ip
            for entry in self.entries(record)
            if wanted in (one.lower() for one in entry.names)
            for ip in entry.ips
        ]
        if not found:
            known = sorted({one for entry in self.entries(record) for one in entry.names[:1]})
            raise NetworkNotFoundError(
                f"nobody is called {name!r} on network {record.name} (there are: {', '.join(known) or 'none'})"
            )
        return tuple(found)

    def check_direct(self, record: NetworkRecord) -> None:
        """Sets the network up. Raises NetworkError for one that is not the session's own."""
        if record.driver != "bridge":
            raise NetworkError(
                f"network {record.name}: the session is not on it, since it is the host's own",
                hint="its addresses are reached as the host reaches them",
            )
        self.ensure_up(record)

    def open_socket(self, family: int, kind: int, protocol: int) -> socket.socket:
        """A socket in the session's network namespace."""
        return self._session.start().socket(family, kind | socket.SOCK_CLOEXEC, protocol)

    def entries(self, record: NetworkRecord) -> list[NameEntry]:
        """Who is on a network under which names."""
        return self._read_entries(self.layout(record))

    # the end

    def users(self, record: NetworkRecord) -> list[str]:
        """IDs of who is on a network."""
        return sorted(owner for owner in list_holders(self.layout(record)) - {_ANCHOR} if self._find_owner(owner))

    def remove(self, record: NetworkRecord, *, name_of: Callable[[str], str]) -> None:
        """Takes a network down. Raises InUseError that names who is on it."""
        users = self.users(record)
        if users and not self._session.has_ended:
            raise InUseError(
                f"network {record.name} is in use by {', '.join(name_of(user) for user in users)}",
                hint="remove these first, or disconnect them",
            )
        layout = self.layout(record)
        self.definitions.remove(record)
        if not layout.directory.exists() or not self._session.started or self._session.has_ended:
            return
        if not self._spares.keep(record, layout):
            self._end(record, layout)

    def _end(self, record: NetworkRecord, layout: NetworkLayout) -> None:
        from pytest_pods.engine.services.sessions import remove_trees

        with brief(layout.lock_file):
            self._take_down(record, layout)
        if record.names:
            with brief(self._session.layout.name_server_lock):
                self._update_server()
        remove_trees(self._session.start(), [layout.directory])


def _build_anchor_request(record: NetworkRecord) -> dict[str, object]:
    addresses = tuple(
        f"{find_anchor_address(subnet)}/{subnet.network.prefixlen}" for subnet in record.spec.subnets
    )
    anchor = InterfaceRecord(
        network=record.name,
        network_id=record.id,
        interface=_ANCHOR_INTERFACE,
        addresses=addresses,
        gateways=(),
        mac=build_mac(one.partition("/")[0] for one in addresses),
        names=(),
    )
    return build_request(record, anchor, owner=_ANCHOR)
