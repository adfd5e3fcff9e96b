"""What is asked of one container, which markers, command line and API share.

Names that need an image or a host to be understood stay text.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs import values
from pytest_pods.engine.specs.limits import (
    Limits,
    Ulimit,
    build_limits,
    parse_bytes,
    parse_cpus,
    parse_memory,
    parse_memory_swap,
    parse_pids_limit,
    parse_ulimits,
)
from pytest_pods.engine.specs.mounts import (
    MountSpec,
    parse_mounts,
    parse_tmpfs_mounts,
    parse_volumes,
    refuse_same_target,
)
from pytest_pods.engine.specs.networks import (
    Attachment,
    NetworkMode,
    parse_added_hosts,
    parse_addresses,
    parse_aliases,
    parse_network,
    parse_networks,
    parse_texts,
)
from pytest_pods.engine.specs.ports import PortSpec, parse_ports
from pytest_pods.engine.specs.restart import RestartPolicy, parse_restart
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.specs.health import HealthCheck
    from pytest_pods.engine.waiting import Wait


_OF_CONTAINER = "container:"


class PullPolicy(enum.Enum):
    """When to ask the registry: only if the image is not here, at every use, if it has a newer one, or never."""

    MISSING = "missing"
    ALWAYS = "always"
    NEWER = "newer"
    NEVER = "never"


@frozen
class ContainerSpec:
    """Everything that is asked of one container; None means: as the image says, or as the engine decides.

    Times are seconds, sizes bytes. `stop_timeout` is the grace between the stop signal and the kill; `pod` names a pod
    that is there, which the container joins, `network_container` a container in whose network it is; then what
    `network` says is that one's. With `image_resolv_conf` nobody writes /etc/resolv.conf. `health` is False for no
    health check, not even the image's. `max_memory` is how much memory it may have used at most when the test ends, by
    which nobody is held: the pytest plugin fails the test. `artifacts` are paths, with patterns, that it copies if the
    test fails; with `capture` it writes down the packets of the container's network then.
    """

    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    name: str | None = None
    hostname: str | None = None
    user: str | None = None
    workdir: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PortSpec, ...] = ()
    publish_all: bool = False
    mounts: tuple[MountSpec, ...] = ()
    network: NetworkMode = NetworkMode.PRIVATE
    networks: tuple[Attachment, ...] = ()
    network_container: str | None = None
    image_resolv_conf: bool = False
    aliases: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    add_hosts: Mapping[str, str] = field(default_factory=dict)
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    read_only: bool = False
    seccomp: bool = True
    no_new_privileges: bool = False
    interactive: bool = False
    tty: bool = False
    stop_signal: str | None = None
    stop_timeout: float = 0.0
    platform: str | None = None
    pull: PullPolicy | None = None
    remove: bool = False
    wait: Wait | None = None
    timeout: float | None = None
    pod: str | None = None
    memory: int | None = None
    memory_swap: int | None = None
    max_memory: int | None = None
    cpus: float | None = None
    pids_limit: int | None = None
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    restart: RestartPolicy | None = None
    health: HealthCheck | Literal[False] | None = None
    artifacts: tuple[str, ...] = ()
    capture: bool = False

    @property
    def restartable(self) -> bool:
        """Whether it may be started again when it has ended: by its restart policy, or because it was not well."""
        return bool(self.restart or (self.health and self.health.on_failure == "restart"))

    @property
    def limits(self) -> Limits:
        """What its control group holds it to."""
        return Limits(self.memory, self.memory_swap, self.cpus, self.pids_limit)

    def with_changes(self, **changes: Any) -> ContainerSpec:
        """A copy with fields replaced; used by command-line overrides."""
        return replace(self, **changes)


_SAID_OTHERWISE = frozenset({"image", "network_container", "image_resolv_conf"})
CONTAINER_OPTIONS: frozenset[str] = (
    frozenset(f.name for f in fields(ContainerSpec)) - _SAID_OTHERWISE | {"tmpfs", "volumes"}
)


def build_container_spec(image: object, command: object = None, /, **options: Any) -> ContainerSpec:
    """Builds a spec from what people write in marks and calls; raises InvalidSpecError that names the argument.

    `ports`: numbers, "HOST:CONTAINER[/PROTOCOL]" texts or PortSpec; `env`: mapping or "NAME=VALUE" texts; `volumes`:
    "SOURCE:TARGET[:ro]" texts, "TARGET" alone for a volume that goes with the container, or a mapping target → source,
    where a source is a volume, its name, or an absolute path; `tmpfs`: targets, "TARGET:size=64m" texts, or a mapping
    target → size; `mounts`: values such as VolumeMount, or texts as `--mount` takes; `command` and `entrypoint`: a
    list, or a text split as a shell does; `network`: "private", "none", "host", one network, or "container:NAME" for
    that of another container; `networks`: a list of networks, or a mapping network → `aliases`, `ip`, `mac`,
    `interface`; `dns`: addresses, or "none" for the image's own /etc/resolv.conf; `health`: a command, a HealthCheck, a
    mapping of what that has, or False.
    """
    if "command" in options:
        command = options.pop("command")
    given = parse_container_options({**options, "image": image, "command": command})
    spec = ContainerSpec(**given)
    check_container(spec)
    return spec


def parse_container_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ContainerSpec that the options say something of, as far as each can be judged alone; `image` is
    one of them. Raises InvalidSpecError that names the argument."""
    options = dict(options)
    given: dict[str, Any] = {}
    if "image" in options:
        given["image"] = _parse_image(options.pop("image"))
    unknown = sorted(set(options) - CONTAINER_OPTIONS)
    if unknown:
        raise InvalidSpecError(
            f"unknown argument {unknown[0]!r} of a container", hint=values.did_you_mean(unknown[0], CONTAINER_OPTIONS)
        )
    given.update(take_mounts(options))
    given.update(take_networks(options))
    given.update(take_dns(options))
    for name, value in options.items():
        given[name] = _PARSERS[name](name, value) if value is not None or name in _REQUIRED else None
    return given


@runtime_checkable
class Runnable(Protocol):
    """What says itself by which reference a container is made from it: the handle of an image."""

    @property
    def reference(self) -> str: ...


def _parse_image(value: object) -> str:
    if not isinstance(value, str) and isinstance(value, Runnable):
        value = value.reference
    if not isinstance(value, str) or not value:
        raise InvalidSpecError(f"image has to be a reference such as 'redis:7', not {value!r}")
    return value


def take_mounts(options: dict[str, Any]) -> dict[str, Any]:
    """Takes `mounts`, `volumes` and `tmpfs` out of the options, of a container or a pod."""
    if not options.keys() & {"mounts", "volumes", "tmpfs"}:
        return {}
    mounts = (
        *parse_mounts(options.pop("mounts", ())),
        *parse_volumes(options.pop("volumes", ())),
        *parse_tmpfs_mounts(options.pop("tmpfs", ())),
    )
    refuse_same_target(mounts)
    return {"mounts": mounts}


def take_networks(options: dict[str, Any]) -> dict[str, Any]:
    """Takes `network` and `networks` out of the options, of a container or a pod."""
    if not options.keys() & {"network", "networks"}:
        return {}
    network = options.pop("network", NetworkMode.PRIVATE)
    named = parse_networks("networks", options.pop("networks", ()))
    if isinstance(network, str) and network.startswith(_OF_CONTAINER):
        if named:
            raise InvalidSpecError(f"network={network!r} and networks were both given", hint="it can be in one only")
        return {"network_container": parse_network_container("network", network)}
    mode, networks = parse_network("network", network)
    if named and (networks or mode is not NetworkMode.PRIVATE):
        raise InvalidSpecError("network and networks were both given", hint="name all of them in networks")
    return {"network": NetworkMode.NAMED, "networks": named} if named else {"network": mode, "networks": networks}


def parse_network_container(name: str, value: str) -> str:
    """The container that "container:NAME" names. Raises InvalidSpecError."""
    of = value.removeprefix(_OF_CONTAINER)
    if not of:
        raise InvalidSpecError(f"{name}: {value!r} names no container", hint="write container:NAME, or its ID")
    return values.parse_name(name, of)


def take_dns(options: dict[str, Any]) -> dict[str, Any]:
    """Takes dns="none" out of the options, of a container or a pod."""
    given = options.get("dns")
    servers = [given] if isinstance(given, str) else given
    if not isinstance(servers, list | tuple) or "none" not in servers:
        return {}
    with_it = [name for name in ("dns", "dns_search", "dns_options") if options.get(name) and options[name] != given]
    if len(servers) > 1 or with_it:
        raise InvalidSpecError(
            f"dns='none' leaves /etc/resolv.conf to the image, and cannot be combined with {with_it[0]}"
            if with_it
            else "dns='none' cannot be combined with name servers"
        )
    del options["dns"]
    return {"image_resolv_conf": True}


def check_container(spec: ContainerSpec) -> None:
    """Raises InvalidSpecError for what contradicts itself."""
    if spec.network_container is not None:
        _refuse_with_network_container(spec)
    if spec.network is NetworkMode.HOST and spec.ports:
        raise InvalidSpecError(
            "ports cannot be published with network='host'", hint="the service is on the host's ports already"
        )
    if spec.network is NetworkMode.HOST and spec.capture:
        raise InvalidSpecError(
            "capture=True cannot be given with network='host'", hint="the packets there are all of the machine's"
        )
    if spec.aliases and spec.network is not NetworkMode.NAMED:
        raise InvalidSpecError("aliases need a network with names", hint="write networks=['default'], say")
    build_limits(
        memory=spec.memory, memory_swap=spec.memory_swap, cpus=spec.cpus, pids_limit=spec.pids_limit
    )
    if spec.remove and spec.restart:
        raise InvalidSpecError(f"remove and restart={str(spec.restart)!r} contradict each other")
    if spec.remove and spec.restartable:
        raise InvalidSpecError("remove and a health check with on_failure='restart' contradict each other")


def _refuse_with_network_container(spec: ContainerSpec) -> None:
    where = f"network='{_OF_CONTAINER}{spec.network_container}'"
    if spec.pod is not None:
        raise InvalidSpecError(f"{where} and pod={spec.pod!r} were both given", hint="a pod has a network of its own")
    for name in ("dns", "dns_search", "dns_options", "add_hosts", "image_resolv_conf"):
        if getattr(spec, name):
            raise InvalidSpecError(
                f"{'dns' if name == 'image_resolv_conf' else name} cannot be given with {where}",
                hint="/etc/hosts and /etc/resolv.conf are that container's",
            )


def parse_policy(name: str, value: object) -> PullPolicy:
    if isinstance(value, PullPolicy):
        return value
    try:
        return PullPolicy(value)
    except ValueError:
        raise InvalidSpecError(f"unknown pull policy {value!r}", hint="it is missing, always, newer or never") from None


def _parse_wait(name: str, value: object) -> object:
    if isinstance(value, str) and value:
        from pytest_pods.engine.waiting import NamedWait

        return NamedWait(value)
    if not callable(value) and not hasattr(value, "check"):
        raise InvalidSpecError(f"{name} has to be a wait such as waits.port(6379), or a callable, not {value!r}")
    return value


def _parse_health(name: str, value: object) -> object:
    # Few containers have one.
    from pytest_pods.engine.specs.health import parse_health

    return parse_health(name, value)


_REQUIRED = frozenset(
    (
        "ports env labels aliases dns dns_search dns_options add_hosts"
        " cap_add cap_drop stop_timeout interactive tty ulimits artifacts"
    ).split()
)


_PARSERS: dict[str, Any] = {
    "command": values.parse_command,
    "entrypoint": values.parse_command,
    "name": values.parse_name,
    "hostname": values.parse_hostname,
    "user": values.parse_text,
    "workdir": values.parse_absolute,
    "env": values.parse_environment,
    "labels": values.parse_environment,
    "ports": parse_ports,
    "aliases": parse_aliases,
    "dns": parse_addresses,
    "dns_search": parse_aliases,
    "dns_options": parse_texts,
    "add_hosts": parse_added_hosts,
    "cap_add": values.parse_capabilities,
    "cap_drop": values.parse_capabilities,
    "publish_all": values.parse_flag,
    "privileged": values.parse_flag,
    "read_only": values.parse_flag,
    "seccomp": values.parse_flag,
    "no_new_privileges": values.parse_flag,
    "interactive": values.parse_flag,
    "tty": values.parse_flag,
    "stop_signal": values.parse_signal_name,
    "stop_timeout": values.parse_seconds,
    "platform": values.parse_text,
    "pull": parse_policy,
    "remove": values.parse_flag,
    "wait": _parse_wait,
    "timeout": values.parse_seconds,
    "pod": values.parse_text,
    "memory": parse_memory,
    "memory_swap": parse_memory_swap,
    "max_memory": parse_memory,
    "cpus": parse_cpus,
    "pids_limit": parse_pids_limit,
    "shm_size": parse_bytes,
    "ulimits": parse_ulimits,
    "restart": parse_restart,
    "health": _parse_health,
    "artifacts": values.parse_patterns,
    "capture": values.parse_flag,
}
