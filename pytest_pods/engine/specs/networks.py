"""Networks, and how a container is on them: what can be asked for."""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import field, fields
from typing import Any, Literal, TypeAlias

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs import values
from pytest_pods.frozen import frozen

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Driver: TypeAlias = Literal["bridge", "macvlan", "ipvlan"]
Isolation: TypeAlias = Literal["no", "yes", "strict"]

DEFAULT_NETWORK = "default"
"""The network with names that every session has; it is made when a container is first on it."""
HOST_NAMES = ("host.containers.internal", "host.docker.internal")
"""Names under which a container reaches services of the host's loopback."""

_MOST_MTU = 65535
_MOST_ATTACHMENTS = 16
_FEWEST_ADDRESSES = {4: 8, 6: 4}
"""Beside the network's and IPv4's broadcast address, one is the gateway's and one the anchor's."""


class NetworkMode(enum.Enum):
    """`PRIVATE`: own namespace with loopback and a way out; `NONE`: loopback only; `HOST`: the host's; `NAMED`: own
    namespace on the networks that the container names."""

    PRIVATE = "private"
    NONE = "none"
    HOST = "host"
    NAMED = "named"


@frozen
class Attachment:
    """A container's place on a network; what is not asked for, addresses and MAC included, the engine chooses."""

    network: str
    aliases: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    mac: str | None = None
    interface: str | None = None


@frozen
class SubnetSpec:
    """A subnet; containers get addresses of `ip_range`, where given. The gateway is by default the first address."""

    subnet: str
    gateway: str | None = None
    ip_range: str | None = None

    @property
    def network(self) -> IPNetwork:
        return ipaddress.ip_network(self.subnet)


@frozen
class NetworkSpec:
    """Everything that is asked of a network. Without subnets it gets a free IPv4 one, with `ipv6` an IPv6 one too.

    `parent` is the interface of the host under a macvlan or ipvlan, `mode` their mode; `metric` that of the default
    route.
    """

    name: str
    driver: Driver = "bridge"
    subnets: tuple[SubnetSpec, ...] = ()
    ipv6: bool = False
    internal: bool = False
    dns: bool = True
    dns_servers: tuple[str, ...] = ()
    isolate: Isolation = "no"
    default_route: bool = True
    mtu: int | None = None
    vlan: int | None = None
    metric: int | None = None
    parent: str | None = None
    mode: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


NETWORK_OPTIONS: frozenset[str] = (frozenset(f.name for f in fields(NetworkSpec)) - {"name", "subnets"}) | {
    "subnet",
    "gateway",
    "ip_range",
}


def build_network_spec(name: object, /, **options: Any) -> NetworkSpec:
    """Builds a spec from what people write; raises InvalidSpecError that names the argument.

    `subnet`, `gateway` and `ip_range` take a text or a list of them, in the same order; `isolate` takes a bool or
    "strict".
    """
    unknown = sorted(set(options) - NETWORK_OPTIONS)
    if unknown:
        raise InvalidSpecError(
            f"unknown argument {unknown[0]!r} of a network", hint=values.did_you_mean(unknown[0], NETWORK_OPTIONS)
        )
    given: dict[str, Any] = {
        "name": values.parse_name("name", name),
        "subnets": _build_subnets(
            *(parse_texts(key, options.pop(key, ())) for key in ("subnet", "gateway", "ip_range"))
        ),
    }
    for key, value in options.items():
        if value is not None:
            given[key] = _PARSERS[key](key, value)
    spec = NetworkSpec(**given)
    _refuse_contradictions(spec)
    return spec


def _refuse_contradictions(spec: NetworkSpec) -> None:
    if spec.name in {mode.value for mode in NetworkMode} | {"container", "pod", "bridge"}:
        raise InvalidSpecError(f"a network cannot be named {spec.name!r}", hint="the word is a mode of its own")
    nets = [subnet.network for subnet in spec.subnets]
    for index, net in enumerate(nets):
        for other in nets[:index]:
            if net.version == other.version and net.overlaps(other):
                raise InvalidSpecError(f"network {spec.name}: subnets {other} and {net} overlap")
    if spec.driver == "bridge":
        for key in ("parent", "mode"):
            if getattr(spec, key) is not None:
                raise InvalidSpecError(f"network {spec.name}: {key} belongs to macvlan and ipvlan, not to a bridge")
        return
    if spec.parent is None:
        raise InvalidSpecError(
            f"network {spec.name}: {spec.driver} needs parent, the host's interface that it is made on"
        )
    modes = _MODES[spec.driver]
    if spec.mode is not None and spec.mode not in modes:
        raise InvalidSpecError(
            f"network {spec.name}: unknown mode {spec.mode!r} of {spec.driver}", hint=", ".join(modes)
        )
    if not spec.subnets:
        raise InvalidSpecError(
            f"network {spec.name}: {spec.driver} needs a subnet",
            hint="the one of the parent's network; addresses by DHCP are not supported",
        )
    for key, value in (("isolate", spec.isolate != "no"), ("vlan", spec.vlan is not None)):
        if value:
            raise InvalidSpecError(f"network {spec.name}: {key} belongs to a bridge, not to {spec.driver}")


_MODES = {
    "macvlan": ("bridge", "private", "vepa", "passthru"),
    "ipvlan": ("l2", "l3", "l3s"),
}


def _build_subnets(
    subnets: tuple[str, ...], gateways: tuple[str, ...], ranges: tuple[str, ...]
) -> tuple[SubnetSpec, ...]:
    if len(gateways) > len(subnets) or len(ranges) > len(subnets):
        what, given = ("gateway", gateways) if len(gateways) > len(subnets) else ("ip_range", ranges)
        raise InvalidSpecError(f"{what} {given[len(subnets)]!r} has no subnet", hint="give one subnet for each")
    return tuple(
        _build_subnet(
            subnet,
            gateways[index] if index < len(gateways) else None,
            ranges[index] if index < len(ranges) else None,
        )
        for index, subnet in enumerate(subnets)
    )


def _build_subnet(text: str, gateway: str | None, ip_range: str | None) -> SubnetSpec:
    net = _parse_net("subnet", text)
    if net.num_addresses < _FEWEST_ADDRESSES[net.version]:
        raise InvalidSpecError(f"subnet {text!r} has no room for a gateway and a container", hint="take a wider one")
    if net.is_multicast or net.is_loopback or net.is_link_local:
        raise InvalidSpecError(f"subnet {text!r} is of a kind that cannot be used by containers")
    if gateway is not None:
        address = parse_address("gateway", gateway)
        if address not in net or address == net.network_address or (net.version == 4 and address == net[-1]):
            raise InvalidSpecError(f"gateway {gateway} is no address of subnet {net} that can be given to one")
        gateway = str(address)
    if ip_range is not None:
        part = _parse_net("ip_range", ip_range)
        if part.version != net.version or not part.subnet_of(net):  # type: ignore[arg-type]
            raise InvalidSpecError(f"ip_range {ip_range} is not in subnet {net}")
        ip_range = str(part)
    return SubnetSpec(str(net), gateway, ip_range)


def _parse_net(name: str, text: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidSpecError(f"{name} {text!r} is not a subnet: {error}", hint="write as in 10.89.7.0/24") from error


def parse_address(name: str, text: object) -> IPAddress:
    """An IPv4 or IPv6 address; raises InvalidSpecError."""
    try:
        return ipaddress.ip_address(values.parse_text(name, text))
    except ValueError as error:
        raise InvalidSpecError(f"{name} {text!r} is not an IP address") from error


def parse_texts(name: str, value: object) -> tuple[str, ...]:
    """A text, or a list of texts."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence):
        raise InvalidSpecError(f"{name} has to be a text or a list of texts, not {value!r}")
    return tuple(values.parse_text(name, item) for item in value)


def parse_addresses(name: str, value: object) -> tuple[str, ...]:
    """An address, or a list of addresses, in their usual form."""
    return tuple(str(parse_address(name, text)) for text in parse_texts(name, value))


def _parse_choice(*choices: str) -> Any:
    def parse(name: str, value: object) -> str:
        if value not in choices:
            raise InvalidSpecError(f"{name}: {value!r} is none of {', '.join(choices)}")
        return str(value)

    return parse


def _parse_isolation(name: str, value: object) -> Isolation:
    known: dict[object, Isolation] = {True: "yes", False: "no", "yes": "yes", "no": "no", "strict": "strict"}
    if isinstance(value, bool | str) and value in known:
        return known[value]
    raise InvalidSpecError(f"{name} has to be True, False or 'strict', not {value!r}")


def _parse_number(lowest: int, highest: int) -> Any:
    def parse(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise InvalidSpecError(f"{name} has to be a number from {lowest} to {highest}, not {value!r}")
        return value

    return parse


_PARSERS: dict[str, Any] = {
    "driver": _parse_choice("bridge", "macvlan", "ipvlan"),
    "ipv6": values.parse_flag,
    "internal": values.parse_flag,
    "dns": values.parse_flag,
    "dns_servers": parse_addresses,
    "isolate": _parse_isolation,
    "default_route": values.parse_flag,
    "mtu": _parse_number(68, _MOST_MTU),
    "vlan": _parse_number(1, 4094),
    "metric": _parse_number(0, 2**31),
    "parent": values.parse_text,
    "mode": values.parse_text,
    "labels": values.parse_environment,
}

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_INTERFACE = re.compile(r"[a-zA-Z0-9_.-]{1,15}\Z")
_LABEL = r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\Z")


def parse_host_name(name: str, value: object) -> str:
    """A name that can be resolved: labels with dots between them; raises InvalidSpecError."""
    text = values.parse_text(name, value)
    if not _HOST_NAME.match(text):
        raise InvalidSpecError(f"{name}: {text!r} is no host name", hint="letters, digits, '-', '_' and '.' make one")
    return text


def parse_aliases(name: str, value: object) -> tuple[str, ...]:
    return tuple(parse_host_name(name, text) for text in parse_texts(name, value))


def parse_mac(name: str, value: object) -> str:
    text = values.parse_text(name, value).lower().replace("-", ":")
    if not _MAC.match(text) or int(text[:2], 16) & 1:
        raise InvalidSpecError(f"{name}: {value!r} is no MAC address of one station", hint="as in 02:50:00:00:00:07")
    return text


def _parse_interface(name: str, value: object) -> str:
    text = values.parse_text(name, value)
    if not _INTERFACE.match(text) or text in (".", "..", "lo"):
        raise InvalidSpecError(f"{name}: {text!r} is no name of an interface", hint="15 characters at most, not 'lo'")
    return text


def parse_network(name: str, value: object) -> tuple[NetworkMode, tuple[Attachment, ...]]:
    """Reads `network=`: a mode, or the name of one network (or its handle)."""
    if isinstance(value, NetworkMode):
        return value, ()
    if isinstance(value, str) and value in ("private", "none", "host"):
        return NetworkMode(value), ()
    if isinstance(value, str) and value in ("container", "pod", "named"):
        raise InvalidSpecError(f"{name}: {value!r} needs more", hint="container:NAME, the name of a network, or pod=")
    return NetworkMode.NAMED, (_parse_attachment(name, value),)


def parse_networks(name: str, value: object) -> tuple[Attachment, ...]:
    """Reads `networks=`: names or handles, or a mapping name → options (`aliases`, `ip`, `mac`, `interface`)."""
    if isinstance(value, Mapping):
        found = [_parse_attachment(name, key, options) for key, options in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        found = [_parse_attachment(name, item) for item in value]
    else:
        raise InvalidSpecError(f"{name} has to be a list or a mapping, not {value!r}", hint=f"write {name}=[{value!r}]")
    names = [attachment.network for attachment in found]
    for one in names:
        if names.count(one) > 1:
            raise InvalidSpecError(f"{name} has {one} twice")
    if len(found) > _MOST_ATTACHMENTS:
        raise InvalidSpecError(f"{name}: {len(found)} networks are more than {_MOST_ATTACHMENTS}")
    return tuple(found)


_ATTACHMENT_OPTIONS = frozenset({"aliases", "ip", "mac", "interface"})


def _parse_attachment(name: str, network: object, options: object = None) -> Attachment:
    if isinstance(network, Attachment):
        return network
    text = network if isinstance(network, str) else getattr(network, "name", None)
    if not isinstance(text, str):
        raise InvalidSpecError(f"{name}: {network!r} is neither a network nor the name of one")
    return build_attachment(values.parse_name(name, text), options or {}, where=f"{name} {text}")


def build_attachment(network: str, options: object, *, where: str) -> Attachment:
    """Reads `aliases`, `ip` (one or several addresses), `mac` and `interface` of a place on a network."""
    if not isinstance(options, Mapping):
        raise InvalidSpecError(f"{where}: {options!r} is not a mapping", hint="as in {'aliases': ['db']}")
    unknown = sorted(set(options) - _ATTACHMENT_OPTIONS)
    if unknown:
        raise InvalidSpecError(
            f"{where}: unknown argument {unknown[0]!r}", hint=values.did_you_mean(unknown[0], _ATTACHMENT_OPTIONS)
        )
    mac, interface = options.get("mac"), options.get("interface")
    return Attachment(
        network,
        aliases=parse_aliases(f"{where}: aliases", options.get("aliases", ())),
        addresses=parse_addresses(f"{where}: ip", options.get("ip", ())),
        mac=None if mac is None else parse_mac(f"{where}: mac", mac),
        interface=None if interface is None else _parse_interface(f"{where}: interface", interface),
    )


def parse_added_hosts(name: str, value: object) -> Mapping[str, str]:
    """Reads `add_hosts=`: a mapping name → address or "NAME:ADDRESS" texts; the address may be `host-gateway`."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        pairs = []
        for text in parse_texts(name, value):
            host, separator, address = text.partition(":")
            if not separator:
                raise InvalidSpecError(f"{name} entry {text!r} is not NAME:ADDRESS")
            pairs.append((host, address))
    found = {}
    for host, address in pairs:
        key = parse_host_name(name, host)
        found[key] = (
            str(address)
            if address == "host-gateway"
            else str(parse_address(f"{name} {key}", str(address).strip("[]")))
        )
    return found
