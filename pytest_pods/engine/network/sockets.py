"""Which TCP ports of a network namespace have a listener: asked of the kernel, or read in the table that /proc shows.

The kernel goes through all connections of all namespaces for the table, which takes longer than all else in a wait.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NETLINK_SOCK_DIAG = 4
_LISTEN = "0A"
_STATES_LISTEN = 1 << 10
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_REQUEST_DUMP = 0x1 | 0x300
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI48x")
"""sock_diag(7): `inet_diag_req_v2`, with a socket ID that says nothing."""
_PORT = struct.Struct("!H")
_PORT_OFFSET = _HEADER.size + 4
_ERROR = struct.Struct("=i")
_MOST_BYTES = 1 << 16
_PATIENCE_S = 30.0


def list_listening_ports(diagnosis: socket.socket) -> frozenset[int]:
    """Port numbers with a listener in the namespace of a NETLINK_SOCK_DIAG socket. Raises OSError (ENOENT where the
    kernel has no such thing)."""
    diagnosis.settimeout(_PATIENCE_S)
    return frozenset(port for family in (socket.AF_INET, socket.AF_INET6) for port in _dump(diagnosis, family))


def _dump(diagnosis: socket.socket, family: int) -> Iterator[int]:
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _STATES_LISTEN)
    header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, family, 0)
    diagnosis.send(header + request)
    while True:
        content = diagnosis.recv(_MOST_BYTES)
        position = 0
        while position + _HEADER.size <= len(content):
            length, kind = _HEADER.unpack_from(content, position)[:2]
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                code = -_ERROR.unpack_from(content, position + _HEADER.size)[0]
                raise OSError(code, os.strerror(code))
            yield _PORT.unpack_from(content, position + _PORT_OFFSET)[0]
            position += (max(length, _HEADER.size) + 3) & ~3


def parse_listening_ports(*tables: str) -> frozenset[int]:
    """Port numbers in state LISTEN in texts of /proc/PID/net/tcp and tcp6 (kernel: proc_net_tcp)."""
    ports = set()
    for table in tables:
        for line in table.splitlines()[1:]:
            columns = line.split()
            if len(columns) > 3 and columns[3] == _LISTEN:
                ports.add(int(columns[1].rpartition(":")[2], 16))
    return frozenset(ports)
