"""The files of /etc that every container gets: hosts, hostname, resolv.conf. Pure texts, written by the creation."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_pods.engine.network.uplink import GATEWAY, NAME_SERVER
from pytest_pods.engine.specs.networks import NetworkMode

HOST_NAMES = ("host.containers.internal", "host.docker.internal")
"""Names under which a container reaches services of the host's loopback."""


@dataclass(frozen=True, slots=True)
class EtcTexts:
    hosts: str
    hostname: str
    resolv_conf: str


def build_etc_texts(
    *, mode: NetworkMode, ip: str, hostname: str, name: str, host_hosts: str, host_resolv_conf: str
) -> EtcTexts:
    """What the three files say; `host_…` are the host's own, used where its network is."""
    if mode is NetworkMode.HOST:
        hosts = f"{host_hosts.rstrip()}\n127.0.1.1\t{hostname} {name}\n"
        return EtcTexts(hosts, f"{hostname}\n", host_resolv_conf)
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    if mode is NetworkMode.PRIVATE:
        lines.append(f"{GATEWAY}\t{' '.join(HOST_NAMES)}")
    lines.append(f"{ip or '127.0.1.1'}\t{hostname} {name}")
    resolv_conf = _build_resolv_conf(host_resolv_conf) if mode is NetworkMode.PRIVATE else ""
    return EtcTexts("\n".join(lines) + "\n", f"{hostname}\n", resolv_conf)


def _build_resolv_conf(host: str) -> str:
    """The way out's own name server, which asks the host's; search domains and options as on the host."""
    kept = [line for line in host.splitlines() if line.split()[:1] in (["search"], ["options"])]
    return "\n".join([f"nameserver {NAME_SERVER}", *kept]) + "\n"
