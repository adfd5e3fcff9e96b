"""Ports of the host that lead into a network namespace, a container's or a pod's: one place plugs both."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SystemCallError
from pytest_pods.engine.host.sandbox import Forward

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.records import PublishedPort


def forward_ports(
    sandbox: Sandbox,
    ports: Sequence[PublishedPort],
    listeners: Sequence[socket.socket],
    *,
    namespace: Path | None,
    ips: Sequence[str],
) -> tuple[PublishedPort, ...]:
    """Has the sandbox take over the host's ports; `ips` are the namespace's own addresses."""
    forwarded = []
    for port, listener in zip(ports, listeners, strict=True):
        # Services may listen on every address, on the loopback only, or on the container's own address only.
        hosts = ["127.0.0.1", "::1", *ips]
        forward = sandbox.forward(
            listener,
            network_namespace=namespace,
            addresses=[(host, port.container_port) for host in hosts],
        )
        forwarded.append(replace(port, forward=forward.number))
    return tuple(forwarded)


def end_forwards(sandbox: Sandbox, ports: Iterable[PublishedPort]) -> None:
    for port in ports:
        if port.forward:
            with suppress(SystemCallError):
                sandbox.end_forward(Forward(port.forward))
