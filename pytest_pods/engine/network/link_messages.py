"""The messages of rtnetlink(7) that every container on a network needs, packed: interfaces, addresses, routes.

pyroute2 knows them all, and needs a fifth of a second to be imported, as long as several containers take.
"""

from __future__ import annotations

import socket
import struct

from pytest_pods.frozen import frozen

_IFF_UP = 1
_LINK = struct.Struct("=BxHiII")
"""`ifinfomsg`: family, type, index, flags, and which of the flags are meant."""
_ADDRESS = struct.Struct("=BBBBi")
"""`ifaddrmsg`: family, prefix length, flags, scope, index."""
_ROUTE = struct.Struct("=BBBBBBBBI")
"""`rtmsg`: family, lengths of destination and source, type of service, table, protocol, scope, type, flags."""
_ATTRIBUTE = struct.Struct("=HH")
_NUMBER = struct.Struct("=I")

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_VETH_INFO_PEER = 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS = 1, 2, 4, 8
_IFA_F_NODAD = 0x02
_RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY = 4, 5, 6
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST = 254, 4, 1


@frozen(kw_only=True)
class Link:
    """What an interface is to be; None leaves it as it is, or to the kernel. `namespace` is a descriptor; `peer` is a
    veth's other end; `kind` is the driver's name."""

    name: str | None = None
    index: int = 0
    up: bool = False
    mtu: int | None = None
    master: int | None = None
    mac: str | None = None
    namespace: int | None = None
    kind: str | None = None
    peer: Link | None = None


def pack_link(link: Link) -> bytes:
    """The body of RTM_NEWLINK and RTM_DELLINK."""
    flags = _IFF_UP if link.up else 0
    body = _LINK.pack(socket.AF_UNSPEC, 0, link.index, flags, flags)
    if link.name is not None:
        body += _pack(_IFLA_IFNAME, _pack_text(link.name))
    numbers = ((_IFLA_MTU, link.mtu), (_IFLA_MASTER, link.master), (_IFLA_NET_NS_FD, link.namespace))
    body += b"".join(_pack(kind, _NUMBER.pack(number)) for kind, number in numbers if number is not None)
    if link.mac is not None:
        body += _pack(_IFLA_ADDRESS, bytes.fromhex(link.mac.replace(":", "")))
    if link.kind is not None:
        driver = _pack(_IFLA_INFO_KIND, _pack_text(link.kind))
        if link.peer is not None:
            driver += _pack(_IFLA_INFO_DATA, _pack(_VETH_INFO_PEER, pack_link(link.peer)))
        body += _pack(_IFLA_LINKINFO, driver)
    return body


def pack_address(index: int, address: str) -> bytes:
    """The body of RTM_NEWADDR for "10.89.0.2/24"; an IPv6 address is usable at once, without a look for who else might
    have it."""
    text, _, prefix = address.partition("/")
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    packed = socket.inet_pton(family, text)
    body = _ADDRESS.pack(family, int(prefix), 0, 0, index) + _pack(_IFA_ADDRESS, packed) + _pack(_IFA_LOCAL, packed)
    if family == socket.AF_INET6:
        return body + _pack(_IFA_FLAGS, _NUMBER.pack(_IFA_F_NODAD))
    last = int.from_bytes(packed, "big") | ((1 << (32 - int(prefix))) - 1)
    return body + _pack(_IFA_BROADCAST, last.to_bytes(4, "big"))


def pack_default_route(gateway: str, *, index: int, metric: int) -> bytes:
    """The body of RTM_NEWROUTE; a metric of 0 is the kernel's own for such a route."""
    family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
    body = _ROUTE.pack(family, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, 0, _RTN_UNICAST, 0)
    body += _pack(_RTA_GATEWAY, socket.inet_pton(family, gateway)) + _pack(_RTA_OIF, _NUMBER.pack(index))
    return body + (_pack(_RTA_PRIORITY, _NUMBER.pack(metric)) if metric else b"")


def _pack(kind: int, content: bytes) -> bytes:
    """An attribute; the next one begins at a multiple of four."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(content), kind) + content + bytes(-len(content) % 4)


def _pack_text(text: str) -> bytes:
    return text.encode() + b"\0"
