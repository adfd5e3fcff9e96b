"""What one network namespace, a container's or a pod's, is plugged into: planned, connected, released.

Places on the way out belong to the session, and several processes may work in one: a file each, made so that only one
can have made it, keeps them apart.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import NetworkError
from pytest_pods.engine.network.uplink import GATEWAY, MOST_LEASES, NAME_SERVER, Lease
from pytest_pods.engine.network_records import InterfaceRecord, interfaces_to_bytes, parse_interfaces
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.state.atomic import find_bytes, write_atomically
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.networks import NetworkService
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.specs.networks import Attachment
    from pytest_pods.engine.state.layout import SessionLayout


@frozen
class Wiring:
    """`servers` are the name servers to ask, `upstream` those that these ask for what they do not know; `gateway` leads
    to the host."""

    mode: NetworkMode
    lease: Lease | None = None
    interfaces: tuple[InterfaceRecord, ...] = ()
    servers: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    gateway: str = ""

    @property
    def ips(self) -> tuple[str, ...]:
        """All addresses, those of the first network first."""
        if self.mode is NetworkMode.HOST:
            return ("127.0.0.1",)
        if self.lease is not None:
            return (str(self.lease.address),)
        return tuple(ip for interface in self.interfaces for ip in interface.ips)

    @property
    def ip(self) -> str:
        """The address that stands for the others: of the first network, IPv4 if it has one."""
        return next((ip for ip in self.ips if ":" not in ip), next(iter(self.ips), ""))


class Wirer:
    """Plans and connects network namespaces of one session. Thread-safe."""

    def __init__(self, session: Session, networks: NetworkService) -> None:
        self._session = session
        self._networks = networks
        self._numbers = itertools.count(1)

    def plan(
        self,
        mode: NetworkMode,
        attachments: Sequence[Attachment] = (),
        *,
        owner: str,
        known_as: Sequence[str] = (),
        dns: Sequence[str] = (),
    ) -> Wiring:
        """Takes the places. The owner's directory has to be there already: without it its places are free again.

        `known_as` are names on every network, `dns` name servers instead of the host's. Raises NetworkError,
        NetworkNotFoundError, AddressInUseError.
        """
        if mode is NetworkMode.PRIVATE:
            lease = self._take_lease()
            return Wiring(mode, lease, servers=tuple(dns) or (str(NAME_SERVER),), gateway=str(GATEWAY))
        if mode is not NetworkMode.NAMED:
            return Wiring(mode, servers=tuple(dns))
        networks = self._networks
        interfaces = networks.reserve(attachments, owner=owner, known_as=known_as)
        named, leads_out = networks.find_name_servers(interfaces), networks.lead_out(interfaces)
        return Wiring(
            mode,
            interfaces=interfaces,
            servers=named or tuple(dns) or ((str(NAME_SERVER),) if leads_out else ()),
            upstream=tuple(dns) if named else (),
            gateway=str(GATEWAY) if leads_out else "",
        )

    def _take_lease(self) -> Lease:
        directory = self._session.layout.leases_dir
        for number in self._numbers:
            if number > MOST_LEASES:
                break
            try:
                os.close(os.open(directory / str(number), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            except FileExistsError:
                continue
            return Lease(number)
        return self._take_free_lease(directory)

    def _take_free_lease(self, directory: Path) -> Lease:
        self._numbers = itertools.count(1)
        taken = {int(name) for name in os.listdir(directory)}
        if len(taken) >= MOST_LEASES:
            raise NetworkError(
                f"all {MOST_LEASES} addresses of the session are taken", hint="remove containers that are not needed"
            )
        return self._take_lease()

    def connect(
        self,
        wiring: Wiring,
        *,
        owner: str,
        namespace: Path,
        more_names: Sequence[str] = (),
        cut_off: bool = False,
    ) -> None:
        """Puts the namespace where it was planned; `more_names` are those of who will be in it, and may go again. One
        that is `cut_off` reaches nobody on the way out before `let_out`.

        Raises NetworkError, MissingProgramError.
        """
        if wiring.lease is not None:
            self._session.uplink.plug(wiring.lease, namespace=namespace, cut_off=cut_off)
        elif wiring.interfaces:
            self._networks.plug(
                wiring.interfaces,
                owner=owner,
                namespace=namespace,
                servers=wiring.upstream,
                more_names=more_names,
            )

    def let_out(self, wiring: Wiring) -> None:
        """Ends the state of being cut off."""
        if wiring.lease is not None:
            self._session.uplink.let_out(wiring.lease)

    def connect_in_background(
        self, wiring: Wiring, *, owner: str, namespace: Path, cut_off: bool = False
    ) -> Callable[[], None]:
        """Starts to; the answer waits for it and raises what went wrong."""
        if wiring.lease is None and not wiring.interfaces:
            return lambda: None
        faults: list[BaseException] = []

        def connect() -> None:
            try:
                self.connect(wiring, owner=owner, namespace=namespace, cut_off=cut_off)
            except BaseException as error:
                faults.append(error)

        thread = threading.Thread(target=connect, name="pytest-pods plug", daemon=True)
        thread.start()

        def finish() -> None:
            thread.join()
            if faults:
                raise faults[0]

        return finish

    def forget_names(self, wiring: Wiring, *, owner: str) -> None:
        """At once, before those who are in the namespace go one by one."""
        if wiring.interfaces:
            self._networks.forget_names(wiring.interfaces, owner=owner)

    def forget_sharer(self, record: ContainerRecord) -> None:
        """A container leaves the network that is not its own; nobody finds it there by its names any more."""
        from pytest_pods.engine.services.sharing import forget

        forget(self._session, self._networks, record)

    def release(self, wiring: Wiring, *, owner: str) -> None:
        """Gives the places back; the interfaces themselves go with the namespace."""
        if wiring.lease is not None:
            release_lease(self._session.layout, wiring.lease)
        if wiring.interfaces:
            networks = self._networks
            networks.forget_names(wiring.interfaces, owner=owner)
            networks.release(wiring.interfaces, owner=owner)


def release_lease(layout: SessionLayout, lease: Lease) -> None:
    (layout.leases_dir / str(lease.number)).unlink(missing_ok=True)


def write_interfaces(path: Path, interfaces: tuple[InterfaceRecord, ...]) -> None:
    """Writes down what a namespace is plugged into, for whoever releases it."""
    write_atomically(path, interfaces_to_bytes(interfaces))


def read_interfaces(path: Path) -> tuple[InterfaceRecord, ...]:
    """What `write_interfaces` wrote; nothing if there is no such file. Raises InvalidDocumentError."""
    content = find_bytes(path)
    return () if content is None else parse_interfaces(content, where=path)


def rebuild_wiring(mode: NetworkMode, *, ip: str, interfaces: tuple[InterfaceRecord, ...]) -> Wiring:
    """What there is to release, from what was written down."""
    lease = Lease.of_address(ip) if mode is NetworkMode.PRIVATE and ip else None
    return Wiring(mode, lease, interfaces)
