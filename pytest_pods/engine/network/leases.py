"""Addresses of a network's containers: a file each, so that processes that work in one session never share one."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import AddressInUseError, NetworkError
from pytest_pods.engine.network.subnets import assign_static, choose_address
from pytest_pods.engine.state.atomic import find_bytes, write_atomically
from pytest_pods.engine.state.locks import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_pods.engine.network_records import NetworkRecord
    from pytest_pods.engine.state.layout import NetworkLayout


def take_leases(
    record: NetworkRecord,
    layout: NetworkLayout,
    *,
    owner: str,
    asked: Iterable[str],
    is_there: Callable[[str], bool],
) -> tuple[str, ...]:
    """An address of each subnet, with its prefix length: those asked for, else free ones.

    `is_there` tells whether an owner still exists: what a killed process left is free. Raises InvalidSpecError,
    AddressInUseError, NetworkError if no address is left.
    """
    static = assign_static(record, asked)
    with brief(layout.lock_file):
        chosen = _choose(record, layout, static, is_there)
        for address in chosen:
            (layout.leases_dir / address).write_text(owner)
        automatic = [address for place, address in enumerate(chosen) if place not in static]
        if automatic:
            write_atomically(layout.last_lease_file, "\n".join(automatic).encode())
    return tuple(
        f"{address}/{net.prefixlen}" for address, net in zip(chosen, record.nets, strict=True)
    )


def _choose(
    record: NetworkRecord, layout: NetworkLayout, static: dict[int, str], is_there: Callable[[str], bool]
) -> list[str]:
    taken = set(os.listdir(layout.leases_dir))
    last = (find_bytes(layout.last_lease_file) or b"").decode().split()
    chosen = []
    for place, subnet in enumerate(record.spec.subnets):
        address = static.get(place)
        if address is not None:
            holder = find_holder(layout, address)
            if address in taken and holder is not None and is_there(holder):
                raise AddressInUseError(
                    f"address {address} of network {record.name} is in use by {holder[:12]}",
                    hint="remove that one, or leave the address out to get a free one",
                )
        else:
            before = next((text for text in last if (":" in text) == (subnet.network.version == 6)), None)
            found = choose_address(subnet, taken=taken, last=before)
            if found is None:
                taken = {one for one in taken if _is_held(layout, one, is_there)}
                found = choose_address(subnet, taken=taken, last=None)
            if found is None:
                raise NetworkError(
                    f"network {record.name}: no address of {subnet.ip_range or subnet.subnet} is left",
                    hint="remove containers that are not needed, or make a network with a wider subnet",
                )
            address = str(found)
        chosen.append(address)
    return chosen


def _is_held(layout: NetworkLayout, address: str, is_there: Callable[[str], bool]) -> bool:
    holder = find_holder(layout, address)
    return holder is not None and is_there(holder)


def find_holder(layout: NetworkLayout, address: str) -> str | None:
    """The ID of who has an address."""
    return (find_bytes(layout.leases_dir / address) or b"").decode() or None


def release_leases(layout: NetworkLayout, addresses: Iterable[str], *, owner: str) -> None:
    """Gives addresses back; those that somebody else has by now stay his."""
    if not layout.leases_dir.exists():
        return
    # The network may go meanwhile, and all its leases with it.
    with suppress(FileNotFoundError), brief(layout.lock_file):
        for address in addresses:
            if find_holder(layout, address) == owner:
                (layout.leases_dir / address).unlink(missing_ok=True)


def list_holders(layout: NetworkLayout) -> frozenset[str]:
    """IDs of everybody who has an address."""
    try:
        addresses = os.listdir(layout.leases_dir)
    except FileNotFoundError:
        return frozenset()
    return frozenset(holder for address in addresses if (holder := find_holder(layout, address)) is not None)
