"""The one door to netavark: its input and output, and one call at a time (netavark(1); its options.json)."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import NetworkError
from pytest_pods.engine.host.pipes import MemoryFile, Pipe
from pytest_pods.engine.host.programs import Version, get_program, get_version
from pytest_pods.engine.state.locks import brief

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.network_records import InterfaceRecord, NetworkRecord
    from pytest_pods.engine.state.layout import SessionLayout

_PATIENCE_S = 60.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VLAN_SINCE = Version((1, 14))
_IPVLAN_SINCE = Version((1, 5))
_STRICT_SINCE = Version((1, 8))


def check_support(record: NetworkRecord) -> None:
    """Raises UnsupportedVersionError, MissingProgramError."""
    from pytest_pods.engine.errors import UnsupportedVersionError

    version = get_version(get_program("netavark"))
    for what, wanted, since in (
        ("vlan", record.spec.vlan is not None, _VLAN_SINCE),
        ("ipvlan", record.driver == "ipvlan", _IPVLAN_SINCE),
        ("isolate='strict'", record.spec.isolate == "strict", _STRICT_SINCE),
    ):
        if wanted and version < since:
            raise UnsupportedVersionError(
                f"network {record.name}: {what} needs netavark {since} or newer; here is {version}"
            )


def build_request(record: NetworkRecord, interface: InterfaceRecord, *, owner: str) -> dict[str, Any]:
    """The document that netavark reads, for one network namespace on one network.

    Names and ports are not netavark's here: the engine runs aardvark-dns itself, and ports need no rules.
    """
    return {
        "container_id": owner,
        "container_name": owner[:12],
        "networks": {
            # Not its name: rules are called by what netavark calls the network, and a bridge may change its owner.
            record.bridge: {
                "interface_name": interface.interface,
                "static_ips": list(interface.ips),
                "static_mac": interface.mac,
            }
        },
        "network_info": {record.bridge: _build_network(record)},
    }


def _build_network(record: NetworkRecord) -> dict[str, Any]:
    spec = record.spec
    options: dict[str, str] = {}
    if spec.mtu is not None:
        options["mtu"] = str(spec.mtu)
    if spec.isolate != "no":
        options["isolate"] = "true" if spec.isolate == "yes" else "strict"
    for key, value in (("vlan", spec.vlan), ("metric", spec.metric), ("parent", spec.parent), ("mode", spec.mode)):
        if value is not None and key != "parent":
            options[key] = str(value)
    if not spec.default_route:
        options["no_default_route"] = "true"
    return {
        "name": record.bridge,
        "id": record.id,
        "driver": record.driver,
        "network_interface": record.bridge if record.driver == "bridge" else spec.parent,
        "subnets": [{"subnet": subnet.subnet, "gateway": subnet.gateway} for subnet in spec.subnets],
        "ipv6_enabled": any(net.version == 6 for net in record.nets),
        "internal": spec.internal,
        "dns_enabled": False,
        "ipam_options": {"driver": "host-local"},
        "options": options,
    }


def parse_failure(output: str, errors: str) -> str:
    """What a failed netavark says: a document on standard output, or a Rust panic on the other stream."""
    try:
        document = json.loads(output)
        return str(document["error"])
    except (ValueError, TypeError, KeyError):
        return (errors or output).strip() or "it says nothing"


class Netavark:
    """Runs netavark in the session's network namespace, or in the host's for drivers that work on its interfaces."""

    def __init__(self, sandbox: Sandbox, layout: SessionLayout) -> None:
        self._sandbox = sandbox
        self._layout = layout

    def set_up(self, request: dict[str, Any], namespace: Path, *, subject: str, host_network: bool = False) -> None:
        """Raises NetworkError with what netavark says; what it had set up by then it has taken back."""
        status, output, errors = self._run("setup", request, namespace, host_network=host_network)
        if status != 0:
            said = parse_failure(output, errors)
            raise NetworkError(
                f"setting up {subject}: netavark failed: {said}", details=errors or None, hint=_find_hint(said)
            )

    def tear_down(self, request: dict[str, Any], namespace: Path) -> str | None:
        """Takes back all that a set-up with the same request did, also half of it; what it complains about.

        It complains of everything that is not there, and goes on: that is no fault.
        """
        status, output, errors = self._run("teardown", request, namespace, host_network=False)
        return None if status == 0 else parse_failure(output, errors)

    def _run(
        self, verb: str, request: dict[str, Any], namespace: Path, *, host_network: bool
    ) -> tuple[int, str, str]:
        program = get_program("netavark")
        self._layout.netavark_dir.mkdir(mode=0o700, exist_ok=True)
        # On the host's interfaces nothing is set up that two of them could both want.
        lock = nullcontext() if host_network else brief(self._layout.netavark_lock)
        deadline = Deadline.after(_PATIENCE_S)
        with lock, Pipe() as out, Pipe() as err, MemoryFile(json.dumps(request).encode()) as given:
            process = self._sandbox.spawn(
                [str(program), "--config", str(self._layout.netavark_dir), verb, str(namespace)],
                env={"PATH": f"{_PATH}:{os.path.dirname(program)}"},
                descriptors={0: given, 1: out.writing, 2: err.writing},
                host_network=host_network,
            )
            out.close_writing()
            err.close_writing()
            output = out.read_tail(timeout_s=deadline.remaining or 0.0, most=1 << 20)
            errors = err.read_tail(timeout_s=1.0)
            status = process.wait(deadline.remaining)
        return status, output, errors


def _find_hint(said: str) -> str | None:
    if "No such file or directory" in said:
        return "netavark starts iptables (or nft): apt install iptables nftables"
    if "ermission denied" in said or "ead-only file system" in said:
        return "it sets net.ipv4.ip_forward inside the session; pytest-pods doctor tells what this machine forbids"
    return None
