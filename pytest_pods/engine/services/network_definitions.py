"""Which networks there are: documents in the session's directory, or in the store for the command line.

A network of the command line stays when its session ends, as Podman's do; how it lives in a session is made anew.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import NameInUseError, NetworkNotFoundError
from pytest_pods.engine.ids import new_container_id
from pytest_pods.engine.network.subnets import complete_subnets, parse_routes
from pytest_pods.engine.network.uplink import SUBNET, SUBNET_6
from pytest_pods.engine.network_records import NetworkRecord
from pytest_pods.engine.specs.networks import DEFAULT_NETWORK, NetworkSpec
from pytest_pods.engine.state.atomic import find_bytes, write_atomically
from pytest_pods.engine.state.locks import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pytest_pods.engine.specs.networks import IPNetwork

_SUFFIX = ".json"
_ROUTES = "/proc/net/route"


class NetworkDefinitions:
    """The networks of one session, or of the command line, in one directory. Several processes may work in it."""

    def __init__(
        self,
        directory: Path,
        *,
        live: Callable[[], Iterable[NetworkRecord]] = tuple,
        adopt: Callable[[NetworkSpec], NetworkRecord | None] = lambda _spec: None,
    ) -> None:
        """`live` tells which networks are set up in the session; one that was removed may still be. `adopt` may have,
        for a new one, one that is set up already."""
        self._directory = directory
        self._live = live
        self._adopt = adopt

    def create(self, spec: NetworkSpec) -> NetworkRecord:
        """Chooses what was not asked for and writes it down. Raises NameInUseError, SubnetInUseError."""
        # Its parent belongs to a session, perhaps one that has just ended: that must not come back.
        self._directory.mkdir(mode=0o700, exist_ok=True)
        with brief(self._directory / ".lock"):
            if find_bytes(self._path(spec.name)) is not None:
                raise NameInUseError(
                    f"the name {spec.name} is in use by another network", hint="remove that one, or take another name"
                )
            return self._write(spec)

    def _write(self, spec: NetworkSpec) -> NetworkRecord:
        if (adopted := self._adopt(spec)) is not None:
            write_atomically(self._path(spec.name), adopted.to_bytes())
            return adopted
        # Interfaces of the host have the subnets that they have; only bridges share the session's addresses.
        taken = self._find_taken() if spec.driver == "bridge" else []
        network_id = new_container_id()
        record = NetworkRecord(
            id=network_id,
            spec=replace(spec, subnets=complete_subnets(spec, taken=taken)),
            bridge=f"pods{network_id[:10]}",
            created=time.time(),
        )
        write_atomically(self._path(spec.name), record.to_bytes())
        return record

    def _find_taken(self) -> list[tuple[IPNetwork, str]]:
        taken: list[tuple[IPNetwork, str]] = [(net, "the session's way out") for net in (SUBNET, SUBNET_6)]
        known = {record.id: record for record in (*self._live(), *self.list())}
        for record in known.values():
            if record.driver == "bridge":
                taken += [(net, f"network {record.name}") for net in record.nets]
        with suppress(OSError), open(_ROUTES, encoding="ascii") as file:
            taken += [(net, "the host") for net in parse_routes(file.read())]
        return taken

    def get(self, name: str) -> NetworkRecord:
        """By name, ID or the ID's beginning; the default network is made if it is not there. Raises
        NetworkNotFoundError."""
        record = self.find(name)
        if record is not None:
            return record
        if name == DEFAULT_NETWORK:
            with suppress(NameInUseError):
                return self.create(NetworkSpec(DEFAULT_NETWORK))
            return self.get(name)
        near = [one for one in self.list() if len(name) >= 2 and one.id.startswith(name)]
        if len(near) == 1:
            return near[0]
        known = ", ".join(one.name for one in self.list()) or "none"
        raise NetworkNotFoundError(
            f"no network {name!r} (there are: {known})",
            hint="make it first: make_network() in a test, pytest-pods network create on the command line",
        )

    def find(self, name: str) -> NetworkRecord | None:
        """By its name."""
        if "/" in name or name.startswith("."):
            return None
        content = find_bytes(self._path(name))
        return None if content is None else NetworkRecord.from_bytes(content, where=self._path(name))

    def list(self) -> list[NetworkRecord]:
        """All of them, oldest first."""
        try:
            names = [name.removesuffix(_SUFFIX) for name in os.listdir(self._directory) if name.endswith(_SUFFIX)]
        except FileNotFoundError:
            return []
        found = [record for name in names if not name.startswith(".") and (record := self.find(name)) is not None]
        return sorted(found, key=lambda record: record.created)

    def remove(self, record: NetworkRecord) -> None:
        """Fine if somebody was faster, also if another network has the name by now."""
        with suppress(FileNotFoundError), brief(self._directory / ".lock"):
            found = self.find(record.name)
            if found is not None and found.id == record.id:
                self._path(record.name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{_SUFFIX}"
