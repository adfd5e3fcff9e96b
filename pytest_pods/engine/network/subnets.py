"""Which addresses a network has and which of them a container gets. Pure: what is taken is the caller's knowledge."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidSpecError, NetworkError, SubnetInUseError
from pytest_pods.engine.specs.networks import SubnetSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pytest_pods.engine.network_records import NetworkRecord
    from pytest_pods.engine.specs.networks import IPAddress, IPNetwork, NetworkSpec

_POOL = ipaddress.IPv4Network("10.89.0.0/16")
_WIDER_POOL = ipaddress.IPv4Network("10.128.0.0/9")
_POOL_PREFIX = 24


def complete_subnets(spec: NetworkSpec, *, taken: Collection[tuple[IPNetwork, str]]) -> tuple[SubnetSpec, ...]:
    """The subnets of a new network with their gateways; free ones where none was asked for.

    `taken` are subnets with what has them. Raises SubnetInUseError, NetworkError if none is free.
    """
    nets = [net for net, _ in taken]
    subnets = list(spec.subnets)
    for subnet in subnets:
        for net, owner in taken:
            if _overlap(subnet.network, net):
                raise SubnetInUseError(
                    f"network {spec.name}: subnet {subnet.subnet} overlaps {net} of {owner}",
                    hint="take another subnet, or leave it out to get a free one",
                )
    if not subnets:
        subnets.append(SubnetSpec(str(_find_free(spec, nets))))
    if spec.ipv6 and not any(subnet.network.version == 6 for subnet in subnets):
        subnets.append(SubnetSpec(_new_unique_local_net()))
    return tuple(replace(subnet, gateway=subnet.gateway or str(subnet.network[1])) for subnet in subnets)


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _find_free(spec: NetworkSpec, nets: Iterable[IPNetwork]) -> ipaddress.IPv4Network:
    taken = [net for net in nets if net.version == 4]
    for pool in (_POOL, _WIDER_POOL):
        for candidate in pool.subnets(new_prefix=_POOL_PREFIX):
            if not any(candidate.overlaps(net) for net in taken):
                return candidate
    raise NetworkError(f"network {spec.name}: no free subnet is left", hint="remove networks that are not needed")


def _new_unique_local_net() -> str:
    """A /64 of a random /48 (RFC 4193)."""
    return str(ipaddress.IPv6Network((bytes([0xFD]) + os.urandom(5) + bytes(10), 64)))


def parse_routes(table: str) -> list[IPNetwork]:
    """The IPv4 destinations in a text of /proc/net/route, without the default route (kernel: proc_net_route)."""
    found: list[IPNetwork] = []
    for line in table.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 7 and columns[1] != "00000000":
            address, mask = (int.from_bytes(bytes.fromhex(columns[n]), "little") for n in (1, 7))
            found.append(ipaddress.IPv4Network((address & mask, mask.bit_count())))
    return found


def find_anchor_address(subnet: SubnetSpec) -> IPAddress:
    """The last usable address: it belongs to the namespace for which netavark sets the network up."""
    net = subnet.network
    last = net[-2] if net.version == 4 else net[-1]
    return net[-3] if str(last) == subnet.gateway else last


def choose_address(subnet: SubnetSpec, *, taken: Collection[str], last: str | None) -> IPAddress | None:
    """A free address, the next after `last` if that is free, so that one that was given back rests; None if there is
    none."""
    reserved = {subnet.gateway, str(find_anchor_address(subnet))}
    for address in _rotate(subnet, last):
        text = str(address)
        if text not in taken and text not in reserved:
            return address
    return None


def _rotate(subnet: SubnetSpec, last: str | None) -> Iterator[IPAddress]:
    net = subnet.network
    pool = ipaddress.ip_network(subnet.ip_range) if subnet.ip_range else net
    first = int(pool[0])
    end = int(pool[-1])
    if pool[0] == net[0]:
        first += 1
    if pool[-1] == net[-1] and net.version == 4:
        end -= 1
    start = first
    if last is not None:
        number = int(ipaddress.ip_address(last))
        if first <= number < end:
            start = number + 1
    kind = type(net[0])
    for number in range(start, end + 1):
        yield kind(number)
    for number in range(first, start):
        yield kind(number)


def assign_static(record: NetworkRecord, addresses: Iterable[str]) -> dict[int, str]:
    """Which asked-for address belongs to which subnet, by its place. Raises InvalidSpecError."""
    found: dict[int, str] = {}
    for text in addresses:
        address = ipaddress.ip_address(text)
        place = next((place for place, net in enumerate(record.nets) if address in net), None)
        if place is None:
            nets = ", ".join(str(net) for net in record.nets)
            raise InvalidSpecError(f"address {text} is in no subnet of network {record.name} ({nets})")
        if place in found:
            raise InvalidSpecError(f"two addresses of one subnet on network {record.name}: {found[place]} and {text}")
        subnet, net = record.spec.subnets[place], record.nets[place]
        if text in (subnet.gateway, str(find_anchor_address(subnet))) or address in (net[0], net[-1]):
            raise InvalidSpecError(
                f"address {text} of network {record.name} is reserved",
                hint="the first address, the gateway and the last two cannot be given to containers",
            )
        found[place] = text
    return found


def build_mac(addresses: Iterable[str]) -> str:
    """A locally administered MAC made from an address: who gets it again is known to its neighbours already."""
    address = min((ipaddress.ip_address(text) for text in addresses), key=lambda one: one.version)
    return ":".join(f"{byte:02x}" for byte in b"\x02\x50" + address.packed[-4:])


def select_gateways(record: NetworkRecord) -> tuple[str, ...]:
    """The gateways that a container's default routes go by: the first of each IP version, as netavark has it."""
    if record.spec.internal or not record.spec.default_route:
        return ()
    first = {gateway.version: str(gateway) for gateway in reversed(record.gateways)}
    return tuple(first[version] for version in sorted(first))
