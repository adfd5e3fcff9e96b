"""Identifiers and generated names."""

from __future__ import annotations

import os
import re

from pytest_pods.engine.errors import InvalidNameError

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}\Z")


def new_container_id() -> str:
    """64 random lower-case hexadecimal digits, as Docker's and Podman's container IDs."""
    return os.urandom(32).hex()


def new_session_id() -> str:
    """12 random lower-case hexadecimal digits."""
    return os.urandom(6).hex()


def parse_name(text: str) -> str:
    """Returns `text` if it is a valid name of a container, pod, network or volume; raises InvalidNameError."""
    if not _NAME.match(text):
        raise InvalidNameError(
            f"invalid name {text!r}",
            hint="a name has 1 to 128 letters, digits, '_', '.' and '-', and starts with a letter or digit",
        )
    return text


_FIRST = (
    "brisk calm clever eager fair gentle keen lively merry neat plain quick quiet ready solid swift tidy warm"
).split()
_SECOND = (
    "badger beaver crane dolphin falcon finch heron lynx marten orca otter owl puffin raven seal stork tern wren"
).split()


def new_container_name() -> str:
    """A name that reads well, with enough randomness not to collide within a session."""
    a, b, *rest = os.urandom(4)
    return f"{_FIRST[a % len(_FIRST)]}_{_SECOND[b % len(_SECOND)]}_{bytes(rest).hex()}"


def is_generated_name(name: str) -> bool:
    """Whether it is one that `new_container_name` makes: nobody has chosen it."""
    first, _, rest = name.partition("_")
    second, _, end = rest.partition("_")
    return first in _FIRST and second in _SECOND and len(end) == 4
