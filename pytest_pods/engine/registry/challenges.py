"""The WWW-Authenticate header: which authentication a registry asks for. A stranger's text, read strictly."""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST = 8192
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*({_TOKEN})(?=\s|,|\Z)\s*")
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*')


@frozen
class Challenge:
    """One way that is offered; scheme and the parameters' names are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@frozen
class BearerChallenge:
    """Where tokens are to be had."""

    realm: str
    service: str | None
    scopes: tuple[str, ...]


def parse_challenges(header: str | None) -> tuple[Challenge, ...]:
    """The challenges of a header, as far as it can be read; nothing for what is malformed or too long."""
    if not header or len(header) > _LONGEST:
        return ()
    return tuple(_scan(header))


def find_bearer(challenges: tuple[Challenge, ...]) -> BearerChallenge | None:
    """The first bearer challenge that names a realm."""
    for challenge in challenges:
        if challenge.scheme == "bearer" and (realm := challenge.parameters.get("realm")):
            scopes = tuple(challenge.parameters.get("scope", "").split())
            return BearerChallenge(realm, challenge.parameters.get("service"), scopes)
    return None


def _scan(header: str) -> Iterator[Challenge]:
    place = 0
    while place < len(header):
        # A parameter without a scheme before it belongs to nobody.
        if not (scheme := _SCHEME.match(header, place)):
            return
        place = scheme.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, place):
            name, quoted, plain = parameter.groups()
            parameters.setdefault(name.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
            place = parameter.end()
            if not header.startswith(",", place):
                break
            place += 1
        yield Challenge(scheme.group(1).lower(), parameters)
        place += len(header[place:]) - len(header[place:].lstrip(" \t,"))
