"""Names that /etc/hosts of a container or pod gets beside the usual ones."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs.values import parse_text


@dataclass(frozen=True, slots=True)
class HostEntry:
    """A name and its address; "host-gateway" is where this machine is reached."""

    name: str
    address: str


def parse_add_hosts(name: str, value: object) -> tuple[HostEntry, ...]:
    """Reads ["db.test:10.0.0.7"] or {"db.test": "10.0.0.7"}; raises InvalidSpecError."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, Iterable) and not isinstance(value, str):
        items = list(value)
        if all(isinstance(item, HostEntry) for item in items):
            return tuple(items)
        pairs = [_split(name, parse_text(name, item)) for item in items]
    else:
        raise InvalidSpecError(f"{name} has to be a list of 'NAME:ADDRESS' or a mapping, not {value!r}")
    return tuple(_build_entry(name, key, address) for key, address in pairs)


def _split(name: str, text: str) -> tuple[str, str]:
    host, separator, address = text.partition(":")
    if not separator:
        raise InvalidSpecError(f"{name} entry {text!r} is not NAME:ADDRESS")
    return host, address


def _build_entry(name: str, host: object, address: object) -> HostEntry:
    text = parse_text(name, host)
    if not text or any(character.isspace() or character == "#" for character in text):
        raise InvalidSpecError(f"{name}: {text!r} is not a host name")
    place = parse_text(name, address).strip("[]")
    if place != "host-gateway":
        try:
            ipaddress.ip_address(place)
        except ValueError:
            raise InvalidSpecError(f"{name}: {place!r} is not an IP address", hint="or write host-gateway") from None
    return HostEntry(text, place)
