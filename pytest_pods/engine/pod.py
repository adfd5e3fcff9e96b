"""Pod: what users hold of a pod, a mapping of its members.

Every verb is one call of a service; the handle remembers which pod it is about, and nothing that can change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.records import build_url, find_address

if TYPE_CHECKING:
    import socket

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.network_records import InterfaceRecord
    from pytest_pods.engine.pod_records import PodRecord, PodStatus
    from pytest_pods.engine.runtime.logs import LogLine
    from pytest_pods.engine.services.pods import PodService
    from pytest_pods.engine.specs.pods import PodSpec
    from pytest_pods.engine.stats import PodStats


class Pod(Mapping[str, "Container"]):
    """A pod of a session: containers that share a network, by the names that the pod gives them."""

    def __init__(self, record: PodRecord, service: PodService, spec: PodSpec | None = None) -> None:
        self._record = record
        self._service = service
        self._spec = spec

    def __repr__(self) -> str:
        return f"<Pod {self.name} {self.short_id} of {', '.join(self) or 'nothing'}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pod) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __getitem__(self, member: str) -> Container:
        return self.containers[member]

    def __iter__(self) -> Iterator[str]:
        return iter(self.containers)

    def __len__(self) -> int:
        return len(self.containers)

    @property
    def record(self) -> PodRecord:
        """What was written down when it was created."""
        return self._record

    @property
    def spec(self) -> PodSpec | None:
        """What was asked for; None where another process has made it."""
        return self._spec

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self._record.id

    @property
    def short_id(self) -> str:
        """The first 12 digits of the ID."""
        return self._record.id[:12]

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def labels(self) -> Mapping[str, str]:
        return self._record.labels

    @property
    def hostname(self) -> str:
        return self._record.hostname

    @property
    def ip(self) -> str:
        """Its address: on the first network that it is on now, else on the session's way out; empty with
        network='none', and where each member has a network of its own."""
        return self._service.find_ip(self._record)

    @property
    def networks(self) -> Mapping[str, InterfaceRecord]:
        """The named networks that it is on now, and as what: addresses, MAC, its own names."""
        return {one.network: one for one in self._service.interfaces(self._record)}

    @property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self._record.created, UTC)

    @property
    def containers(self) -> Mapping[str, Container]:
        """The members that there are now, by name."""
        return self._service.members(self._record)

    @property
    def status(self) -> PodStatus:
        """What its members do: created, running, degraded (some have ended), paused, exited."""
        return self._service.status(self._record)

    @property
    def ports(self) -> Mapping[str, tuple[str, int]]:
        """Published ports, its own and its members': `"8080/tcp"` → address and port of the host."""
        ports = {port.key: (port.host_ip, port.host_port) for port in self._record.ports}
        for container in self.containers.values():
            ports.update(container.ports)
        return ports

    def address(self, port: int, *, protocol: str = "tcp") -> tuple[str, int]:
        """Where the test reaches a published port: address and port of the host. Raises NotFoundError."""
        return find_address(self.ports, port, protocol, subject=f"pod {self.name}")

    def url(self, port: int, path: str = "/", *, scheme: str = "http") -> str:
        """An URL of a published port."""
        return build_url(self.address(port), path, scheme=scheme)

    def connect(self, port: int, *, timeout: float | None = None) -> socket.socket:
        """A TCP connection to a port inside the pod, published or not. Raises OSError as connect(2)."""
        return self._service.connect(self._record, port, timeout=timeout)

    def stats(self) -> PodStats:
        """What its members use at this moment and have used since their start, each by name, and `total`."""
        return self._service.stats(self._record)

    def log_lines(self, *, tail: int | None = None) -> list[tuple[str, LogLine]]:
        """The output of all members so far, by time: each line with the member's name; `tail` counts them together."""
        lines = [(name, line) for name, one in self.containers.items() for line in one.log_lines(tail=tail)]
        lines.sort(key=lambda pair: pair[1].time)
        return lines if tail is None else lines[len(lines) - tail :] if tail < len(lines) else lines

    def logs(self, *, tail: int | None = None, timestamps: bool = False) -> str:
        """The output of all members so far, by time, with the member's name in front of each line."""
        lines = self.log_lines(tail=tail)
        width = max((len(name) for name, _ in lines), default=0)
        return "".join(
            f"{name:<{width}} | {f'{line.timestamp} ' if timestamps else ''}{line.text}\n" for name, line in lines
        )

    def start(self) -> None:
        """Starts the members that do not run, in the order of their needs. Raises PodFailedError."""
        self._service.start(self._record)

    def stop(self, timeout: float | None = None) -> None:
        """Stops all members: stop signal, `timeout` seconds of grace (by default each one's own), then the kill."""
        self._service.stop(self._record, timeout=timeout)

    def restart(self, timeout: float | None = None) -> None:
        """Stops all members and starts them again, in order."""
        self.stop(timeout)
        self.start()

    def kill(self, signal: str | int = "KILL") -> None:
        """Sends a signal to the first process of each member that runs. Raises WrongStateError if none does."""
        self._service.kill(self._record, signal=signal)

    def pause(self) -> None:
        """Freezes all members that run. Raises UnsupportedHostError."""
        self._service.pause(self._record)

    def unpause(self) -> None:
        self._service.unpause(self._record)

    def wait(self, timeout: float | None = None) -> Mapping[str, int]:
        """Waits until all members, but for init ones, have ended; their exit codes. Raises DeadlineExceededError."""
        return self._service.wait(self._record, timeout=timeout)

    def remove(self, *, force: bool = True) -> None:
        """Removes it with all members. Running ones are killed, and other containers in its network are removed before
        it, or with `force=False` refused (WrongStateError, InUseError)."""
        self._service.remove(self._record, force=force)

    def kube_document(self) -> str:
        """The pod as YAML for Kubernetes, which `kube=` reads back. Raises InvalidSpecError."""
        from pytest_pods.engine.kube.writing import build_kube_document

        return build_kube_document(self._spec or self.build_spec(), name=self.name)

    def build_spec(self) -> PodSpec:
        """What it and its members are, as one would ask for it; waits of another process are not known."""
        return self._service.build_spec(self._record)

    def inspect(self) -> dict[str, Any]:
        """A document in the shape of `podman pod inspect`."""
        return self._service.inspect(self._record)
