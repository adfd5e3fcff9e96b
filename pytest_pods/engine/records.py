"""What is stored of a container, and what is read back about it: plain values and their JSON form."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pytest_pods.engine.errors import InvalidDocumentError, InvalidSpecError, NotFoundError
from pytest_pods.engine.specs.container import ContainerSpec, PullPolicy
from pytest_pods.engine.specs.limits import Ulimit
from pytest_pods.engine.specs.mounts import BindMount, ImageMount, MountSpec, TmpfsMount, VolumeMount
from pytest_pods.engine.specs.networks import Attachment, NetworkMode
from pytest_pods.engine.specs.ports import PortSpec
from pytest_pods.engine.specs.restart import RestartPolicy
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_pods.engine.health import Health
    from pytest_pods.engine.specs.health import HealthPlan
    from pytest_pods.engine.specs.probes import Probe, Target
    from pytest_pods.engine.waiting import Wait

Status: TypeAlias = Literal["created", "running", "paused", "exited"]


@frozen
class PublishedPort:
    """A port of the host that leads into a container."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int
    forward: int

    @property
    def key(self) -> str:
        """As Docker names it: `6379/tcp`."""
        return f"{self.container_port}/{self.protocol}"


@frozen
class Membership:
    """How a container is in a pod: `member` is what the pod calls it, `shares` are the namespaces that it has from the
    pod, `position` is where it stands among the members. The container of an `infra` record only holds the pod's PID
    namespace."""

    pod_id: str
    pod_name: str
    member: str
    shares: tuple[str, ...]
    needs: tuple[str, ...] = ()
    init: bool = False
    infra: bool = False
    position: int = 0


@frozen
class NetworkOwner:
    """The container, or with `pod` the pod, in whose network others are, too."""

    id: str
    name: str
    pod: bool


def find_address(
    ports: Mapping[str, tuple[str, int]], port: int, protocol: str, *, subject: str
) -> tuple[str, int]:
    """Where the host reaches a published port; `ports` is `"6379/tcp"` → address and port. Raises NotFoundError."""
    published = ports.get(f"{port}/{protocol}")
    if published is None:
        raise NotFoundError(
            f"{subject} does not publish port {port}/{protocol} (published: {', '.join(ports) or 'none'})",
            hint=f"ask for it with ports=[{port}]",
        )
    host, number = published
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), number


def build_url(address: tuple[str, int], path: str, *, scheme: str) -> str:
    host, number = address
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{number}/{path.removeprefix('/')}"


@frozen
class ContainerRecord:
    """What is known of a container when it is created. `created`: seconds since the epoch; `argv`: what it executes.

    `mounts` are those of the spec and the volumes that its image declares, each volume with its name; `mounted_images`
    the IDs of the images among them, in their order. `layers` are of all images that it needs. `health` is what its
    health check comes to, with what its image says of one; `network_of` says who has its network, if it was asked to be
    in that of another container.
    """

    id: str
    name: str
    session_id: str
    image: str
    image_id: str
    spec: ContainerSpec
    argv: tuple[str, ...]
    stop_signal: str
    hostname: str
    ip: str
    ports: tuple[PublishedPort, ...]
    created: float
    layers: tuple[str, ...]
    mounts: tuple[MountSpec, ...] = ()
    mounted_images: tuple[str, ...] = ()
    membership: Membership | None = None
    health: HealthPlan | None = None
    network_of: NetworkOwner | None = None

    @property
    def shared_network(self) -> NetworkOwner | None:
        """Whose network it is in: its pod's, or that of another container; None if it is its own, or the host's."""
        if self.membership is not None and self.shares("net"):
            return NetworkOwner(self.membership.pod_id, self.membership.pod_name, pod=True)
        return self.network_of

    def shares(self, namespace: str) -> bool:
        """Whether a namespace ("net", "ipc", "uts", "pid") is its pod's."""
        return self.membership is not None and namespace in self.membership.shares

    def to_bytes(self) -> bytes:
        return json.dumps(self, default=_to_plain).encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: object) -> ContainerRecord:
        """Reads `record.json`; raises InvalidDocumentError."""
        try:
            document = json.loads(content)
            document["spec"] = _parse_spec(document["spec"])
            document["argv"] = tuple(document["argv"])
            document["layers"] = tuple(document["layers"])
            document["mounts"] = tuple(_parse_mount(mount) for mount in document.get("mounts", ()))
            document["mounted_images"] = tuple(document.get("mounted_images", ()))
            document["ports"] = tuple(PublishedPort(**port) for port in document["ports"])
            document["membership"] = _parse_membership(document["membership"])
            document["health"] = _parse_health(document.get("health"), of="plan")
            document["network_of"] = NetworkOwner(**document["network_of"]) if document["network_of"] else None
            return cls(**document)
        except (ValueError, TypeError, KeyError, InvalidSpecError) as error:
            raise InvalidDocumentError(f"the container record {where} cannot be read: {error}") from error


ChangeKind: TypeAlias = Literal["added", "changed", "deleted"]


@frozen
class Change:
    """A path of a container, as it sees it, and what it has done there to what its image has."""

    kind: ChangeKind
    path: str

    @property
    def letter(self) -> str:
        """As Docker writes it: A, C or D."""
        return self.kind[0].upper()


@frozen
class ContainerState:
    """What holds at one moment. `container_pid` counts in the session's PID namespace; `fault` is set if the container
    was ended because of a failure of the engine's own parts; `restarting` if it has ended and is going to be started
    again; `health` is what its health check has found, None for a container without one."""

    status: Status
    exit_code: int | None = None
    container_pid: int | None = None
    monitor_pid: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    oom_killed: bool = False
    fault: str | None = None
    restarts: int = 0
    restarting: bool = False
    health: Health | None = None

    @property
    def running(self) -> bool:
        return self.status in ("running", "paused")


def _to_plain(value: Any) -> Any:
    """What JSON knows of one of our values; what is in it comes by itself."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    document = {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, ContainerSpec):
        document["wait"] = _wait_document(value.wait)
    elif type(value).__name__ in _MOUNTS:
        document["kind"] = type(value).__name__
    return document


def _parse_spec(document: dict[str, Any]) -> ContainerSpec:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }
    values["network"] = NetworkMode(document["network"])
    values["pull"] = PullPolicy(document["pull"]) if document["pull"] else None
    values["ports"] = tuple(PortSpec(**port) for port in document["ports"])
    values["networks"] = tuple(_parse_attachment(one) for one in document["networks"])
    values["ulimits"] = tuple(Ulimit(**limit) for limit in document["ulimits"])
    values["restart"] = RestartPolicy(**document["restart"]) if document["restart"] else None
    values["mounts"] = tuple(_parse_mount(mount) for mount in document["mounts"])
    values["wait"] = _parse_wait(document.get("wait"))
    values["health"] = _parse_health(document.get("health"), of="check")
    return ContainerSpec(**values)


def _wait_document(wait: object) -> dict[str, Any] | None:
    """Only waits for probes can be written down: the others are functions."""
    if wait is None:
        return None
    from pytest_pods.engine.probing import ProbeWait

    if not isinstance(wait, ProbeWait):
        return None
    probes = {"startup": wait.startup, "readiness": wait.readiness}
    return {name: None if probe is None else asdict(probe) for name, probe in probes.items()}


def _parse_wait(document: dict[str, Any] | None) -> Wait | None:
    if document is None:
        return None
    from pytest_pods.engine.probing import ProbeWait

    return ProbeWait(_parse_probe(document["startup"]), _parse_probe(document["readiness"]))


def _parse_health(document: Any, *, of: Literal["check", "plan"]) -> Any:
    """None, and False where a container was to have none, stay as they are."""
    if not document:
        return document
    from pytest_pods.engine.specs.health import HealthCheck, HealthPlan

    values = {
        **document,
        "target": _parse_target(document["target"]),
        "startup": _parse_probe(document["startup"]),
    }
    return HealthPlan(**values) if of == "plan" else HealthCheck(**values)


def _parse_probe(document: dict[str, Any] | None) -> Probe | None:
    if document is None:
        return None
    from pytest_pods.engine.specs.probes import Probe

    return Probe(**{**document, "target": _parse_target(document["target"])})


def _parse_target(document: dict[str, Any] | None) -> Target | None:
    if document is None:
        return None
    from pytest_pods.engine.specs.probes import Target

    headers = tuple((name, value) for name, value in document["headers"])
    return Target(**{**document, "headers": headers, "command": tuple(document["command"])})


def _parse_attachment(document: dict[str, Any]) -> Attachment:
    return Attachment(
        **{**document, "aliases": tuple(document["aliases"]), "addresses": tuple(document["addresses"])}
    )


def _parse_membership(document: dict[str, Any] | None) -> Membership | None:
    if document is None:
        return None
    return Membership(**{**document, "shares": tuple(document["shares"]), "needs": tuple(document["needs"])})


_MOUNTS: dict[str, type[MountSpec]] = {
    kind.__name__: kind for kind in (BindMount, VolumeMount, ImageMount, TmpfsMount)
}


def _parse_mount(document: Mapping[str, Any]) -> MountSpec:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }
    kind: Any = _MOUNTS[values.pop("kind")]
    mount: MountSpec = kind(**values)
    return mount
