"""Networks and how a container is on them."""

from __future__ import annotations

import enum

from pytest_pods.engine.errors import InvalidSpecError


class NetworkMode(enum.Enum):
    """`PRIVATE`: own namespace with loopback and a way out; `NONE`: loopback only; `HOST`: the host's."""

    PRIVATE = "private"
    NONE = "none"
    HOST = "host"


def parse_network(name: str, value: object) -> NetworkMode:
    if isinstance(value, NetworkMode):
        return value
    try:
        return NetworkMode(value)
    except ValueError:
        raise InvalidSpecError(f"unknown network {value!r}", hint="it is 'private', 'none' or 'host'") from None
