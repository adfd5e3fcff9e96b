"""What is stored of networks and of the places that containers have on them: plain values and their JSON form."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict
from typing import Any

from pytest_pods.engine.errors import InvalidDocumentError
from pytest_pods.engine.specs.networks import Driver, IPAddress, IPNetwork, NetworkSpec, SubnetSpec
from pytest_pods.frozen import frozen


@frozen
class NetworkRecord:
    """A network. The subnets of `spec` are complete: what was not asked for has been chosen.

    `bridge` is its interface in the session's network namespace; `created` counts seconds since the epoch.
    """

    id: str
    spec: NetworkSpec
    bridge: str
    created: float

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def driver(self) -> Driver:
        return self.spec.driver

    @property
    def nets(self) -> tuple[IPNetwork, ...]:
        return tuple(subnet.network for subnet in self.spec.subnets)

    @property
    def gateways(self) -> tuple[IPAddress, ...]:
        """Of the subnets, in their order; an internal network's are its bridge's addresses all the same."""
        return tuple(ipaddress.ip_address(subnet.gateway) for subnet in self.spec.subnets if subnet.gateway)

    @property
    def pluggable(self) -> bool:
        """Whether a container is plugged by netlink; netavark does what that does not cover."""
        return self.spec.driver == "bridge" and self.spec.vlan is None

    @property
    def names(self) -> bool:
        """Whether containers resolve each other's names on it."""
        return self.spec.dns and self.spec.driver == "bridge"

    @property
    def leads_out(self) -> bool:
        return not self.spec.internal and self.spec.driver == "bridge"

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: object) -> NetworkRecord:
        """Raises InvalidDocumentError."""
        try:
            document = json.loads(content)
            spec = document["spec"]
            spec["subnets"] = tuple(SubnetSpec(**subnet) for subnet in spec["subnets"])
            spec["dns_servers"] = tuple(spec["dns_servers"])
            document["spec"] = NetworkSpec(**spec)
            return cls(**document)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidDocumentError(f"the network record {where} cannot be read: {error}") from error


@frozen
class InterfaceRecord:
    """A container's, or a pod's, place on a network. `addresses` have a prefix length, as 10.89.0.2/24.

    `gateways` are those that its default routes go by; `names` all that it is called there.
    """

    network: str
    network_id: str
    interface: str
    addresses: tuple[str, ...]
    gateways: tuple[str, ...]
    mac: str
    names: tuple[str, ...]

    @property
    def ips(self) -> tuple[str, ...]:
        """The addresses without their prefix lengths."""
        return tuple(address.partition("/")[0] for address in self.addresses)

    def find_ip(self, version: int) -> str:
        """Its first address of an IP version, empty if it has none."""
        return next((ip for ip in self.ips if (":" in ip) == (version == 6)), "")


def interfaces_to_bytes(interfaces: tuple[InterfaceRecord, ...]) -> bytes:
    return json.dumps([asdict(one) for one in interfaces]).encode()


def parse_interfaces(content: bytes, *, where: object) -> tuple[InterfaceRecord, ...]:
    """Raises InvalidDocumentError."""
    try:
        return tuple(_parse_interface(one) for one in json.loads(content))
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidDocumentError(f"the interfaces in {where} cannot be read: {error}") from error


def _parse_interface(document: dict[str, Any]) -> InterfaceRecord:
    lists = {key: tuple(document[key]) for key in ("addresses", "gateways", "names")}
    return InterfaceRecord(**{**document, **lists})
