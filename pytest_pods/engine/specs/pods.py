"""What is asked of a pod and of its members, which marks, API, command line and Kubernetes documents share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pytest_pods.engine.errors import InvalidInputError, InvalidSpecError
from pytest_pods.engine.specs import values
from pytest_pods.engine.specs.container import (
    CONTAINER_OPTIONS,
    ContainerSpec,
    build_container_spec,
    take_dns,
    take_mounts,
    take_networks,
)
from pytest_pods.engine.specs.limits import (
    Limits,
    build_limits,
    parse_bytes,
    parse_cpus,
    parse_memory,
    parse_memory_swap,
    parse_pids_limit,
)
from pytest_pods.engine.specs.networks import (
    Attachment,
    NetworkMode,
    parse_added_hosts,
    parse_addresses,
    parse_aliases,
    parse_texts,
)
from pytest_pods.engine.specs.ports import PortSpec, parse_ports
from pytest_pods.engine.specs.restart import RestartPolicy, parse_restart
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.specs.mounts import MountSpec

Shared: TypeAlias = Literal["net", "ipc", "uts", "pid"]
ExitPolicy: TypeAlias = Literal["continue", "stop"]

SHARED: tuple[Shared, ...] = ("net", "ipc", "uts", "pid")
DEFAULT_SHARE: frozenset[Shared] = frozenset({"net", "ipc", "uts"})


@frozen
class MemberSpec:
    """A container of a pod. `needs` names members that are ready before it starts; an `init` one runs to its end first.

    `name` is what the pod's mapping and the other members call it.
    """

    name: str
    container: ContainerSpec
    needs: tuple[str, ...] = ()
    init: bool = False


@frozen
class PodFile:
    """A file of a pod's own volume at a relative path; without `content` a directory."""

    path: str
    content: bytes | None
    mode: int = 0o644


@frozen
class PodVolume:
    """A directory that comes and goes with the pod; a member's VolumeMount with its name means it.

    `mode` is the directory's; in `memory` it is a memory file system, of `size` bytes if that is given.
    """

    name: str
    files: tuple[PodFile, ...] = ()
    mode: int = 0o777
    memory: bool = False
    size: int | None = None


@frozen
class PodSpec:
    """Everything that is asked of one pod; `members` stand in the order in which they were named.

    `ports`, `mounts`, `add_hosts` and `labels` are the pod's own: every member has the mounts. `exit_policy`: whether
    the pod goes on ("continue") or is stopped ("stop") once all members have ended. `restart` and `timeout` (for the
    members' waits, in seconds) hold for members that say nothing themselves. Limits are those of all members together.
    With `image_resolv_conf` each member has its image's /etc/resolv.conf.
    """

    members: tuple[MemberSpec, ...] = ()
    name: str | None = None
    hostname: str | None = None
    share: frozenset[Shared] = DEFAULT_SHARE
    ports: tuple[PortSpec, ...] = ()
    mounts: tuple[MountSpec, ...] = ()
    network: NetworkMode = NetworkMode.PRIVATE
    networks: tuple[Attachment, ...] = ()
    image_resolv_conf: bool = False
    aliases: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    add_hosts: Mapping[str, str] = field(default_factory=dict)
    memory: int | None = None
    memory_swap: int | None = None
    cpus: float | None = None
    pids_limit: int | None = None
    shm_size: int | None = None
    exit_policy: ExitPolicy = "continue"
    restart: RestartPolicy | None = None
    timeout: float | None = None
    own_volumes: tuple[PodVolume, ...] = ()

    @property
    def limits(self) -> Limits:
        """What the pod's control group holds all members to."""
        return Limits(self.memory, self.memory_swap, self.cpus, self.pids_limit)

    def member(self, name: str) -> MemberSpec:
        """Raises KeyError."""
        for member in self.members:
            if member.name == name:
                return member
        raise KeyError(name)

    def with_changes(self, **changes: Any) -> PodSpec:
        """A copy with fields replaced."""
        return replace(self, **changes)


_PARSERS: dict[str, Any] = {
    "name": values.parse_name,
    "hostname": values.parse_hostname,
    "share": lambda name, value: parse_share(name, value),
    "ports": parse_ports,
    "aliases": parse_aliases,
    "dns": parse_addresses,
    "dns_search": parse_texts,
    "dns_options": parse_texts,
    "labels": values.parse_environment,
    "add_hosts": parse_added_hosts,
    "memory": parse_memory,
    "memory_swap": parse_memory_swap,
    "cpus": parse_cpus,
    "pids_limit": parse_pids_limit,
    "shm_size": parse_bytes,
    "exit_policy": lambda name, value: _parse_exit_policy(name, value),
    "restart": parse_restart,
    "timeout": values.parse_seconds,
}

POD_OPTIONS: frozenset[str] = frozenset(_PARSERS) | {
    "containers",
    "mounts",
    "volumes",
    "tmpfs",
    "network",
    "networks",
}

MEMBER_OPTIONS: frozenset[str] = (CONTAINER_OPTIONS | {"image", "needs", "init"}) - {"name", "pod", "remove"}


def build_pod_spec(**options: Any) -> PodSpec:
    """Builds a spec from what people write in marks and calls; raises InvalidSpecError that names the argument.

    `db=dict(image="postgres:16", …)`: a mapping under a name that is no option of a pod is a member: `image`, `needs`,
    `init`, and whatever `build_container_spec` takes. `containers={"ports": dict(image=…)}` is for members whose names
    are options too. The options of the pod read as those of a container with the same name; `share` is a list or text
    such as "net,ipc,uts,pid" or "+pid".
    """
    fields, described = parse_pod_options(options)
    pod = PodSpec(**fields)
    check_pod(pod)
    return add_members(pod, [_build_member(name, value) for name, value in described.items()])


def parse_pod_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, object]]:
    """The fields of a PodSpec that the options say something of, as far as each can be judged alone, and what is said
    of members by their names. Raises InvalidSpecError that names the argument."""
    given: dict[str, Any] = {}
    described: dict[str, object] = {}
    for name, value in options.items():
        if name in POD_OPTIONS:
            given[name] = value
        elif isinstance(value, Mapping | MemberSpec | ContainerSpec):
            described[name] = value
        else:
            raise InvalidSpecError(
                f"unknown argument {name!r} of a pod",
                hint=f"{values.did_you_mean(name, POD_OPTIONS)}; a member is a mapping: {name}=dict(image=…)",
            )
    described = _join_members(described, given.pop("containers", None))
    for name in described:
        values.parse_name("the name of a member", name)
    fields = {**take_mounts(given), **take_networks(given), **take_dns(given)}
    if (container := fields.get("network_container")) is not None:
        raise InvalidSpecError(
            f"a pod cannot be in the network of a container ({container})", hint="containers can: leave out the pod"
        )
    for name, value in given.items():
        if value is not None:
            fields[name] = _PARSERS[name](name, value)
        elif getattr(_UNSAID, name) is None:
            fields[name] = None
    return fields, described


_UNSAID = PodSpec()


def add_members(pod: PodSpec, members: Iterable[MemberSpec]) -> PodSpec:
    """The pod with members behind those that it has; raises InvalidSpecError for what cannot be in one pod."""
    every = (*pod.members, *members)
    for member in every:
        _check_member(pod, member)
    order_members(every)
    _refuse_same_ports(pod, every)
    return replace(pod, members=every)


def order_members(members: Sequence[MemberSpec]) -> tuple[MemberSpec, ...]:
    """An order in which each member stands behind what it needs: init members first. Raises InvalidSpecError that names
    a need which is not there, or the circle."""
    known = {member.name: member for member in members}
    for member in members:
        for need in member.needs:
            if need not in known:
                raise InvalidSpecError(
                    f"member {member.name!r} needs {need!r}, which the pod does not have",
                    hint=values.did_you_mean(need, known),
                )
            if member.init and not known[need].init:
                raise InvalidSpecError(
                    f"init member {member.name!r} needs {need!r}, which starts after all init members"
                )
    ordered: dict[str, MemberSpec] = {}
    for member in sorted(members, key=lambda one: not one.init):
        _visit(member, known, ordered, ())
    return tuple(ordered.values())


def _visit(
    member: MemberSpec, known: Mapping[str, MemberSpec], ordered: dict[str, MemberSpec], path: tuple[str, ...]
) -> None:
    if member.name in ordered:
        return
    if member.name in path:
        circle = (*path[path.index(member.name) :], member.name)
        raise InvalidSpecError(
            f"members need each other in a circle: {' → '.join(circle)}",
            hint="none of them could be the first to start",
        )
    for need in member.needs:
        _visit(known[need], known, ordered, (*path, member.name))
    ordered[member.name] = member


def parse_share(name: str, value: object) -> frozenset[Shared]:
    """Reads ["net", "pid"], "net,ipc", "+pid" (beside the usual ones), "" or "none"; raises InvalidSpecError."""
    if isinstance(value, str):
        more = value.startswith("+")
        words: list[object] = [word for word in value.removeprefix("+").split(",") if word and word != "none"]
    elif isinstance(value, Iterable):
        more, words = False, list(value)
    else:
        raise InvalidSpecError(f"{name} has to be a list of namespaces, not {value!r}", hint='write "net,ipc,uts,pid"')
    found = set(DEFAULT_SHARE) if more else set()
    for word in words:
        short = {"network": "net"}.get(str(word), word)
        if short not in ("net", "ipc", "uts", "pid"):
            raise InvalidSpecError(f"{name}: {word!r} cannot be shared", hint="net, ipc, uts and pid can")
        found.add(short)
    return frozenset(found)


def _parse_exit_policy(name: str, value: object) -> ExitPolicy:
    if value == "continue":
        return "continue"
    if value == "stop":
        return "stop"
    raise InvalidSpecError(f"unknown {name} {value!r}", hint="it is continue or stop")


def _join_members(described: dict[str, object], more: object) -> dict[str, object]:
    if more is None:
        return described
    if not isinstance(more, Mapping):
        raise InvalidSpecError(f"containers has to be a mapping of a member's name to what it is, not {more!r}")
    for name, value in more.items():
        if name in described:
            raise InvalidSpecError(f"there are two members {name!r}")
        described[name] = value
    return described


def _build_member(name: str, value: object) -> MemberSpec:
    if isinstance(value, MemberSpec):
        return replace(value, name=name)
    if isinstance(value, ContainerSpec):
        return MemberSpec(name, value)
    options = {"image": None, **parse_member(name, value)}
    own = take_member_options(name, options)
    with naming_member(name):
        return MemberSpec(name, build_container_spec(options.pop("image"), **options), **own)


def parse_member(name: str, value: object) -> Mapping[str, Any]:
    """The options of a member, all of them known; raises InvalidSpecError."""
    if not isinstance(value, Mapping):
        raise InvalidSpecError(f"member {name!r} has to be a mapping such as dict(image='redis:7'), not {value!r}")
    unknown = [key for key in value if key not in MEMBER_OPTIONS]
    if unknown:
        raise InvalidSpecError(
            f"member {name!r}: unknown argument {unknown[0]!r}",
            hint=values.did_you_mean(str(unknown[0]), MEMBER_OPTIONS),
        )
    return value


def take_member_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Takes `needs` and `init` out of a member's options, parsed; raises InvalidSpecError."""
    with naming_member(name):
        taken: dict[str, Any] = {}
        if "needs" in options:
            taken["needs"] = _parse_needs(options.pop("needs"))
        if "init" in options:
            taken["init"] = values.parse_flag("init", options.pop("init"))
        return taken


@contextmanager
def naming_member(name: str) -> Iterator[None]:
    """Lets errors of a member's arguments name the member."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidSpecError(f"member {name!r}: {error.brief}", details=error.details, hint=error.hint) from error


def _parse_needs(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Iterable):
        raise InvalidSpecError(f"needs has to be a list of members, not {value!r}")
    return tuple(dict.fromkeys(values.parse_text("needs", item) for item in value))


def check_pod(pod: PodSpec) -> None:
    """Raises InvalidSpecError for options of a pod that contradict each other."""
    if pod.aliases and pod.network is not NetworkMode.NAMED:
        raise InvalidSpecError("aliases need a network with names", hint="write networks=['default'], say")
    if pod.networks and "net" not in pod.share:
        raise InvalidSpecError("the pod's networks need a shared network namespace", hint="give them to the members")
    build_limits(memory=pod.memory, memory_swap=pod.memory_swap, cpus=pod.cpus, pids_limit=pod.pids_limit)
    if pod.ports and pod.network is NetworkMode.HOST:
        raise InvalidSpecError(
            "ports cannot be published with network='host'", hint="the service is on the host's ports already"
        )
    if pod.ports and "net" not in pod.share:
        raise InvalidSpecError("the pod's ports need a shared network", hint="publish them at the members")
    if pod.hostname is not None and "uts" not in pod.share:
        raise InvalidSpecError("the pod's hostname needs a shared UTS namespace", hint="give it to the members")
    if pod.shm_size is not None and "ipc" not in pod.share:
        raise InvalidSpecError("the pod's shm_size needs a shared IPC namespace", hint="give it to the members")


def _check_member(pod: PodSpec, member: MemberSpec) -> None:
    spec = member.container
    shared = (
        ("network", "net", spec.network is not NetworkMode.PRIVATE and not _is_same_network(spec, pod)),
        ("network", "net", spec.network_container is not None),
        ("dns", "net", bool(spec.dns or spec.dns_search or spec.dns_options or spec.image_resolv_conf)),
        ("add_hosts", "net", bool(spec.add_hosts)),
        ("hostname", "uts", spec.hostname is not None),
        ("shm_size", "ipc", spec.shm_size is not None),
    )
    for name, kind, given in shared:
        if given and kind in pod.share:
            raise InvalidSpecError(f"member {member.name!r}: its {name} is the pod's", hint=f"give {name} to the pod")
    if spec.ports and "net" in pod.share and pod.network is NetworkMode.HOST:
        raise InvalidSpecError(f"member {member.name!r}: ports cannot be published with network='host'")
    if member.init and spec.wait is not None:
        raise InvalidSpecError(f"init member {member.name!r} has a wait: what is awaited of it is its end")
    if member.init and spec.restart is not None and spec.restart.condition in ("always", "unless-stopped"):
        raise InvalidSpecError(f"init member {member.name!r} cannot be restarted {spec.restart}: it has to end")


def _is_same_network(spec: ContainerSpec, pod: PodSpec) -> bool:
    return spec.network is pod.network and spec.networks in ((), pod.networks)


def _refuse_same_ports(pod: PodSpec, members: Sequence[MemberSpec]) -> None:
    if "net" not in pod.share:
        return
    refuse_same_ports([("the pod", pod.ports), *((f"member {one.name!r}", one.container.ports) for one in members)])


def refuse_same_ports(asked: Sequence[tuple[str, Sequence[PortSpec]]]) -> None:
    """Of one network namespace each port is published once; raises InvalidSpecError that names both who ask."""
    taken: dict[tuple[int, str], str] = {}
    for who, ports in asked:
        for port in ports:
            other = taken.setdefault((port.container_port, port.protocol), who)
            if other != who:
                raise InvalidSpecError(
                    f"{other} and {who} both publish port {port.container_port}/{port.protocol}",
                    hint="the members of a pod share one network: only one of them can listen on a port",
                )
