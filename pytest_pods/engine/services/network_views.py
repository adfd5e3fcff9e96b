"""Networks as documents, in the shape that users of Podman's command line know. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_pods.engine.network.names import NameEntry
    from pytest_pods.engine.network_records import InterfaceRecord, NetworkRecord


def build_network_inspection(record: NetworkRecord, entries: Iterable[NameEntry]) -> dict[str, Any]:
    """As `podman network inspect`; `entries` say who is on it."""
    spec = record.spec
    options = {
        key: str(value)
        for key, value in (
            ("mtu", spec.mtu),
            ("vlan", spec.vlan),
            ("metric", spec.metric),
            ("parent", spec.parent),
            ("mode", spec.mode),
            ("isolate", None if spec.isolate == "no" else spec.isolate),
            ("no_default_route", None if spec.default_route else "true"),
        )
        if value is not None
    }
    return {
        "name": record.name,
        "id": record.id,
        "driver": record.driver,
        "network_interface": record.bridge if record.driver == "bridge" else spec.parent,
        "created": datetime.fromtimestamp(record.created, UTC).isoformat(),
        "subnets": [
            {
                "subnet": subnet.subnet,
                "gateway": subnet.gateway,
                **({"lease_range": subnet.ip_range} if subnet.ip_range else {}),
            }
            for subnet in spec.subnets
        ],
        "ipv6_enabled": any(net.version == 6 for net in record.nets),
        "internal": spec.internal,
        "dns_enabled": record.names,
        "network_dns_servers": list(spec.dns_servers),
        "labels": dict(spec.labels),
        "options": options,
        "ipam_options": {"driver": "host-local"},
        "containers": {
            entry.owner: {"name": entry.names[0], "aliases": list(entry.names[1:]), "addresses": list(entry.ips)}
            for entry in entries
        },
    }


def build_endpoints(interfaces: Sequence[InterfaceRecord]) -> dict[str, Any]:
    """`NetworkSettings.Networks` of a container's inspection."""
    found = {}
    for one in interfaces:
        four = next((address for address in one.addresses if ":" not in address), "/0").split("/")
        six = next((address for address in one.addresses if ":" in address), "/0").split("/")
        found[one.network] = {
            "NetworkID": one.network_id,
            "Aliases": list(one.names),
            "MacAddress": one.mac,
            "Gateway": next((gateway for gateway in one.gateways if ":" not in gateway), ""),
            "IPAddress": four[0],
            "IPPrefixLen": int(four[1]),
            "IPv6Gateway": next((gateway for gateway in one.gateways if ":" in gateway), ""),
            "GlobalIPv6Address": six[0],
            "GlobalIPv6PrefixLen": int(six[1]),
        }
    return found
