"""What `ps` shows: containers read at one moment, filtered, as rows for people and documents for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_pods.cli.formats import (
    format_age,
    format_command,
    format_labels,
    format_moment,
    format_ports,
    format_status,
)
from pytest_pods.cli.options import UsageError
from pytest_pods.engine.errors import ContainerNotFoundError, SandboxLostError
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.pod import Pod
    from pytest_pods.engine.records import ContainerRecord, ContainerState

_KEYS = ("id", "name", "status", "label", "ancestor", "session", "exited", "network", "health")


@frozen
class Seen:
    """A container as it was when it was looked at; `kept` if it is of a session that tests have kept; `networks` are
    names, or what stands for one."""

    record: ContainerRecord
    state: ContainerState
    kept: bool = False
    networks: tuple[str, ...] = ()


def read_containers(context: Context) -> list[Seen]:
    """All containers of the live sessions; what goes away meanwhile is passed over."""
    found = []
    for container, kept in find_containers(context):
        try:
            networks = find_networks(container.spec.network, container)
            found.append(Seen(container.record, container.state(), kept, networks))
        except (ContainerNotFoundError, SandboxLostError):
            continue
    return found


def find_containers(context: Context) -> Iterator[tuple[Container, bool]]:
    """Each container of the live sessions, and whether its session is a kept one. Those of `--rm` that have ended are
    removed first; a session that ends meanwhile is passed over."""
    from pytest_pods.cli.removal import remove_ended

    for engine in context.live_engines():
        try:
            kept = engine.session_record.kind.leased
            if not kept:
                remove_ended(engine)
            containers = engine.containers()
        except SandboxLostError:
            continue
        for container in containers:
            yield container, kept


def find_networks(mode: NetworkMode, one: Container | Pod) -> tuple[str, ...]:
    """What it is on now: names, in front of them the mode of one that has another network too."""
    return (*(() if mode is NetworkMode.NAMED else (mode.value,)), *one.networks)


@frozen
class Filters:
    """Of several values of one key one has to fit, and each key has to."""

    wanted: Mapping[str, tuple[str, ...]]

    @property
    def needs_all(self) -> bool:
        """Asking for a state means looking at all of them."""
        return bool({"status", "exited"} & set(self.wanted))

    def match(self, seen: Seen) -> bool:
        return all(any(_fits(seen, key, value) for value in values) for key, values in self.wanted.items())


def parse_filters(texts: Sequence[str]) -> Filters:
    """Raises UsageError."""
    wanted: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if key not in _KEYS or not separator:
            raise UsageError(f"--filter {text!r} is not known", hint=f"KEY=VALUE with one of {', '.join(_KEYS)}")
        wanted[key] = (*wanted.get(key, ()), value)
    return Filters(wanted)


def _fits(seen: Seen, key: str, value: str) -> bool:
    record, state = seen.record, seen.state
    if key == "label":
        name, separator, text = value.partition("=")
        return name in record.spec.labels and (not separator or record.spec.labels[name] == text)
    if key == "network":
        return value in seen.networks
    if key == "exited":
        return state.status == "exited" and str(state.exit_code) == value
    if key == "health":
        return value == ("none" if state.health is None else state.health.status)
    if key == "id":
        return record.id.startswith(value)
    if key == "name":
        return value in record.name
    if key == "status":
        return state.status == value
    if key == "ancestor":
        return value in (record.image, record.image_id) or record.image_id.partition(":")[2].startswith(value)
    return record.session_id == value


def build_row(seen: Seen, now: datetime, *, truncate: bool) -> dict[str, str]:
    """What a table or a template shows, in Docker's names."""
    record, state = seen.record, seen.state
    created = datetime.fromtimestamp(record.created, UTC)
    return {
        "ID": record.id[:12] if truncate else record.id,
        "Names": record.name,
        "Name": record.name,
        "Image": record.image,
        "Command": format_command(record.argv, width=20 if truncate else None),
        "CreatedAt": format_moment(created),
        "RunningFor": format_age(created, now),
        "Status": format_status(state, now),
        "State": state.status,
        "Health": "" if state.health is None else state.health.status,
        "ExitCode": "" if state.exit_code is None else str(state.exit_code),
        "Ports": format_ports(record.ports),
        "Labels": format_labels(record.spec.labels),
        "Networks": ",".join(seen.networks),
        "Pod": _find_pod(record, truncate=truncate),
        "PodName": record.membership.pod_name if record.membership else "",
        "Session": record.session_id,
    }


def _find_pod(record: ContainerRecord, *, truncate: bool) -> str:
    if record.membership is None:
        return ""
    return record.membership.pod_id[:12] if truncate else record.membership.pod_id


def build_document(seen: Seen, now: datetime) -> dict[str, Any]:
    """What programs get, in Podman's names; `Session` is ours."""
    record, state = seen.record, seen.state
    created = datetime.fromtimestamp(record.created, UTC)
    return {
        "Id": record.id,
        "Names": [record.name],
        "Image": record.image,
        "ImageID": record.image_id.partition(":")[2],
        "Command": list(record.argv),
        "Created": int(record.created),
        "CreatedAt": created.isoformat(),
        "State": state.status,
        "Status": format_status(state, now),
        "Exited": state.status == "exited",
        "ExitCode": state.exit_code or 0,
        "ExitedAt": int(state.finished_at.timestamp()) if state.finished_at else 0,
        "StartedAt": int(state.started_at.timestamp()) if state.started_at else 0,
        "Pid": state.container_pid or 0,
        "Pod": _find_pod(record, truncate=False),
        "PodName": record.membership.pod_name if record.membership else "",
        "AutoRemove": record.spec.remove,
        "Labels": dict(record.spec.labels),
        "Mounts": [mount.target for mount in record.mounts],
        "Networks": list(seen.networks),
        "Ports": [
            {
                "host_ip": port.host_ip,
                "container_port": port.container_port,
                "host_port": port.host_port,
                "range": 1,
                "protocol": port.protocol,
            }
            for port in record.ports
        ],
        "Session": record.session_id,
    }
