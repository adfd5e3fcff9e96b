"""Ports of the host: bound here first, so that two containers can never want the same one unnoticed."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import NetworkError, PortInUseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_pods.engine.specs.ports import PortSpec

_BACKLOG = 512


def bind_port(port: PortSpec) -> socket.socket:
    """A socket of the host bound as `port` asks; TCP ones listen. Raises PortInUseError, NetworkError."""
    family = socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    listener = socket.socket(family, kind)
    try:
        if port.protocol == "tcp":
            # A port in TIME_WAIT from an earlier test is free; one with a listener is refused all the same.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((port.host_ip, port.host_port))
        if port.protocol == "tcp":
            listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _translate(error, port) from error
    return listener


def bind_ports(ports: Sequence[PortSpec]) -> list[socket.socket]:
    """All of `ports` in order, or none: on failure what was bound is closed. Raises as `bind_port`."""
    bound: list[socket.socket] = []
    try:
        for port in ports:
            bound.append(bind_port(port))
    except BaseException:
        for listener in bound:
            listener.close()
        raise
    return bound


def _translate(error: OSError, port: PortSpec) -> NetworkError | PortInUseError:
    place = f"{port.host_ip}:{port.host_port}/{port.protocol}"
    what = f"publishing port {port.container_port} on {place}"
    if error.errno == errno.EADDRINUSE:
        return PortInUseError(
            f"{what}: the host port is in use already",
            hint="leave the host port out to get a free one, or end what listens there (ss -ltnp shows it)",
        )
    if error.errno == errno.EACCES:
        return NetworkError(
            f"{what}: not permitted",
            hint="ports below net.ipv4.ip_unprivileged_port_start need root; take a higher one",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return NetworkError(f"{what}: the host has no address {port.host_ip}")
    return NetworkError(f"{what}: {error.strerror}")
