"""Network interfaces by system calls, where a process or a netlink library would take longer than all the rest."""

from __future__ import annotations

import fcntl
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

_SIOCGIFINDEX = 0x8933
_SIOCBRADDIF = 0x89A2
_INTERFACE_REQUEST = struct.Struct("=16si20x")
"""netdevice(7): `ifreq`, a name and a number."""


def add_to_bridge(control: socket.socket, link: str, *, bridge: str) -> None:
    """Does what `ip link set LINK master BRIDGE` does, in the namespace of the socket. Raises OSError."""
    found = fcntl.ioctl(control, _SIOCGIFINDEX, _INTERFACE_REQUEST.pack(link.encode(), 0))
    index = _INTERFACE_REQUEST.unpack(found)[1]
    fcntl.ioctl(control, _SIOCBRADDIF, _INTERFACE_REQUEST.pack(bridge.encode(), index))
