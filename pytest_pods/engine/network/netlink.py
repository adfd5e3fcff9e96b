"""Route netlink inside a network namespace (rtnetlink(7)). The sandbox makes the socket.

What every container needs is packed by `link_messages`; what is rare, and what has to be understood, is pyroute2's. Its
sockets come with an event loop each, which takes longer than all that is asked of them here.
"""

from __future__ import annotations

import enum
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Self

from pytest_pods.engine.errors import SystemCallError
from pytest_pods.engine.host.interfaces import find_interface
from pytest_pods.engine.network.link_messages import Link, pack_address, pack_default_route, pack_link
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
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from pytest_pods.engine.host.sandbox import Sandbox

_ACKNOWLEDGE = 0x4
_EXCLUSIVE = 0x200
_CREATE = 0x400
_APPEND = 0x800
_EXTENDED_ACK = 11
_SOL_NETLINK = 270
_BRIDGE_SELF = 2
_VLAN_PVID = 0x2
_VLAN_UNTAGGED = 0x4
_DEFAULT_VLAN = 1
_PATIENCE_S = 30.0


class _Kind(enum.IntEnum):
    RTM_NEWLINK = 16
    RTM_DELLINK = 17
    RTM_GETLINK = 18
    RTM_SETLINK = 19
    RTM_NEWADDR = 20
    RTM_NEWROUTE = 24


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

    def add_link(self, link: Link) -> None:
        """RTM_NEWLINK of a new interface; raises SystemCallError (EEXIST)."""
        self._change(pack_link(link), _Kind.RTM_NEWLINK, _CREATE | _EXCLUSIVE, f"adding {link.name}")

    def set_link(self, link: Link) -> None:
        """RTM_NEWLINK of an interface that there is, which its index names."""
        self._change(pack_link(link), _Kind.RTM_NEWLINK, 0, f"changing interface {link.index}")

    def remove_link(self, index: int) -> None:
        self._change(pack_link(Link(index=index)), _Kind.RTM_DELLINK, 0, f"removing interface {index}")

    def remove_link_of_name(self, name: str) -> bool:
        """Fine if there is none; whether there was one."""
        index = self.find_link(name)
        if index is None:
            return False
        self.remove_link(index)
        return True

    def take_into_use(
        self, index: int, *, addresses: Iterable[str], routes: Iterable[tuple[str, int]]
    ) -> None:
        """Gives an interface its addresses, sets it up and adds default routes by it: gateways and their metrics."""
        for address in addresses:
            self.add_address(index, address)
        self.set_link(Link(index=index, up=True))
        for gateway, metric in routes:
            self.add_default_route(gateway, index=index, metric=metric)

    def set_vlan(self, index: int, vlan: int, *, of_bridge: bool = False) -> None:
        """Puts a port of a bridge, or with `of_bridge` the bridge's own end, into a VLAN, and into no other: untagged
        frames are of that one. The bridge has to filter by VLAN."""
        doing = f"putting interface {index} into VLAN {vlan}"
        flags = _VLAN_PVID | _VLAN_UNTAGGED
        self._change(_pack_vlan(index, vlan, flags=flags, of_bridge=of_bridge), _Kind.RTM_SETLINK, 0, doing)
        if vlan != _DEFAULT_VLAN:
            message = _pack_vlan(index, _DEFAULT_VLAN, flags=0, of_bridge=of_bridge)
            self._change(message, _Kind.RTM_DELLINK, 0, f"taking interface {index} out of VLAN {_DEFAULT_VLAN}")

    def add_address(self, index: int, address: str) -> None:
        """Adds "10.89.0.2/24"; an IPv6 address is usable at once, without a look for who else might have it."""
        self._change(pack_address(index, address), _Kind.RTM_NEWADDR, _CREATE | _EXCLUSIVE, f"adding address {address}")

    def add_default_route(self, gateway: str, *, index: int, metric: int = 0) -> None:
        """A default route beside others that there may be."""
        message = pack_default_route(gateway, index=index, metric=metric)
        self._change(message, _Kind.RTM_NEWROUTE, _CREATE | _APPEND, f"adding the route by {gateway}")

    def find_link(self, name: str) -> int | None:
        """The index of an interface, None if there is none of the name."""
        try:
            return find_interface(self._socket, name)
        except OSError as error:
            raise SystemCallError(
                f"looking for {name} {self._where}: {error.strerror}", call="SIOCGIFINDEX", errno=error.errno or 0
            ) from error

    def find_peer(self, name: str) -> int | None:
        """The index of a veth's other end, in the namespace of that."""
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

        packet = self._receive(self._send(pack_link(Link(name=name)), _Kind.RTM_GETLINK, 0))
        if HEADER.unpack_from(packet)[1] == ERROR:
            code, said = _parse_error(packet)
            if code == errno.ENODEV:
                return None
            raise SystemCallError(
                f"looking for {name} {self._where}: {said or os.strerror(code)}", call="RTM_GETLINK", errno=code
            )
        message = ifinfmsg(packet)
        message.decode()
        found: int | None = message.get_attr("IFLA_LINK")
        return found

    def find_ports(self, bridge: int) -> list[int]:
        """The indexes of the interfaces on a bridge."""
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

        sequence = self._send(pack_link(Link(master=bridge)), _Kind.RTM_GETLINK, DUMP)
        found: list[int] = []
        while True:
            for kind, content in split(self._receive(sequence)):
                if kind in (DONE, ERROR):
                    return found
                message = ifinfmsg(content)
                message.decode()
                if message.get_attr("IFLA_MASTER") == bridge:
                    found.append(int(message["index"]))

    def _change(self, message: bytes, kind: _Kind, flags: int, doing: str) -> None:
        sequence = self._send(message, kind, flags | _ACKNOWLEDGE)
        code, said = _parse_error(self._receive(sequence))
        if code:
            raise SystemCallError(
                f"{doing} {self._where}: {said or os.strerror(code)}", call=kind.name, errno=code, subject=doing
            )

    def _send(self, message: bytes, kind: _Kind, flags: int) -> int:
        self._sequence += 1
        self._socket.send(pack_request(message, kind=kind, flags=flags, sequence=self._sequence))
        return self._sequence

    def _receive(self, sequence: int) -> bytes:
        """What the kernel sends next for a request."""
        while True:
            try:
                packet = self._socket.recv(MOST_BYTES)
            except TimeoutError as error:
                raise SystemCallError(
                    f"the kernel does not answer {self._where}", call="recv", errno=errno.ETIMEDOUT
                ) from error
            if HEADER.unpack_from(packet)[3] == sequence:
                return packet


def _parse_error(packet: bytes) -> tuple[int, str]:
    """Errno and, where the kernel gives one, its text (NLMSGERR_ATTR_MSG)."""
    code = read_errno(packet)
    said = ""
    capped = HEADER.unpack_from(packet)[2] & 0x100
    request = HEADER.size + 4
    inner = HEADER.unpack_from(packet, request)[0]
    position = request + (HEADER.size if capped else (inner + 3) & ~3)
    while code and position + 4 <= len(packet):
        length, kind = struct.unpack_from("=HH", packet, position)
        if length < 4:
            break
        if kind & 0x3FFF == 1:
            said = packet[position + 4 : position + length].rstrip(b"\0").decode("utf-8", "replace")
        position += (length + 3) & ~3
    return code, said


def _pack_vlan(index: int, vlan: int, *, flags: int, of_bridge: bool) -> bytes:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    message = ifinfmsg()
    message["family"] = socket.AF_BRIDGE
    message["index"] = index
    own: list[tuple[str, object]] = [("IFLA_BRIDGE_FLAGS", _BRIDGE_SELF)] if of_bridge else []
    entry = ("IFLA_BRIDGE_VLAN_INFO", {"flags": flags, "vid": vlan})
    message["attrs"] = [("IFLA_AF_SPEC", {"attrs": [*own, entry]})]
    message.encode()
    return bytes(message.data)[HEADER.size :]
