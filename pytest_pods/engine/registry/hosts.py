"""Where a registry is reached, and which of them may be spoken to without TLS."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidSettingError
from pytest_pods.engine.oci.reference import DEFAULT_REGISTRY
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

_ADDRESSES = {DEFAULT_REGISTRY: "registry-1.docker.io"}


def registry_address(registry: str) -> str:
    """host or host:port that serves the API of `registry`, a name as references have it."""
    return _ADDRESSES.get(registry, registry)


def split_host(address: str) -> str:
    """The host of `host`, `host:port` or `[v6]:port`, without brackets."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0]


def is_loopback(address: str) -> bool:
    """True for names and addresses that cannot leave this machine."""
    host = split_host(address).lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    ip = _parse_ip(host)
    return ip is not None and ip.is_loopback


@frozen
class InsecureHosts:
    """Registries that plain HTTP is allowed with, besides those of the loopback; TLS is tried first everywhere."""

    names: frozenset[str] = frozenset()
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> InsecureHosts:
        """Reads `host`, `host:port` and CIDR networks; raises InvalidSettingError."""
        names, networks = set(), []
        for entry in entries:
            if "//" in entry or not entry.strip():
                raise InvalidSettingError(
                    f"invalid insecure registry {entry!r}",
                    hint="write a host, host:port, or a network such as 10.0.0.0/8",
                )
            if "/" not in entry:
                names.add(entry.strip().lower())
                continue
            try:
                networks.append(ipaddress.ip_network(entry.strip(), strict=False))
            except ValueError as error:
                raise InvalidSettingError(f"invalid insecure registry {entry!r}: {error}") from error
        return cls(frozenset(names), tuple(networks))

    def plain_allowed(self, address: str) -> bool:
        """Whether `address` (host or host:port) may be spoken to over plain HTTP."""
        address = address.lower()
        host = split_host(address)
        if is_loopback(address) or address in self.names or host in self.names:
            return True
        ip = _parse_ip(host)
        return ip is not None and any(ip in network for network in self.networks)


def _parse_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
