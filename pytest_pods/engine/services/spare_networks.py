"""Networks that nobody is on any more, and that stay set up for the next one that is asked for.

netavark takes some 80 ms to set a bridge up and 100 to 250 to take it down; a suite in which every test has a network
of its own would spend most of its time on that. A spare one has no containers, no names and no leases left; what makes
it a network of its own, the bridge and its rules, is the same for all that were asked for alike.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pods.engine.network_records import NetworkRecord
from pytest_pods.engine.state.atomic import find_bytes, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_pods.engine.services.sessions import Session
    from pytest_pods.engine.specs.networks import NetworkSpec, SubnetSpec
    from pytest_pods.engine.state.layout import NetworkLayout

_MOST = 4


class SpareNetworks:
    """The spare networks of one session. Several processes may work in it: who unlinks a spare's file has it."""

    def __init__(self, session: Session, *, take_down: Callable[[NetworkRecord, NetworkLayout], None]) -> None:
        self._session = session
        self._take_down = take_down

    def keep(self, record: NetworkRecord, layout: NetworkLayout) -> bool:
        """Makes a spare one of a network that nobody is on; whether it is one now."""
        if not record.pluggable or not layout.up_file.exists() or len([*self._find()]) >= _MOST:
            return False
        layout.names_file.unlink(missing_ok=True)
        layout.last_lease_file.unlink(missing_ok=True)
        shutil.rmtree(layout.leases_dir, ignore_errors=True)
        write_atomically(layout.spare_file, record.to_bytes())
        return True

    def adopt(self, spec: NetworkSpec) -> NetworkRecord | None:
        """A network for `spec` that is set up already. One whose addresses are wanted otherwise is taken down."""
        for record, layout in self._find():
            fits = _fits(record, spec)
            if (fits or _is_in_the_way(record, spec)) and _claim(layout):
                if not fits:
                    self._take_down(record, layout)
                    continue
                new = replace(record, spec=replace(spec, subnets=_choose_subnets(record, spec)), created=time.time())
                write_atomically(layout.record_file, new.to_bytes())
                return new
        return None

    def _find(self) -> Iterator[tuple[NetworkRecord, NetworkLayout]]:
        try:
            names = sorted(os.listdir(self._session.layout.live_networks_dir))
        except FileNotFoundError:
            return
        for name in names:
            layout = self._session.layout.network(name)
            content = find_bytes(layout.spare_file)
            if content is not None:
                yield NetworkRecord.from_bytes(content, where=layout.spare_file), layout


def _claim(layout: NetworkLayout) -> bool:
    with suppress(FileNotFoundError):
        layout.spare_file.unlink()
        return True
    return False


def _fits(record: NetworkRecord, spec: NetworkSpec) -> bool:
    """Whether netavark would set both up alike."""
    one, other = record.spec, spec
    alike = all(
        getattr(one, name) == getattr(other, name) for name in ("driver", "internal", "isolate", "mtu", "vlan")
    )
    if not alike:
        return False
    if spec.subnets:
        asked = [(one.subnet, one.gateway or str(one.network[1])) for one in spec.subnets]
        given = [(one.subnet, one.gateway) for one in record.spec.subnets]
        return asked == given
    return len(record.nets) == (2 if spec.ipv6 else 1) and any(net.version == 6 for net in record.nets) == spec.ipv6


def _choose_subnets(record: NetworkRecord, spec: NetworkSpec) -> tuple[SubnetSpec, ...]:
    if not spec.subnets:
        return tuple(replace(subnet, ip_range=None) for subnet in record.spec.subnets)
    return tuple(replace(subnet, gateway=subnet.gateway or str(subnet.network[1])) for subnet in spec.subnets)


def _is_in_the_way(record: NetworkRecord, spec: NetworkSpec) -> bool:
    return any(
        asked.network.version == net.version and asked.network.overlaps(net)
        for asked in spec.subnets
        for net in record.nets
    )
