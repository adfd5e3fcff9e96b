"""Counters of interfaces, from the text of /proc/PID/net/dev."""

from __future__ import annotations

from pytest_pods.engine.network.counters import parse_interface_counters
from pytest_pods.engine.stats import InterfaceCounters

_TEXT = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo:     900       9    0    0    0     0          0         0      900       9    0    0    0     0     0       0
  eth0:     430       5    1    2    3     4          5         6      266       3    0    0    0     0     0       0
veth1.20:12345678901234567890 1 0 0 0 0 0 0 7 2 0 0 0 0 0 0
"""


def test_interfaces_have_what_came_and_went_without_loopback() -> None:
    assert parse_interface_counters(_TEXT) == {
        "eth0": InterfaceCounters(received_bytes=430, received_packets=5, sent_bytes=266, sent_packets=3),
        "veth1.20": InterfaceCounters(12345678901234567890, 1, 7, 2),
    }


def test_namespace_without_interfaces_has_none() -> None:
    assert parse_interface_counters("".join(_TEXT.splitlines(keepends=True)[:3])) == {}
    assert parse_interface_counters("") == {}
