"""The socket table of a network namespace as /proc shows it: which ports have a listener (kernel: proc_net_tcp)."""

from __future__ import annotations

_LISTEN = "0A"


def parse_listening_ports(*tables: str) -> frozenset[int]:
    """Port numbers in state LISTEN in texts of /proc/PID/net/tcp and tcp6."""
    ports = set()
    for table in tables:
        for line in table.splitlines()[1:]:
            columns = line.split()
            if len(columns) > 3 and columns[3] == _LISTEN:
                ports.add(int(columns[1].rpartition(":")[2], 16))
    return frozenset(ports)
