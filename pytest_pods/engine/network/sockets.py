"""Which TCP ports of a network namespace have a listener: asked of the kernel, or read in the table that /proc shows.

The kernel goes through all connections of all namespaces for the table, which takes longer than all else in a wait.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

from pytest_pods.engine.network.netlink_packets import (
    DONE,
    DUMP,
    ERROR,
    HEADER,
    MOST_BYTES,
    pack_request,
    read_errno,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NETLINK_SOCK_DIAG = 4
_LISTEN = "0A"
_STATES_LISTEN = 1 << 10
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = struct.Struct("=BBBxI48x")
"""sock_diag(7): `inet_diag_req_v2`, with a socket ID that says nothing."""
_PORT = struct.Struct("!H")
_PORT_OFFSET = HEADER.size + 4
_PATIENCE_S = 30.0


def list_listening_ports(diagnosis: socket.socket) -> frozenset[int]:
    """Port numbers with a listener in the namespace of a NETLINK_SOCK_DIAG socket. Raises OSError (ENOENT where the
    kernel has no such thing)."""
    diagnosis.settimeout(_PATIENCE_S)
    return frozenset(port for family in (socket.AF_INET, socket.AF_INET6) for port in _dump(diagnosis, family))


def _dump(diagnosis: socket.socket, family: int) -> Iterator[int]:
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _STATES_LISTEN)
    diagnosis.send(pack_request(request, kind=_SOCK_DIAG_BY_FAMILY, flags=DUMP, sequence=family))
    while True:
        for kind, message in split(diagnosis.recv(MOST_BYTES)):
            if kind == DONE:
                return
            if kind == ERROR:
                code = read_errno(message)
                raise OSError(code, os.strerror(code))
            yield _PORT.unpack_from(message, _PORT_OFFSET)[0]


def parse_listening_ports(*tables: str) -> frozenset[int]:
    """Port numbers in state LISTEN in texts of /proc/PID/net/tcp and tcp6 (kernel: proc_net_tcp)."""
    ports = set()
    for table in tables:
        for line in table.splitlines()[1:]:
            columns = line.split()
            if len(columns) > 3 and columns[3] == _LISTEN:
                ports.add(int(columns[1].rpartition(":")[2], 16))
    return frozenset(ports)
