"""Sockets of this process that reach into a session: while a realm is open its names resolve, its addresses connect.

Python's own sockets only: a library that makes its connections in C (libpq, say) knows nothing of it.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_pods.engine.specs.networks import IPNetwork

_COPIED_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
)


@dataclass(frozen=True, slots=True, eq=False)
class Realm:
    """`resolve` gives the addresses of a name, none if it knows nothing of it; `make` a socket inside, of a family, a
    type and a protocol."""

    nets: tuple[IPNetwork, ...]
    resolve: Callable[[str], tuple[str, ...]]
    make: Callable[[int, int, int], socket.socket]


_lock = threading.Lock()
_realms: list[Realm] = []
_moved: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_original_getaddrinfo = socket.getaddrinfo
_original_gethostbyname = socket.gethostbyname


@contextmanager
def opened(realm: Realm) -> Iterator[None]:
    """Lets every socket of this process that goes to the realm go there, for as long as the block lasts."""
    with _lock:
        if not _realms:
            _install()
        _realms.append(realm)
    try:
        yield
    finally:
        with _lock:
            _realms.remove(realm)
            if not _realms:
                _uninstall()


def _install() -> None:
    socket.getaddrinfo = _getaddrinfo
    socket.gethostbyname = _gethostbyname
    for name, function in _METHODS.items():
        setattr(socket.socket, name, function)


def _uninstall() -> None:
    socket.getaddrinfo = _original_getaddrinfo
    socket.gethostbyname = _original_gethostbyname
    for name in _METHODS:
        # What it inherits from the interpreter's own class comes back.
        delattr(socket.socket, name)


def _resolve(host: object) -> tuple[str, ...]:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str) or not host:
        return ()
    for realm in reversed(_realms):
        if found := realm.resolve(host):
            return found
    return ()


def _getaddrinfo(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[Any]:
    found: list[Any] = []
    for address in _resolve(host):
        with suppress(socket.gaierror):
            found += _original_getaddrinfo(address, port, family, type, proto, flags)
    return found or _original_getaddrinfo(host, port, family, type, proto, flags)


def _gethostbyname(host: str) -> str:
    four = [address for address in _resolve(host) if ":" not in address]
    return four[0] if four else _original_gethostbyname(host)


def _find_realm(address: object) -> Realm | None:
    if not isinstance(address, tuple) or not address:
        return None
    try:
        ip = ipaddress.ip_address(address[0])
    except ValueError:
        return None
    return next((realm for realm in reversed(_realms) if any(ip in net for net in realm.nets)), None)


def _translate(address: object) -> object:
    """A name instead of an address is what the interpreter's sockets resolve themselves, past `getaddrinfo`."""
    if isinstance(address, tuple) and address and (found := _resolve(address[0])):
        return (found[0], *address[1:])
    return address


def _move(own: socket.socket, address: object) -> object:
    """Makes it a socket of the realm that the address belongs to, under the same number."""
    address = _translate(address)
    realm = _find_realm(address)
    if realm is None or own in _moved or own.family not in (socket.AF_INET, socket.AF_INET6):
        return address
    with realm.make(own.family, own.type, own.proto) as inside:
        for level, option in _COPIED_OPTIONS:
            with suppress(OSError):
                if value := own.getsockopt(level, option):
                    inside.setsockopt(level, option, value)
        inheritable = own.get_inheritable()
        os.dup2(inside.fileno(), own.fileno(), inheritable=inheritable)
    os.set_blocking(own.fileno(), own.gettimeout() is None)
    _moved.add(own)
    return address


def _connect(self: socket.socket, address: Any) -> None:
    super(socket.socket, self).connect(_move(self, address))  # type: ignore[arg-type]


def _connect_ex(self: socket.socket, address: Any) -> int:
    try:
        moved = _move(self, address)
    except OSError as error:
        return error.errno or errno.EIO
    return super(socket.socket, self).connect_ex(moved)  # type: ignore[arg-type]


def _sendto(self: socket.socket, data: Any, *rest: Any) -> int:
    *flags, address = rest
    where: tuple[Any, ...] = (*flags, _move(self, address))
    return super(socket.socket, self).sendto(data, *where)


_METHODS: dict[str, Callable[..., Any]] = {"connect": _connect, "connect_ex": _connect_ex, "sendto": _sendto}
