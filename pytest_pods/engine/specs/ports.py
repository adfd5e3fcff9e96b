"""Published ports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.frozen import frozen


@frozen
class PortSpec:
    """A published port; host port 0 asks for a free one."""

    container_port: int
    host_port: int = 0
    host_ip: str = "127.0.0.1"
    protocol: Literal["tcp", "udp"] = "tcp"


_MOST_IN_A_RANGE = 1024


def parse_port(value: object) -> PortSpec:
    """One port; see `parse_port_range`."""
    found = parse_port_range(value)
    if len(found) > 1:
        raise InvalidSpecError(f"port {value!r} is a range; one port is wanted here")
    return found[0]


def parse_port_range(value: object) -> tuple[PortSpec, ...]:
    """Reads 6379, "6379", "8080:80", "127.0.0.1:8080:80", "[::1]:8080:80", ranges such as "8000-8003:80-83", any with
    "/tcp" or "/udp"."""
    if isinstance(value, PortSpec):
        return (value,)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidSpecError(f"invalid port {value!r}", hint="write 6379, '8080:80' or '127.0.0.1:8080:80/tcp'")
    mapping, _, protocol = value.partition("/")
    if protocol == "sctp":
        raise InvalidSpecError(
            f"port {value!r}: SCTP cannot be published", hint="tcp and udp can; containers reach each other by SCTP"
        )
    if protocol not in ("", "tcp", "udp"):
        raise InvalidSpecError(f"port {value!r}: protocol {protocol!r} cannot be published", hint="tcp and udp can")
    host_ip = "127.0.0.1"
    if mapping.startswith("["):
        host_ip, closed, mapping = mapping[1:].partition("]:")
        if not closed:
            raise InvalidSpecError(f"invalid port {value!r}", hint="an IPv6 address is written as in '[::1]:8080:80'")
    elif mapping.count(":") == 2:
        host_ip, _, mapping = mapping.partition(":")
    host_ip = _parse_ip(host_ip, value)
    host, separator, container = mapping.rpartition(":")
    inside = _parse_range(container, value, lowest=1)
    outside = _parse_range(host, value, lowest=0) if separator and host else range(0, 1)
    if len(outside) == 1 and outside[0] == 0:
        outside_ports = [0] * len(inside)
    elif len(outside) == len(inside):
        outside_ports = list(outside)
    else:
        raise InvalidSpecError(f"port {value!r}: the ranges have {len(outside)} and {len(inside)} ports")
    return tuple(
        PortSpec(port, host_port, host_ip, "udp" if protocol == "udp" else "tcp")
        for port, host_port in zip(inside, outside_ports, strict=True)
    )


def _parse_range(text: str, whole: object, *, lowest: int) -> range:
    first, separator, last = text.partition("-")
    start = _parse_port_number(first, whole, lowest=lowest)
    end = _parse_port_number(last, whole, lowest=lowest) if separator else start
    if not start <= end < start + _MOST_IN_A_RANGE or (separator and start == 0):
        raise InvalidSpecError(
            f"invalid port range {whole!r}", hint=f"the lower port first, at most {_MOST_IN_A_RANGE} ports"
        )
    return range(start, end + 1)


def _parse_port_number(text: str, whole: object, *, lowest: int) -> int:
    if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= 65535:
        raise InvalidSpecError(f"invalid port {whole!r}", hint=f"ports are numbers from {lowest} to 65535")
    return int(text)


def _parse_ip(text: str, whole: object) -> str:
    import socket

    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        socket.inet_pton(family, text)
    except OSError as error:
        raise InvalidSpecError(f"port {whole!r}: {text!r} is not an IP address") from error
    return text


def parse_ports(name: str, value: object) -> tuple[PortSpec, ...]:
    if isinstance(value, int | str) or not isinstance(value, Iterable):
        raise InvalidSpecError(f"{name} has to be a list, not {value!r}", hint=f"write {name}=[{value!r}]")
    return tuple(port for item in value for port in parse_port_range(item))
