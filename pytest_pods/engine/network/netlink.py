"""Route netlink inside a network namespace (rtnetlink(7)): pyroute2 writes the messages, the sandbox makes the socket.

pyroute2's own sockets come with an event loop each, which takes longer than all that is asked of them here.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, Self

from pytest_pods.engine.errors import SystemCallError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from pytest_pods.engine.host.sandbox import Sandbox

_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_REQUEST = 0x1
_ACKNOWLEDGE = 0x4
_EXCLUSIVE = 0x200
_CREATE = 0x400
_APPEND = 0x800
_DUMP = 0x300
_EXTENDED_ACK = 11
_IFF_UP = 1
_SOL_NETLINK = 270
_BRIDGE_SELF = 2
_VLAN_PVID = 0x2
_VLAN_UNTAGGED = 0x4
_DEFAULT_VLAN = 1
_PATIENCE_S = 30.0
_MOST_BYTES = 1 << 16


class Netlink:
    """A netlink socket in the session's, or the given, network namespace. One thread at a time."""

    def __init__(self, sandbox: Sandbox, *, namespace: Path | None = None) -> None:
        self._socket = sandbox.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE, network_namespace=namespace
        )
        self._socket.settimeout(_PATIENCE_S)
        self._socket.setsockopt(_SOL_NETLINK, _EXTENDED_ACK, 1)
        self._where = f"in {namespace}" if namespace else "in the session"
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def add_link(self, name: str, **attributes: Any) -> None:
        """RTM_NEWLINK of a new interface, up if `up`; raises SystemCallError (EEXIST)."""
        up = attributes.pop("up", False)
        message = _build_link(name, attributes)
        if up:
            message["flags"] = message["change"] = _IFF_UP
        self._change(message, "RTM_NEWLINK", _CREATE | _EXCLUSIVE, f"adding {name}")

    def set_link(self, index: int, **attributes: Any) -> None:
        """RTM_NEWLINK of an interface that there is: `up`, `master` and whatever attribute it takes."""
        up = attributes.pop("up", False)
        message = _build_link(None, attributes)
        message["index"] = index
        if up:
            message["flags"] = message["change"] = _IFF_UP
        self._change(message, "RTM_NEWLINK", 0, f"changing interface {index}")

    def remove_link(self, index: int) -> None:
        message = _build_link(None, {})
        message["index"] = index
        self._change(message, "RTM_DELLINK", 0, f"removing interface {index}")

    def set_vlan(self, index: int, vlan: int, *, of_bridge: bool = False) -> None:
        """Puts a port of a bridge, or with `of_bridge` the bridge's own end, into a VLAN, and into no other: untagged
        frames are of that one. The bridge has to filter by VLAN."""
        doing = f"putting interface {index} into VLAN {vlan}"
        flags = _VLAN_PVID | _VLAN_UNTAGGED
        self._change(_build_vlan(index, vlan, flags=flags, of_bridge=of_bridge), "RTM_SETLINK", 0, doing)
        if vlan != _DEFAULT_VLAN:
            message = _build_vlan(index, _DEFAULT_VLAN, flags=0, of_bridge=of_bridge)
            self._change(message, "RTM_DELLINK", 0, f"taking interface {index} out of VLAN {_DEFAULT_VLAN}")

    def add_address(self, index: int, address: str) -> None:
        """Adds "10.89.0.2/24"; an IPv6 address is usable at once, without a look for who else might have it."""
        from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

        text, _, prefix = address.partition("/")
        six = ":" in text
        message = ifaddrmsg()
        message["family"] = socket.AF_INET6 if six else socket.AF_INET
        message["prefixlen"] = int(prefix)
        message["index"] = index
        attributes: list[tuple[str, Any]] = [("IFA_ADDRESS", text), ("IFA_LOCAL", text)]
        if six:
            attributes.append(("IFA_FLAGS", 0x02))
        else:
            attributes.append(("IFA_BROADCAST", _find_broadcast(address)))
        message["attrs"] = attributes
        self._change(message, "RTM_NEWADDR", _CREATE | _EXCLUSIVE, f"adding address {address}")

    def add_default_route(self, gateway: str, *, index: int, metric: int) -> None:
        """A default route beside others that there may be."""
        from pyroute2.netlink.rtnl.rtmsg import rtmsg

        message = rtmsg()
        message["family"] = socket.AF_INET6 if ":" in gateway else socket.AF_INET
        message["table"], message["proto"], message["type"] = 254, 4, 1
        message["attrs"] = [("RTA_GATEWAY", gateway), ("RTA_OIF", index), ("RTA_PRIORITY", metric)]
        self._change(message, "RTM_NEWROUTE", _CREATE | _APPEND, f"adding the route by {gateway}")

    def find_link(self, name: str) -> int | None:
        """The index of an interface, None if there is none of the name."""
        message = self._find(name)
        return None if message is None else int(message["index"])

    def find_peer(self, name: str) -> int | None:
        """The index of a veth's other end, in the namespace of that."""
        message = self._find(name)
        return None if message is None else message.get_attr("IFLA_LINK")

    def _find(self, name: str) -> Any:
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

        packet = self._receive(self._send(_build_link(name, {}), "RTM_GETLINK", 0))
        if _HEADER.unpack_from(packet)[1] == _NLMSG_ERROR:
            code, said = _parse_error(packet)
            if code == errno.ENODEV:
                return None
            raise SystemCallError(
                f"looking for {name} {self._where}: {said or os.strerror(code)}", call="RTM_GETLINK", errno=code
            )
        message = ifinfmsg(packet)
        message.decode()
        return message

    def find_ports(self, bridge: int) -> list[int]:
        """The indexes of the interfaces on a bridge."""
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

        sequence = self._send(_build_link(None, {"master": bridge}), "RTM_GETLINK", _DUMP)
        found: list[int] = []
        while True:
            content = self._receive(sequence)
            position = 0
            while position + _HEADER.size <= len(content):
                length, kind = _HEADER.unpack_from(content, position)[:2]
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    return found
                message = ifinfmsg(content[position : position + length])
                message.decode()
                if message.get_attr("IFLA_MASTER") == bridge:
                    found.append(int(message["index"]))
                position += (max(length, _HEADER.size) + 3) & ~3

    def _change(self, message: Any, kind: str, flags: int, doing: str) -> None:
        sequence = self._send(message, kind, flags | _ACKNOWLEDGE)
        code, said = _parse_error(self._receive(sequence))
        if code:
            raise SystemCallError(
                f"{doing} {self._where}: {said or os.strerror(code)}", call=kind, errno=code, subject=doing
            )

    def _send(self, message: Any, kind: str, flags: int) -> int:
        from pyroute2.netlink import rtnl

        self._sequence += 1
        message["header"]["type"] = getattr(rtnl, kind)
        message["header"]["flags"] = flags | _REQUEST
        message["header"]["sequence_number"] = self._sequence
        message["header"]["pid"] = 0
        message.encode()
        self._socket.send(bytes(message.data))
        return self._sequence

    def _receive(self, sequence: int) -> bytes:
        """What the kernel sends next for a request."""
        while True:
            try:
                packet = self._socket.recv(_MOST_BYTES)
            except TimeoutError as error:
                raise SystemCallError(
                    f"the kernel does not answer {self._where}", call="recv", errno=errno.ETIMEDOUT
                ) from error
            if _HEADER.unpack_from(packet)[3] == sequence:
                return packet


def _parse_error(packet: bytes) -> tuple[int, str]:
    """Errno and, where the kernel gives one, its text (NLMSGERR_ATTR_MSG)."""
    code = -_ERROR.unpack_from(packet, _HEADER.size)[0]
    said = ""
    capped = _HEADER.unpack_from(packet)[2] & 0x100
    inner = _HEADER.unpack_from(packet, _HEADER.size + _ERROR.size)[0]
    position = _HEADER.size + _ERROR.size + (_HEADER.size if capped else (inner + 3) & ~3)
    while code and position + 4 <= len(packet):
        length, kind = struct.unpack_from("=HH", packet, position)
        if length < 4:
            break
        if kind & 0x3FFF == 1:
            said = packet[position + 4 : position + length].rstrip(b"\0").decode("utf-8", "replace")
        position += (length + 3) & ~3
    return code, said


def _build_link(name: str | None, attributes: dict[str, Any]) -> Any:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    message = ifinfmsg()
    found: list[tuple[str, Any]] = [] if name is None else [("IFLA_IFNAME", name)]
    peer = attributes.pop("peer", None)
    found += [(f"IFLA_{key.upper()}", value) for key, value in attributes.items()]
    if peer is not None:
        inner = {"attrs": [(f"IFLA_{key.upper()}", value) for key, value in peer.items()]}
        kind = [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", inner)]})]
        found.append(("IFLA_LINKINFO", {"attrs": kind}))
    message["attrs"] = found
    return message


def _build_vlan(index: int, vlan: int, *, flags: int, of_bridge: bool) -> Any:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    message = ifinfmsg()
    message["family"] = socket.AF_BRIDGE
    message["index"] = index
    own: list[tuple[str, Any]] = [("IFLA_BRIDGE_FLAGS", _BRIDGE_SELF)] if of_bridge else []
    entry = ("IFLA_BRIDGE_VLAN_INFO", {"flags": flags, "vid": vlan})
    message["attrs"] = [("IFLA_AF_SPEC", {"attrs": [*own, entry]})]
    return message


def _find_broadcast(address: str) -> str:
    import ipaddress

    return str(ipaddress.IPv4Interface(address).network.broadcast_address)
