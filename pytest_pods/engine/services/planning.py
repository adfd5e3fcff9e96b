"""What a new container is called, where it is reached and what it executes, settled before anything of it is made.

Names belong to the session, and several processes may work in one: a file each, made so that only one can have made it,
keeps them apart.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import NameInUseError
from pytest_pods.engine.ids import new_container_id, new_container_name
from pytest_pods.engine.network.ports import bind_ports
from pytest_pods.engine.records import ContainerRecord, PublishedPort
from pytest_pods.engine.runtime.bundle import build_command
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.ports import PortSpec, parse_port

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from pytest_pods.engine.oci.image_config import ImageConfig
    from pytest_pods.engine.services.images import Image
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.services.wiring import Wirer, Wiring
    from pytest_pods.engine.specs.container import ContainerSpec
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

    def plan(self, spec: ContainerSpec, image: Image) -> Plan:
        """Binds the ports and takes a name and a place. Raises PortInUseError, NameInUseError, InvalidSpecError."""
        record = build_record(spec, image, session_id=self._session.id)
        self._session.start()
        layout = self._session.layout
        listeners = bind_ports(build_ports(spec, image.config))
        wiring: Wiring | None = None
        try:
            # Before the rest: a name or a place whose container has no directory is free.
            layout.container(record.id).directory.mkdir(mode=0o711)
            reserve_name(layout, record)
            wiring = self._wirer.plan(
                spec.network, spec.networks, owner=record.id, known_as=_build_names(record), dns=spec.dns
            )
            ports = tuple(
                _build_published(port, listener)
                for port, listener in zip(build_ports(spec, image.config), listeners, strict=True)
            )
            record = replace(record, ports=ports, ip=wiring.ip)
        except BaseException:
            for listener in listeners:
                listener.close()
            if wiring is not None:
                self._wirer.release(wiring, owner=record.id)
            release_name(layout, record)
            with suppress(FileNotFoundError):
                layout.container(record.id).directory.rmdir()
            raise
        return Plan(record, listeners, wiring)


def _build_names(record: ContainerRecord) -> tuple[str, ...]:
    """What a container is called on its networks."""
    return (record.name, record.id[:12], *record.spec.aliases)


def build_record(spec: ContainerSpec, image: Image, *, session_id: str) -> ContainerRecord:
    """The record before ports and addresses are known. Raises InvalidSpecError if nobody names a command."""
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
    )


def build_ports(spec: ContainerSpec, image: ImageConfig) -> tuple[PortSpec, ...]:
    """The ports to publish: those asked for, and with `publish_all` those that the image exposes."""
    if not spec.publish_all:
        return spec.ports
    asked = {(port.container_port, port.protocol) for port in spec.ports}
    exposed = (parse_port(text) for text in image.exposed_ports)
    return (*spec.ports, *(port for port in exposed if (port.container_port, port.protocol) not in asked))


def _build_published(port: PortSpec, listener: socket.socket) -> PublishedPort:
    host, number = listener.getsockname()[:2]
    return PublishedPort(port.container_port, port.protocol, str(host), int(number), forward=0)


def reserve_name(layout: SessionLayout, record: ContainerRecord) -> None:
    """Makes the name the container's. Raises NameInUseError."""
    path = layout.names_dir / record.name
    # Linked, not written in place: a name without an owner could never be released again.
    new = layout.names_dir / f".{record.id}"
    new.write_text(record.id)
    try:
        for _ in range(2):
            try:
                os.link(new, path)
                return
            except FileExistsError:
                owner = find_owner(path)
                if owner is not None and layout.container(owner).directory.exists():
                    raise NameInUseError(
                        f"the name {record.name} is in use by container {owner[:12]}",
                        hint="remove that one, or take another name",
                    ) from None
                path.unlink(missing_ok=True)
        raise NameInUseError(f"the name {record.name} is in use")
    finally:
        new.unlink(missing_ok=True)


def release_name(layout: SessionLayout, record: ContainerRecord) -> None:
    """Gives the name back."""
    path = layout.names_dir / record.name
    if find_owner(path) == record.id:
        path.unlink(missing_ok=True)


def find_owner(path: Path) -> str | None:
    """The ID of the container that has a name."""
    try:
        return path.read_text() or None
    except OSError:
        return None
