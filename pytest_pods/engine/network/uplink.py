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
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import CommandError, NetworkError, SystemCallError
from pytest_pods.engine.host.interfaces import add_to_bridge
from pytest_pods.engine.host.pipes import MemoryFile, Pipe, wait_readable
from pytest_pods.engine.host.programs import get_program
from pytest_pods.engine.state.atomic import find_bytes, write_atomically
from pytest_pods.engine.state.sessions import setting_up_uplink

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
_TUN_DEVICE = "/dev/net/tun"
_IPV6 = "/proc/sys/net/ipv6"
_METRIC_6 = 50
"""Before the routes of named networks (100), as with IPv4, where it has none."""
_MTU = 65520
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
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


def build_bridge_commands() -> str:
    """`ip -batch` input that puts the tap device on the bridge."""
    return (
        f"link add {_BRIDGE} mtu {_MTU} type bridge\n"
        f"link set {_TAP} mtu {_MTU} master {_BRIDGE} up\n"
        f"address add {ROUTER}/{SUBNET.prefixlen} dev {_BRIDGE}\n"
        f"link set {_BRIDGE} up\n"
        f"route add default via {GATEWAY}\n"
    )


def build_bridge_commands_6() -> str:
    """The same for IPv6, once the bridge is there. Without a look for who else might have the address: nobody has."""
    return (
        f"address add {ROUTER_6}/{SUBNET_6.prefixlen} dev {_BRIDGE} nodad\n"
        f"route add default via {GATEWAY_6} dev {_BRIDGE} metric {_METRIC_6}\n"
    )


def build_outer_commands(lease: Lease, namespace: Path, *, cut_off: bool = False) -> str:
    """`ip -batch` input, for the session's namespace, that makes a container's link. The link of one that is `cut_off`
    is up, and leads nowhere."""
    return f"link add {lease.host_link} mtu {_MTU} type veth peer name eth0 mtu {_MTU} netns {namespace}\n" + (
        f"link set {lease.host_link} up\n" if cut_off else build_joining_command(lease)
    )


def build_joining_command(lease: Lease) -> str:
    """`ip -batch` input, for the session's namespace, that puts a container's link on the bridge."""
    return f"link set {lease.host_link} master {_BRIDGE} up\n"


def build_inner_commands(lease: Lease, *, six: bool) -> str:
    """`ip -batch` input, for the container's namespace, that gives its end addresses and routes; with `six` also of
    IPv6."""
    commands = [f"address add {lease.address}/{SUBNET.prefixlen} dev eth0"]
    if six:
        commands.append(f"address add {lease.address_6}/{SUBNET_6.prefixlen} dev eth0 nodad")
    commands += ["link set eth0 up", f"route add default via {GATEWAY}"]
    if six:
        commands.append(f"route add default via {GATEWAY_6} dev eth0 metric {_METRIC_6}")
    return "".join(f"{command}\n" for command in commands)


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
        with suppress(CommandError):
            run_ip(self._sandbox, f"link delete {_BRIDGE}\n", doing="removing a broken way out")

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
        run_ip(self._sandbox, build_bridge_commands(), doing="joining the way out of the session")
        self._six = self._set_up_6()
        write_atomically(self._layout.uplink_file, f"{process.pid} {'up6' if self._six else 'up'}".encode())
        return process.pid

    def _set_up_6(self) -> bool:
        """Whether there is IPv6: a machine may have it switched off for all interfaces."""
        if not os.path.exists(_IPV6):
            return False
        try:
            run_ip(self._sandbox, build_bridge_commands_6(), doing="giving the way out IPv6")
        except CommandError:
            return False
        return True

    def plug(self, lease: Lease, *, namespace: Path, cut_off: bool = False) -> None:
        """Gives the network namespace at `namespace` an `eth0` with an address and the default route; with `cut_off`
        nobody is at its other end before `let_out`."""
        self.ensure_up()
        run_ip(self._sandbox, build_outer_commands(lease, namespace, cut_off=cut_off), doing=f"linking {namespace}")
        run_ip(
            self._sandbox,
            build_inner_commands(lease, six=self._six),
            doing=f"addressing {namespace}",
            namespace=namespace,
            # It has the addresses that it is to have: slirp4netns's advertisements would give it others beside.
            before="echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_ra" if self._six else None,
        )

    def let_out(self, lease: Lease) -> None:
        """Joins a link that was cut off with the others."""
        try:
            with self._sandbox.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
                add_to_bridge(control, lease.host_link, bridge=_BRIDGE)
        except OSError:
            # Not every kernel lets an ordinary user do it from outside of the session.
            run_ip(self._sandbox, build_joining_command(lease), doing=f"letting {lease.host_link} out")

    def unplug(self, lease: Lease) -> None:
        """Takes a link away, both its ends; fine if it is not there."""
        with suppress(CommandError):
            run_ip(self._sandbox, f"link delete {lease.host_link}\n", doing=f"unlinking {lease.host_link}")


def run_ip(
    sandbox: Sandbox, commands: str, *, doing: str, namespace: Path | None = None, before: str | None = None
) -> None:
    """Runs `ip -batch` (iproute2) in the session's, or the given, network namespace; `before` it a command of the
    shell, which may fail. Raises CommandError."""
    argv = [str(get_program("ip")), "-batch", "-"]
    if before is not None:
        argv = ["/bin/sh", "-c", f'{{ {before}; }} 2>/dev/null; exec "$@"', "sh", *argv]
    deadline = Deadline.after(_PATIENCE_S)
    with Pipe() as errors, MemoryFile(commands.encode()) as given:
        process = sandbox.spawn(
            argv,
            env={},
            descriptors={0: given, 1: errors.writing, 2: errors.writing},
            namespaces=[namespace] if namespace else [],
        )
        errors.close_writing()
        status = process.wait(deadline.remaining)
        if status != 0:
            text = errors.read_tail(timeout_s=1.0)
            raise CommandError(
                f"{doing}: ip failed with status {status}", argv=argv, status=status, stderr=text, details=text
            )
