"""Network interfaces by system calls, where a process or a netlink library would take longer than all the rest."""

from __future__ import annotations

import errno
import fcntl
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

_SIOCGIFINDEX = 0x8933
_INTERFACE_REQUEST = struct.Struct("=16si20x")
"""netdevice(7): `ifreq`, a name and a number."""


def find_interface(control: socket.socket, name: str) -> int | None:
    """The index of an interface in the namespace of a socket of any kind, None if there is none of the name. Raises
    OSError."""
    try:
        found = fcntl.ioctl(control, _SIOCGIFINDEX, _INTERFACE_REQUEST.pack(name.encode(), 0))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return int(_INTERFACE_REQUEST.unpack(found)[1])
