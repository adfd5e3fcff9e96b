"""How single arguments are read: each takes the argument's name and its value, and raises InvalidSpecError."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeAlias

from pytest_pods.engine import ids
from pytest_pods.engine.errors import InvalidSpecError

Command: TypeAlias = Sequence[str] | str


def did_you_mean(word: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else "it takes: " + ", ".join(sorted(known))


def parse_command(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise InvalidSpecError(f"{name} {value!r} cannot be split as a shell does: {error}") from error
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        for item in value:
            refuse_nul(name, item)
        return tuple(value)
    raise InvalidSpecError(f"{name} has to be a list of texts or one text, not {value!r}")


def parse_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidSpecError(f"{name} has to be a text, not {value!r}")
    return refuse_nul(name, value)


def refuse_nul(name: str, value: str) -> str:
    if "\0" in value:
        raise InvalidSpecError(f"{name} must not contain a NUL byte: {value!r}")
    return value


def parse_name(name: str, value: object) -> str:
    return ids.parse_name(parse_text(name, value))


_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?\Z")


def parse_hostname(name: str, value: object) -> str:
    text = parse_text(name, value)
    if not _HOSTNAME.match(text):
        raise InvalidSpecError(f"invalid hostname {text!r}", hint="letters, digits, '-' and '.', 64 characters at most")
    return text


def parse_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidSpecError(f"{name} has to be True or False, not {value!r}")
    return value


def parse_seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e7:
        raise InvalidSpecError(f"{name} has to be a number of seconds from 0, not {value!r}")
    return float(value)


def parse_absolute(name: str, value: object) -> str:
    text = parse_text(name, value)
    if not PurePosixPath(text).is_absolute():
        raise InvalidSpecError(f"{name} has to be an absolute path in the container, not {text!r}")
    return text


def parse_patterns(name: str, value: object) -> tuple[str, ...]:
    """Absolute paths in a container, which may have `*` and the like in them; one, or a list."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, Sequence):
        raise InvalidSpecError(f"{name} has to be a list of paths such as ['/var/log/app'], not {value!r}")
    return tuple(parse_absolute(name, item) for item in items)


def parse_environment(name: str, value: object) -> Mapping[str, str]:
    if isinstance(value, Mapping):
        pairs = [(key, item) for key, item in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        pairs = []
        for item in value:
            key, separator, text = parse_text(name, item).partition("=")
            if not separator:
                raise InvalidSpecError(f"{name} entry {item!r} is not NAME=VALUE")
            pairs.append((key, text))
    else:
        raise InvalidSpecError(f"{name} has to be a mapping or a list of NAME=VALUE, not {value!r}")
    for key, item in pairs:
        if not isinstance(key, str) or not key or "=" in key or "\0" in key:
            raise InvalidSpecError(f"invalid name {key!r} in {name}")
        if not isinstance(item, str):
            raise InvalidSpecError(f"{name} {key!r} has to be a text, not {item!r}", hint=f"write {str(item)!r}")
        refuse_nul(f"{name} {key!r}", item)
    return dict(pairs)


def parse_size(text: str) -> int:
    """Bytes of "64m", "1g", "512k" or "4096"; raises InvalidSpecError."""
    match = re.fullmatch(r"(\d+)([bkmgt]?)b?", text.lower())
    if not match:
        raise InvalidSpecError(f"invalid size {text!r}", hint="write a number of bytes, or with k, m or g behind it")
    exponent: int = "bkmgt".index(match[2] or "b")
    return int(match[1]) * int(1024**exponent)


def parse_capabilities(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise InvalidSpecError(f"{name} has to be a list of capability names, not {value!r}")
    names = []
    for item in value:
        text = item.upper()
        names.append(text if text == "ALL" or text.startswith("CAP_") else f"CAP_{text}")
    return tuple(names)


def parse_signal(value: object) -> signal.Signals:
    """Reads "TERM", "SIGTERM", "15" or 15; raises InvalidSpecError."""
    text = str(value).upper()
    try:
        if text.isdigit():
            return signal.Signals(int(text))
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"]
    except (KeyError, ValueError):
        raise InvalidSpecError(f"unknown signal {value!r}", hint="write a name such as TERM, or a number") from None


def parse_signal_name(name: str, value: object) -> str:
    return parse_signal(value).name
