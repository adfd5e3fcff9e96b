"""The way out of a session: one slirp4netns for all its containers, and the link that puts a container on it.

Inside the session's network namespace a bridge joins slirp4netns's tap device and one veth a container; slirp4netns is
gateway (and the host's loopback) at .2 and forwards DNS at .3, as its manual says. Nothing of it exists on the host,
and all of it ends with the session.

Where the kernel has IPv6 so has the way out; slirp4netns knows one prefix only. Whatever knows both goes by IPv4 where
it can, since the IPv6 addresses are unique local ones (RFC 6724, 2.1).
"""

from __future__ import annotations

import ipaddress
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import NetworkError, SystemCallError
from pytest_pods.engine.host.pipes import Pipe, wait_readable
from pytest_pods.engine.host.programs import get_program
from pytest_pods.engine.network.link_messages import Link
from pytest_pods.engine.network.netlink import Netlink
from pytest_pods.engine.state.atomic import find_bytes, write_atomically
from pytest_pods.engine.state.sessions import setting_up_uplink
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.state.layout import SessionLayout

SUBNET = ipaddress.IPv4Network("10.86.0.0/16")
ROUTER = SUBNET[1]
"""The session's own address on the way out, through which its named networks go."""
GATEWAY = SUBNET[2]
NAME_SERVER = SUBNET[3]
SUBNET_6 = ipaddress.IPv6Network("fd00::/64")
"""slirp4netns's own, which cannot be chosen."""
ROUTER_6 = SUBNET_6[1]
GATEWAY_6 = SUBNET_6[2]
_FIRST_LEASE = 256
MOST_LEASES = SUBNET.num_addresses - _FIRST_LEASE - 2
"""How many containers have room on the way out."""
_BRIDGE = "pods-out"
_TAP = "tap0"
_INTERFACE = "eth0"
_TUN_DEVICE = "/dev/net/tun"
_IPV6 = "/proc/sys/net/ipv6"
_METRIC_6 = 50
"""Before the routes of named networks (100), as with IPv4, where it has none."""
_MTU = 65520
_PATIENCE_S = 30.0


@frozen
class Lease:
    """A container's place on the uplink."""

    number: int

    @classmethod
    def of_address(cls, address: str) -> Lease:
        """The place that has an address."""
        return cls(int(ipaddress.IPv4Address(address)) - int(SUBNET.network_address) - _FIRST_LEASE)

    @property
    def address(self) -> ipaddress.IPv4Address:
        return SUBNET[_FIRST_LEASE + self.number]

    @property
    def address_6(self) -> ipaddress.IPv6Address:
        return SUBNET_6[_FIRST_LEASE + self.number]

    @property
    def host_link(self) -> str:
        return f"out{self.number}"


class Uplink:
    """The way out of one session. Thread-safe; slirp4netns starts with the first container that is plugged.

    Processes that work in one session share it through its `uplink_file`: the pid, and `up` once the bridge is there,
    or `up6` if it has IPv6.
    """

    def __init__(self, sandbox: Sandbox, *, namespace: Path, layout: SessionLayout) -> None:
        """`namespace` is the session's own network namespace as the sandbox sees it."""
        self._sandbox = sandbox
        self._namespace = namespace
        self._layout = layout
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._six = False

    def ensure_up(self) -> None:
        """Starts slirp4netns unless it runs. Raises MissingProgramError, NetworkError."""
        with self._lock:
            if self._pid is not None and self._runs(self._pid):
                return
            with setting_up_uplink(self._layout):
                self._pid = self._find() or self._start()

    def _find(self) -> int | None:
        """The pid of one that another process has set up; what a killed process left half-made is ended."""
        words = (find_bytes(self._layout.uplink_file) or b"").split()
        if not words:
            return None
        pid = int(words[0])
        if not self._runs(pid):
            self._remove_bridge()
            return None
        if words[1:] in ([b"up"], [b"up6"]):
            self._six = words[1] == b"up6"
            return pid
        self._end(pid)
        self._remove_bridge()
        return None

    def _runs(self, pid: int) -> bool:
        return self._sandbox.runs(pid, "slirp4netns")

    def _end(self, pid: int) -> None:
        try:
            pidfd = self._sandbox.open_pidfd(pid)
        except SystemCallError:
            return
        try:
            self._sandbox.signal(pid, signal.SIGKILL)
            wait_readable(pidfd, _PATIENCE_S)
        finally:
            os.close(pidfd)

    def _remove_bridge(self) -> None:
        # It may not have been made yet, or have lost its tap device with the process.
        with Netlink(self._sandbox) as session:
            session.remove_link_of_name(_BRIDGE)

    def _start(self) -> int:
        if not os.access(_TUN_DEVICE, os.R_OK | os.W_OK):
            raise NetworkError(
                f"the way out of the session could not be set up: {_TUN_DEVICE} is missing, or closed to this user",
                hint=f"as root: modprobe tun; chmod 666 {_TUN_DEVICE} (as udev has it). Or run with network='none'",
            )
        with Pipe() as ready, Pipe() as errors:
            argv = [str(get_program("slirp4netns")), "--ready-fd=3", f"--mtu={_MTU}", f"--cidr={SUBNET}"]
            if os.path.exists(_IPV6):
                argv.append("--enable-ipv6")
            argv += ["--netns-type=path", str(self._namespace), _TAP]
            process = self._sandbox.spawn(
                argv,
                env={"PATH": os.defpath},
                descriptors={1: errors.writing, 2: errors.writing, 3: ready.writing},
                host_network=True,
            )
            write_atomically(self._layout.uplink_file, f"{process.pid} starting".encode())
            ready.close_writing()
            errors.close_writing()
            if ready.read_some(timeout_s=_PATIENCE_S, most=1) != b"1":
                process.kill()
                raise NetworkError(
                    "the way out of the session could not be set up: slirp4netns did not start",
                    details=errors.read_tail(timeout_s=1.0),
                    hint="network='none' works without it; pytest-pods doctor tells more",
                )
        self._set_up_bridge()
        write_atomically(self._layout.uplink_file, f"{process.pid} {'up6' if self._six else 'up'}".encode())
        return process.pid

    def _set_up_bridge(self) -> None:
        """Puts the tap device on a bridge, which is the session's own end."""
        with Netlink(self._sandbox) as session:
            session.add_link(Link(name=_BRIDGE, mtu=_MTU, kind="bridge"))
            bridge = _need(session, _BRIDGE)
            session.set_link(Link(index=_need(session, _TAP), mtu=_MTU, master=bridge, up=True))
            session.take_into_use(
                bridge, addresses=[f"{ROUTER}/{SUBNET.prefixlen}"], routes=[(str(GATEWAY), 0)]
            )
            self._six = self._set_up_6(session, bridge)

    def _set_up_6(self, session: Netlink, bridge: int) -> bool:
        """Whether there is IPv6: a machine may have it switched off for all interfaces."""
        if not os.path.exists(_IPV6):
            return False
        try:
            session.add_address(bridge, f"{ROUTER_6}/{SUBNET_6.prefixlen}")
            session.add_default_route(str(GATEWAY_6), index=bridge, metric=_METRIC_6)
        except SystemCallError:
            return False
        return True

    def plug(self, lease: Lease, *, namespace: Path, cut_off: bool = False) -> None:
        """Gives the network namespace at `namespace` an `eth0` with an address and the default route; with `cut_off`
        nobody is at its other end before `let_out`."""
        self.ensure_up()
        target = self._sandbox.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with Netlink(self._sandbox) as session:
                # That of one that is cut off is up as well, and leads nowhere.
                bridge = None if cut_off else _need(session, _BRIDGE)
                peer = Link(name=_INTERFACE, mtu=_MTU, namespace=target)
                session.add_link(
                    Link(name=lease.host_link, mtu=_MTU, up=True, master=bridge, kind="veth", peer=peer)
                )
        finally:
            os.close(target)
        if self._six:
            self._refuse_advertisements(namespace)
        addresses, routes = [f"{lease.address}/{SUBNET.prefixlen}"], [(str(GATEWAY), 0)]
        if self._six:
            addresses.append(f"{lease.address_6}/{SUBNET_6.prefixlen}")
            routes.append((str(GATEWAY_6), _METRIC_6))
        with Netlink(self._sandbox, namespace=namespace) as container:
            container.take_into_use(_need(container, _INTERFACE), addresses=addresses, routes=routes)

    def _refuse_advertisements(self, namespace: Path) -> None:
        """A container has the addresses that it is to have: slirp4netns would give it others beside."""
        # Where this cannot be changed the others do no harm.
        with suppress(SystemCallError, OSError):
            setting = self._sandbox.open(
                f"{_IPV6}/conf/{_INTERFACE}/accept_ra", os.O_WRONLY | os.O_CLOEXEC, network_namespace=namespace
            )
            with open(setting, "wb") as file:
                file.write(b"0")

    def let_out(self, lease: Lease) -> None:
        """Joins a link that was cut off with the others."""
        with Netlink(self._sandbox) as session:
            link = _need(session, lease.host_link)
            session.set_link(Link(index=link, master=_need(session, _BRIDGE)))

    def unplug(self, lease: Lease) -> None:
        """Takes a link away, both its ends; fine if it is not there."""
        with Netlink(self._sandbox) as session:
            index = session.find_link(lease.host_link)
            if index is not None:
                # It may go by itself meanwhile, with the namespace of its other end.
                with suppress(SystemCallError):
                    session.remove_link(index)


def _need(netlink: Netlink, name: str) -> int:
    index = netlink.find_link(name)
    if index is None:
        raise NetworkError(f"the way out of the session is broken: {name} is not there any more")
    return index
