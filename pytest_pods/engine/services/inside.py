"""Reaching into a container from outside: connections, its socket table, files, terminals.

No program of the image runs for any of it.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SystemCallError
from pytest_pods.engine.network.sockets import NETLINK_SOCK_DIAG, list_listening_ports, parse_listening_ports
from pytest_pods.engine.services import container_state
from pytest_pods.engine.services.creation import read_in_sandbox
from pytest_pods.engine.services.file_access import read_file, write_file
from pytest_pods.engine.services.placement import find_interfaces, find_network_namespace, owns_network
from pytest_pods.engine.services.reaching import Place, find_kind, locate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_pods.engine.host.terminals import Terminal
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.services.lifecycle import Lifecycle
    from pytest_pods.engine.services.sessions import Session


class Inside:
    """The insides of the containers of one session."""

    def __init__(self, session: Session, lifecycle: Lifecycle) -> None:
        self._session = session
        self._lifecycle = lifecycle

    def connect(self, record: ContainerRecord, port: int, *, timeout: float | None) -> socket.socket:
        """Raises OSError as connect(2) does, of the last address tried."""
        namespace = find_network_namespace(self._session.layout, record)
        own = [record.ip] if record.ip else []
        for interface in find_interfaces(self._session.layout, record):
            own += [ip for ip in interface.ips if ip not in own]
        return self.connect_in(namespace, own, port, timeout=timeout)

    def connect_in(
        self, namespace: Path | None, ips: Sequence[str], port: int, *, timeout: float | None
    ) -> socket.socket:
        """The same for a network namespace, None for the host's; `ips` are its own addresses."""
        if namespace is None:
            return socket.create_connection(("127.0.0.1", port), timeout)
        failure: OSError | None = None
        for host in ("127.0.0.1", "::1", *ips):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            connection = self._session.start().socket(family, socket.SOCK_STREAM, network_namespace=namespace)
            try:
                connection.settimeout(timeout)
                connection.connect((host, port))
            except OSError as error:
                connection.close()
                failure = error
                continue
            return connection
        assert failure is not None
        raise failure

    def listening(self, record: ContainerRecord) -> frozenset[int]:
        """TCP ports with a listener in the container's network namespace; none if it does not run."""
        pid = container_state.find_number(self._lifecycle.layout(record).pid_file)
        if pid is None:
            return frozenset()
        sandbox = self._session.start()
        namespace = find_network_namespace(self._session.layout, record)
        try:
            if not owns_network(record):
                # What others in the namespace listen on is not its own any more once it has ended.
                os.close(sandbox.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            with self._open_diagnosis(namespace) as diagnosis:
                return list_listening_ports(diagnosis)
        except (SystemCallError, OSError):
            return self._read_listening_ports(pid)

    def _open_diagnosis(self, namespace: Path | None) -> socket.socket:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        if namespace is None:
            return socket.socket(socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG)
        return self._session.start().socket(socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG, network_namespace=namespace)

    def _read_listening_ports(self, pid: int) -> frozenset[int]:
        """Where the kernel does not answer, or the container is gone."""
        sandbox = self._session.start()
        try:
            tables = [read_in_sandbox(sandbox, f"/proc/{pid}/net/{name}").decode() for name in ("tcp", "tcp6")]
        except (SystemCallError, OSError):
            return frozenset()
        return parse_listening_ports(*tables)

    def _locate(self, record: ContainerRecord, path: str) -> Place:
        return locate(self._session, self._lifecycle, record, path)

    def read(self, record: ContainerRecord, path: str) -> bytes:
        """Raises NotFoundError, InvalidInputError for what is no regular file or is too large to be one value."""
        place = self._locate(record, path)
        return read_file(
            self._session.start(),
            place.path,
            root=place.root,
            subject=f"container {record.name}",
            cure="have a command inside reduce it first",
        )

    def exists(self, record: ContainerRecord, path: str) -> bool:
        """Whether there is anything at the path: a file, a directory, a socket."""
        return find_kind(self._session.start(), self._locate(record, path)) is not None

    def write(self, record: ContainerRecord, path: str, content: bytes, *, mode: int) -> None:
        """Raises NotFoundError if the directory does not exist."""
        subject = f"container {record.name}"
        place = self._locate(record, path)
        write_file(self._session.start(), place.path, content, mode=mode, root=place.root, subject=subject)

    def open_terminal(self, record: ContainerRecord) -> Terminal:
        """A terminal of the container's own devpts, so that it has a name there."""
        from pytest_pods.engine.host.terminals import Terminal

        flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        place = self._locate(record, "/dev/pts/ptmx")
        return Terminal(self._session.start().open(place.path, flags, root=place.root))
