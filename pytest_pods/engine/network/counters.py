"""What has gone through the interfaces of a network namespace, as /proc shows it (proc_pid_net(5): net/dev)."""

from __future__ import annotations

from pytest_pods.engine.stats import InterfaceCounters

_FIRST_SENT = 8
_LOOPBACK = "lo"


def parse_interface_counters(text: str) -> dict[str, InterfaceCounters]:
    """Interface → counters, in the order of /proc/PID/net/dev; without loopback, which leads nowhere."""
    found = {}
    for line in text.splitlines():
        name, separator, rest = line.partition(":")
        numbers = rest.split()
        # Two lines of headers come first; the second has no colon before its columns either.
        if not separator or len(numbers) < _FIRST_SENT + 2 or name.strip() == _LOOPBACK:
            continue
        found[name.strip()] = InterfaceCounters(
            received_bytes=int(numbers[0]),
            received_packets=int(numbers[1]),
            sent_bytes=int(numbers[_FIRST_SENT]),
            sent_packets=int(numbers[_FIRST_SENT + 1]),
        )
    return found
