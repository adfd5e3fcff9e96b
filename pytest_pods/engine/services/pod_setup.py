"""Making and removing what the members of a pod share: name, ports, namespaces, shared memory, control group.

Whoever looks in between, or after a kill, finds a directory of the session with a part of it, which can be removed.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SystemCallError
from pytest_pods.engine.host.sandbox import FileSystemMount, MountAttribute, NamespaceKind, Sandbox
from pytest_pods.engine.ids import new_container_id, new_container_name
from pytest_pods.engine.network.ports import bind_ports
from pytest_pods.engine.pod_records import PodRecord
from pytest_pods.engine.runtime.defaults import SHARED_MEMORY_BYTES
from pytest_pods.engine.services import planning
from pytest_pods.engine.services.pod_files import write_pod_files
from pytest_pods.engine.services.pod_volumes import make_pod_volumes
from pytest_pods.engine.services.publishing import end_forwards, forward_ports
from pytest_pods.engine.services.sessions import remove_trees
from pytest_pods.engine.services.stations import build_pod_names
from pytest_pods.engine.services.wiring import Wiring, read_interfaces, rebuild_wiring, write_interfaces
from pytest_pods.engine.specs.networks import NetworkMode

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from pytest_pods.engine.services.creation import HostFacts
    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.services.wiring import Wirer
    from pytest_pods.engine.specs.pods import PodSpec

_KINDS = {"net": NamespaceKind.NETWORK, "ipc": NamespaceKind.IPC, "uts": NamespaceKind.UTS}


class PodSetup:
    """One pod on its way to being there; `plan` first."""

    def __init__(self, session: Session, wirer: Wirer, *, facts: HostFacts) -> None:
        self._session = session
        self._sandbox = session.start()
        self._wirer = wirer
        self._facts = facts
        self._listeners: list[socket.socket] = []
        self._wiring = Wiring(NetworkMode.NONE)
        self._member_names: tuple[str, ...] = ()

    def plan(self, spec: PodSpec) -> PodRecord:
        """Binds the ports and takes a name and a place. Raises PortInUseError, NameInUseError, UnsupportedHostError."""
        record = build_pod_record(spec, session_id=self._session.id)
        self._session.cgroups.check_limits(spec.limits, subject=f"pod {record.name}")
        layout = self._session.layout
        self._listeners = bind_ports(spec.ports)
        try:
            # Before the rest: a name or a place whose pod has no directory is free.
            layout.pod(record.id).directory.mkdir(mode=0o711)
            planning.reserve_name(layout, record.name, owner=record.id)
            if "net" in record.shares:
                self._wiring = self._wirer.plan(
                    spec.network, spec.networks, owner=record.id, known_as=build_pod_names(record), dns=spec.dns
                )
                self._member_names = _build_member_names(record, spec)
            ports = tuple(
                planning.build_published(port, listener)
                for port, listener in zip(spec.ports, self._listeners, strict=True)
            )
            record = replace(record, ports=ports, ip=self._wiring.ip)
        except BaseException:
            self.close()
            self._wirer.release(self._wiring, owner=record.id)
            planning.release_name(layout, record.name, owner=record.id)
            with suppress(FileNotFoundError):
                layout.pod(record.id).directory.rmdir()
            raise
        return record

    def make(self, record: PodRecord, spec: PodSpec) -> PodRecord:
        """Makes all that is shared, but for the way out; the record then has the ports' forwards."""
        layout = self._session.layout.pod(record.id)
        for directory in (layout.namespaces_dir, layout.files_dir, layout.shared_memory_dir):
            directory.mkdir(mode=0o711)
        layout.record_file.write_bytes(record.to_bytes())
        write_interfaces(layout.interfaces_file, self._wiring.interfaces)
        write_pod_files(layout, record, spec, wiring=self._wiring, facts=self._facts)
        kinds = find_pinned(record)
        if kinds:
            hostname = record.hostname if NamespaceKind.UTS in kinds else None
            self._sandbox.pin(layout.namespaces_dir, kinds, hostname=hostname)
        if "ipc" in record.shares:
            self._sandbox.mount(
                FileSystemMount(
                    "tmpfs",
                    layout.shared_memory_dir,
                    ("mode=1777", f"size={record.shared_memory}"),
                    source="shm",
                    attributes=MountAttribute.NO_SUID | MountAttribute.NO_DEVICES | MountAttribute.NO_EXECUTION,
                )
            )
        make_pod_volumes(self._sandbox, layout, record.volumes)
        self._session.cgroups.make_pod(record.id, spec.limits)
        namespace = None if record.network is NetworkMode.HOST else layout.namespace("net")
        ports = forward_ports(self._sandbox, record.ports, self._listeners, namespace=namespace, ips=self._wiring.ips)
        record = replace(record, ports=ports)
        layout.record_file.write_bytes(record.to_bytes())
        return record

    def plug(self, record: PodRecord, *, cut_off: bool = False) -> None:
        """Joins its networks, or the way out, where one that is `cut_off` reaches nobody yet."""
        namespace = self._session.layout.pod(record.id).namespace("net")
        self._wirer.connect(
            self._wiring, owner=record.id, namespace=namespace, more_names=self._member_names, cut_off=cut_off
        )

    def close(self) -> None:
        """Closes the host's ports, which the sandbox has."""
        for listener in self._listeners:
            listener.close()


def build_pod_record(spec: PodSpec, *, session_id: str) -> PodRecord:
    """The record before ports and addresses are known."""
    pod_id, name = new_container_id(), spec.name or new_container_name()
    limits = {
        "memory": spec.memory,
        "memory_swap": spec.memory_swap,
        "cpus": spec.cpus,
        "pids_limit": spec.pids_limit,
    }
    return PodRecord(
        id=pod_id,
        name=name,
        session_id=session_id,
        hostname=spec.hostname or _build_hostname(name, spec.network),
        network=spec.network,
        shares=tuple(sorted(spec.share)),
        ip="",
        ports=(),
        labels=dict(spec.labels),
        exit_policy=spec.exit_policy,
        shared_memory=spec.shm_size or SHARED_MEMORY_BYTES,
        limits={key: value for key, value in limits.items() if value is not None},
        created=time.time(),
        dns=spec.dns,
        dns_search=spec.dns_search,
        dns_options=spec.dns_options,
        add_hosts=dict(spec.add_hosts),
        networks=tuple(one.network for one in spec.networks),
        aliases=spec.aliases,
        image_resolv_conf=spec.image_resolv_conf,
        restart=spec.restart,
        volumes=spec.own_volumes,
    )


def _build_member_names(record: PodRecord, spec: PodSpec) -> tuple[str, ...]:
    """What its members will be called; known with the pod, so that names change once and not with each of them."""
    return tuple(name for one in spec.members for name in (one.name, f"{record.name}-{one.name}"))


def _build_hostname(name: str, network: NetworkMode) -> str:
    """The pod's name, as Podman has it, without what no host name may have in it."""
    if network is NetworkMode.HOST:
        return os.uname().nodename
    return name.replace("_", "-")[:64].strip("-.")


def find_pinned(record: PodRecord) -> NamespaceKind:
    """The namespaces that are pinned for a pod."""
    kinds = NamespaceKind(0)
    for share in record.shares:
        if share in _KINDS and not (share == "net" and record.network is NetworkMode.HOST):
            kinds |= _KINDS[share]
    return kinds


def find_wiring(session: Session, record: PodRecord) -> Wiring:
    """What a pod is plugged into."""
    mode = record.network if "net" in record.shares else NetworkMode.NONE
    return rebuild_wiring(
        mode, ip=record.ip, interfaces=read_interfaces(session.layout.pod(record.id).interfaces_file)
    )


def build_removal_steps(session: Session, record: PodRecord, *, wirer: Wirer) -> list[Callable[[], None]]:
    """What takes away a pod that has no member any more; each may meet nothing."""
    sandbox, layout = session.start(), session.layout.pod(record.id)
    wiring = find_wiring(session, record)
    return [
        lambda: end_forwards(sandbox, record.ports),
        lambda: _unmount(sandbox, *(layout.namespace(kind) for kind in ("net", "ipc", "uts"))),
        lambda: _unmount(sandbox, layout.shared_memory_dir),
        lambda: _unmount(sandbox, *(layout.volume(volume.name) for volume in record.volumes if volume.memory)),
        lambda: session.cgroups.remove(session.cgroups.pod(record.id)),
        lambda: remove_trees(sandbox, [layout.scratch_dir, layout.directory]),
        lambda: wirer.release(wiring, owner=record.id),
        lambda: planning.release_name(session.layout, record.name, owner=record.id),
    ]


def _unmount(sandbox: Sandbox, *targets: Path) -> None:
    for target in targets:
        # Not mounted is as good as unmounted.
        with suppress(SystemCallError):
            sandbox.unmount(target)
