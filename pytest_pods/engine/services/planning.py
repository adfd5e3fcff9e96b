"""What a new container is called, where it is reached and what it executes, settled before anything of it is made.

Names belong to the session, and several processes may work in one: a file each, made so that only one can have made it,
keeps them apart.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.errors import NameInUseError
from pytest_pods.engine.ids import new_container_id, new_container_name
from pytest_pods.engine.network.ports import bind_ports
from pytest_pods.engine.records import ContainerRecord, PublishedPort
from pytest_pods.engine.runtime.bundle import build_command
from pytest_pods.engine.services.wiring import Wiring
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.ports import PortSpec, parse_port
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from pytest_pods.engine.oci.image_config import ImageConfig
    from pytest_pods.engine.pod_records import PodRecord
    from pytest_pods.engine.records import Membership
    from pytest_pods.engine.services.images import Image
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.services.wiring import Wirer
    from pytest_pods.engine.specs.container import ContainerSpec
    from pytest_pods.engine.specs.health import HealthPlan
    from pytest_pods.engine.state.layout import SessionLayout


class Plan:
    """A container that is about to be made; leaving the `with` block closes the host's ports, which the sandbox has."""

    def __init__(self, record: ContainerRecord, listeners: list[socket.socket], wiring: Wiring) -> None:
        self.record = record
        self.listeners = listeners
        self.wiring = wiring

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()


class Planner:
    """Plans the containers of one session."""

    def __init__(self, session: Session, wirer: Wirer) -> None:
        self._session = session
        self._wirer = wirer

    def plan(
        self,
        spec: ContainerSpec,
        image: Image,
        joined: Joined | None = None,
        *,
        in_network: Callable[[ContainerRecord], ContainerRecord] = lambda record: record,
    ) -> Plan:
        """Binds the ports and takes a name and a place; `in_network` puts the container into the network of another.

        Raises PortInUseError, NameInUseError, InvalidSpecError.
        """
        record = build_record(spec, image, session_id=self._session.id)
        if joined is not None:
            record = join_pod(record, joined)
        record = in_network(record)
        self._session.start()
        layout = self._session.layout
        listeners = bind_ports(build_ports(spec, image.config))
        wiring: Wiring | None = None
        try:
            # Before the rest: a name or a place whose container has no directory is free.
            layout.container(record.id).directory.mkdir(mode=0o711)
            reserve_name(layout, record.name, owner=record.id)
            wiring = self._plan_wiring(record)
            ports = tuple(
                build_published(port, listener)
                for port, listener in zip(build_ports(spec, image.config), listeners, strict=True)
            )
            record = replace(record, ports=ports, ip=record.ip or wiring.ip)
        except BaseException:
            for listener in listeners:
                listener.close()
            if wiring is not None:
                self._wirer.release(wiring, owner=record.id)
            release_name(layout, record.name, owner=record.id)
            with suppress(FileNotFoundError):
                layout.container(record.id).directory.rmdir()
            raise
        return Plan(record, listeners, wiring)


    def _plan_wiring(self, record: ContainerRecord) -> Wiring:
        """Who is in the network of another has its places there already."""
        spec = record.spec
        if record.shared_network is not None:
            return Wiring(NetworkMode.NONE)
        return self._wirer.plan(
            spec.network, spec.networks, owner=record.id, known_as=build_container_names(record), dns=spec.dns
        )


def build_container_names(record: ContainerRecord) -> tuple[str, ...]:
    """What a container is called on its networks."""
    return (record.name, record.id[:12], *record.spec.aliases)


@frozen
class Joined:
    """A pod that a container becomes a member of, and how."""

    pod: PodRecord
    membership: Membership


def join_pod(record: ContainerRecord, joined: Joined) -> ContainerRecord:
    """The record of a member: what it shares is the pod's."""
    pod, shares = joined.pod, joined.membership.shares
    changes: dict[str, Any] = {"membership": joined.membership}
    if "net" in shares:
        spec = record.spec.with_changes(
            network=pod.network, networks=(), image_resolv_conf=pod.image_resolv_conf
        )
        changes |= {"ip": pod.ip, "spec": spec}
    if "uts" in shares:
        changes["hostname"] = pod.hostname
    return replace(record, **changes)


def build_record(spec: ContainerSpec, image: Image, *, session_id: str) -> ContainerRecord:
    """The record before ports and addresses are known. Raises InvalidSpecError if nobody names a command, be it its
    own or that of its health check."""
    container_id = new_container_id()
    own_name = container_id[:12] if spec.network is not NetworkMode.HOST else os.uname().nodename
    return ContainerRecord(
        id=container_id,
        name=spec.name or new_container_name(),
        session_id=session_id,
        image=spec.image,
        image_id=str(image.id),
        spec=spec,
        argv=build_command(spec, image.config),
        stop_signal=spec.stop_signal or image.config.stop_signal or "SIGTERM",
        hostname=spec.hostname or own_name,
        ip="",
        ports=(),
        created=time.time(),
        layers=tuple(str(layer) for layer in image.config.chain_ids),
        health=_settle_health(spec, image.config),
    )


def _settle_health(spec: ContainerSpec, image: ImageConfig) -> HealthPlan | None:
    if spec.health is False or (spec.health is None and image.health is None):
        return None
    from pytest_pods.engine.specs.health import settle_health

    return settle_health(spec.health, image.health, subject=f"container {spec.name or spec.image}")


def build_ports(spec: ContainerSpec, image: ImageConfig) -> tuple[PortSpec, ...]:
    """The ports to publish: those asked for, and with `publish_all` those that the image exposes."""
    if not spec.publish_all:
        return spec.ports
    asked = {(port.container_port, port.protocol) for port in spec.ports}
    exposed = (parse_port(text) for text in image.exposed_ports)
    return (*spec.ports, *(port for port in exposed if (port.container_port, port.protocol) not in asked))


def build_published(port: PortSpec, listener: socket.socket) -> PublishedPort:
    host, number = listener.getsockname()[:2]
    return PublishedPort(port.container_port, port.protocol, str(host), int(number), forward=0)


def reserve_name(layout: SessionLayout, name: str, *, owner: str) -> None:
    """Makes the name that of the container or pod with the ID `owner`. Raises NameInUseError."""
    path = layout.names_dir / name
    # Linked, not written in place: a name without an owner could never be released again.
    new = layout.names_dir / f".{owner}"
    new.write_text(owner)
    try:
        for _ in range(2):
            try:
                os.link(new, path)
                return
            except FileExistsError:
                other = find_owner(path)
                kind = None if other is None else _find_kind(layout, other)
                if other is not None and kind is not None:
                    raise NameInUseError(
                        f"the name {name} is in use by {kind} {other[:12]}",
                        hint="remove that one, or take another name",
                    ) from None
                path.unlink(missing_ok=True)
        raise NameInUseError(f"the name {name} is in use")
    finally:
        new.unlink(missing_ok=True)


def _find_kind(layout: SessionLayout, owner: str) -> str | None:
    if layout.container(owner).directory.exists():
        return "container"
    return "pod" if layout.pod(owner).directory.exists() else None


def release_name(layout: SessionLayout, name: str, *, owner: str) -> None:
    """Gives the name back."""
    path = layout.names_dir / name
    if find_owner(path) == owner:
        path.unlink(missing_ok=True)


def find_owner(path: Path) -> str | None:
    """The ID of the container or pod that has a name."""
    try:
        return path.read_text() or None
    except OSError:
        return None
