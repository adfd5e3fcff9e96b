"""The handle on one network that tests and the command line hold: reads well, does nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.errors import NetworkNotFoundError

if TYPE_CHECKING:
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.network_records import InterfaceRecord, NetworkRecord
    from pytest_pods.engine.pod import Pod
    from pytest_pods.engine.services.containers import ContainerService
    from pytest_pods.engine.services.pods import PodService


class Network:
    """A network of a session."""

    def __init__(self, record: NetworkRecord, service: ContainerService, pods: Callable[[], PodService]) -> None:
        self._record = record
        self._service = service
        self._pods = pods

    def __repr__(self) -> str:
        return f"<Network {self.name} {', '.join(self.subnets)}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def record(self) -> NetworkRecord:
        """What was written down when it was created."""
        return self._record

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self._record.id

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def driver(self) -> str:
        return self._record.driver

    @property
    def subnets(self) -> tuple[str, ...]:
        """As "10.89.0.0/24"."""
        return tuple(subnet.subnet for subnet in self._record.spec.subnets)

    @property
    def gateways(self) -> tuple[str, ...]:
        """One for each subnet."""
        return tuple(str(gateway) for gateway in self._record.gateways)

    @property
    def internal(self) -> bool:
        """Whether it has no way out."""
        return self._record.spec.internal

    @property
    def labels(self) -> Mapping[str, str]:
        return self._record.spec.labels

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self._record.created, UTC)

    def containers(self) -> list[Container]:
        """Those that are on it, also by the network of a pod or of another container, oldest first."""
        users = set(self._service.networks.users(self._record))
        return [one for one in self._service.list() if (one.record.shared_network or one).id in users]

    def connect(
        self,
        container: Container | Pod,
        *,
        aliases: tuple[str, ...] | list[str] = (),
        ip: str | list[str] | tuple[str, ...] = (),
        mac: str | None = None,
        interface: str | None = None,
    ) -> InterfaceRecord:
        """Puts a container or a pod on it, also while that runs. What has one network joins together: with a member it
        is its pod, and with a container in the network of another that one.

        Raises ConflictError, AddressInUseError, WrongStateError, NetworkError.
        """
        from pytest_pods.engine.specs.networks import build_attachment

        options = {"aliases": aliases, "ip": ip, "mac": mac, "interface": interface}
        attachment = build_attachment(self.name, options, where=f"network {self.name}")
        return self._service.connecting.connect(container.record, attachment)

    def disconnect(self, container: Container | Pod) -> None:
        """Takes a container, or a pod with all its members, off it. Raises NetworkNotFoundError if it is not on it."""
        self._service.connecting.disconnect(container.record, self.name)

    def resolve(self, name: str) -> str:
        """The address of a container or pod by name or alias: IPv4 if it has one. Raises NetworkNotFoundError."""
        found = self._service.networks.resolve(self._record, name)
        return next((ip for ip in found if ":" not in ip), found[0])

    @contextmanager
    def direct(self) -> Iterator[None]:
        """In this block Python's sockets of this process reach the network's containers, by name or by address:
        `socket.create_connection(("db", 5432))` works with no published port. Raises NetworkError."""
        from pytest_pods.engine.network.direct import Realm, opened

        networks = self._service.networks
        networks.check_direct(self._record)

        def resolve(host: str) -> tuple[str, ...]:
            try:
                return networks.resolve(self._record, host)
            except NetworkNotFoundError:
                return ()

        with opened(Realm(self._record.nets, resolve, networks.open_socket)):
            yield

    def inspect(self) -> dict[str, Any]:
        """A document in the shape of `podman network inspect`."""
        from pytest_pods.engine.services.network_views import build_network_inspection

        return build_network_inspection(self._record, self._service.networks.entries(self._record))

    def remove(self, *, force: bool = False) -> None:
        """Removes it; with `force` its containers and pods first, else those are in the way (InUseError)."""
        if force:
            networks = self._service.networks
            # Nobody is left to ask for names that go one by one.
            networks.forget_all_names(self._record)
            users = set(networks.users(self._record))
            for pod in self._pods().list():
                if pod.id in users:
                    pod.remove(force=True)
            for container in self._service.list():
                if container.id in users:
                    container.remove(force=True)
        self._service.remove_network(self._record)
