"""Volumes as rows for people and as documents for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pytest_pods.cli.formats import format_age, format_labels, format_moment
from pytest_pods.cli.options import UsageError
from pytest_pods.engine.errors import SandboxLostError, VolumeNotFoundError

if TYPE_CHECKING:
    from pytest_pods.cli.context import Context

_KEYS = ("name", "label", "dangling")


def read_volumes(context: Context) -> list[dict[str, Any]]:
    """The documents of all volumes; `Session` is that of a kept one. What goes away meanwhile is passed over."""
    found = []
    for session, volume in context.find_volumes():
        try:
            found.append({**volume.inspect(), "Session": session})
        except (VolumeNotFoundError, SandboxLostError):
            continue
    return found


def parse_filters(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Raises UsageError."""
    filters = []
    for text in texts:
        key, separator, value = text.partition("=")
        if key not in _KEYS or not separator or (key == "dangling" and value not in ("true", "false")):
            raise UsageError(f"--filter {text!r} is not known", hint="name=…, label=KEY[=VALUE], dangling=true|false")
        filters.append((key, value))
    return filters


def matches(document: Mapping[str, Any], filters: Sequence[tuple[str, str]]) -> bool:
    """Of several values of one key one has to fit, and each key has to."""
    return all(
        any(_fits(document, key, value) for key, value in filters if key == wanted) for wanted, _ in filters
    )


def _fits(document: Mapping[str, Any], key: str, value: str) -> bool:
    if key == "name":
        return value in document["Name"]
    if key == "dangling":
        return (value == "true") == (_count(document) == 0)
    name, separator, text = value.partition("=")
    return name in document["Labels"] and (not separator or document["Labels"][name] == text)


def _count(document: Mapping[str, Any]) -> int:
    return int(document["UsageData"]["RefCount"])


def build_row(document: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """What a table or a template shows, in Docker's names."""
    created = datetime.fromisoformat(document["CreatedAt"])
    return {
        "Name": document["Name"],
        "Driver": document["Driver"],
        "Mountpoint": document["Mountpoint"],
        "Scope": document["Scope"],
        "Labels": format_labels(document["Labels"]),
        "Links": str(_count(document)),
        "Size": "N/A",
        "Anonymous": str(document["Anonymous"]).lower(),
        "CreatedAt": format_moment(created),
        "CreatedSince": format_age(created, now) or "",
        "Session": document["Session"],
    }
