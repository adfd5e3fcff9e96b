"""The files of /etc that every container gets: hosts, hostname, resolv.conf. Pure texts, written by the creation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from pytest_pods.engine.network.names import SEARCH_DOMAIN
from pytest_pods.engine.specs.networks import HOST_NAMES, NetworkMode
from pytest_pods.frozen import frozen

_HOST_GATEWAY = "host-gateway"


@frozen
class EtcRequest:
    """What the files depend on. `names` are the container's own, its hostname first; `gateway` leads to the host,
    empty where nothing does; `host_…` are the host's files, used where its network is."""

    mode: NetworkMode
    ip: str
    names: tuple[str, ...]
    host_hosts: str
    host_resolv_conf: str
    gateway: str = ""
    servers: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    added: Mapping[str, str] = field(default_factory=dict)


@frozen
class EtcTexts:
    hosts: str
    hostname: str
    resolv_conf: str


def build_etc_texts(request: EtcRequest) -> EtcTexts:
    """What the three files say."""
    return EtcTexts(_build_hosts(request), f"{request.names[0]}\n", build_resolv_conf(request))


def _build_hosts(request: EtcRequest) -> str:
    names = " ".join(dict.fromkeys(request.names))
    added = [f"{_find_address(address, request)}\t{name}" for name, address in request.added.items()]
    if request.mode is NetworkMode.HOST:
        return "\n".join([*added, request.host_hosts.rstrip(), f"127.0.1.1\t{names}"]) + "\n"
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", *added]
    if request.gateway:
        lines.append(f"{request.gateway}\t{' '.join(HOST_NAMES)}")
    lines.append(f"{request.ip or '127.0.1.1'}\t{names}")
    return "\n".join(lines) + "\n"


def _find_address(address: str, request: EtcRequest) -> str:
    if address != _HOST_GATEWAY:
        return address
    return "127.0.0.1" if request.mode is NetworkMode.HOST else request.gateway or "127.0.0.1"


def build_resolv_conf(request: EtcRequest) -> str:
    """Name servers, search domains and options: as asked for, else the host's; on named networks theirs first."""
    if request.mode is NetworkMode.HOST and not (request.dns or request.search or request.options):
        return request.host_resolv_conf
    host = [line.split() for line in request.host_resolv_conf.splitlines() if line.split()]
    on_host = request.mode is NetworkMode.HOST
    servers = request.dns or _find(host, "nameserver") if on_host else request.servers
    if not servers and not (request.search or request.options):
        return ""
    search = request.search or _find(host, "search")
    if request.mode is NetworkMode.NAMED:
        search = (SEARCH_DOMAIN, *search)
    lines = [f"nameserver {server}" for server in servers]
    for word, values in (("search", search), ("options", request.options or _find(host, "options"))):
        if values:
            lines.append(f"{word} {' '.join(values)}")
    return "\n".join(lines) + "\n"


def _find(lines: Sequence[Sequence[str]], word: str) -> tuple[str, ...]:
    return tuple(value for line in lines if line[0] == word for value in line[1:])
