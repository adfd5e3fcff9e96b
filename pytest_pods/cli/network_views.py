"""Networks as rows for people and as documents for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pytest_pods.cli.formats import format_age, format_labels, format_moment
from pytest_pods.cli.options import UsageError

if TYPE_CHECKING:
    from pytest_pods.cli.context import Context

_KEYS = ("name", "id", "driver", "label", "internal", "dangling")
_SWITCHES = ("internal", "dangling")


def read_networks(context: Context) -> list[dict[str, Any]]:
    """The documents of all networks; `session` is that of a kept one."""
    return [{**network.inspect(), "session": session} for session, network in context.find_networks()]


def parse_network_filters(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Raises UsageError."""
    filters = []
    for text in texts:
        key, separator, value = text.partition("=")
        if key not in _KEYS or not separator or (key in _SWITCHES and value not in ("true", "false")):
            raise UsageError(
                f"--filter {text!r} is not known",
                hint="name=…, id=…, driver=…, label=KEY[=VALUE], internal=true|false, dangling=true|false",
            )
        filters.append((key, value))
    return filters


def matches(document: Mapping[str, Any], filters: Sequence[tuple[str, str]]) -> bool:
    """Of several values of one key one has to fit, and each key has to."""
    return all(
        any(_fits(document, key, value) for key, value in filters if key == wanted) for wanted, _ in filters
    )


def _fits(document: Mapping[str, Any], key: str, value: str) -> bool:
    if key == "label":
        name, separator, text = value.partition("=")
        labels = document["labels"]
        return name in labels and (not separator or labels[name] == text)
    if key == "internal":
        return document["internal"] is (value == "true")
    if key == "dangling":
        return (not document["containers"]) is (value == "true")
    if key == "id":
        return bool(document["id"].startswith(value))
    return value in document["name"] if key == "name" else document["driver"] == value


def build_network_row(document: Mapping[str, Any], now: datetime, *, truncate: bool) -> dict[str, str]:
    """What a table or a template shows."""
    created = datetime.fromisoformat(document["created"])
    return {
        "ID": document["id"][:12] if truncate else document["id"],
        "Name": document["name"],
        "Driver": document["driver"],
        "Subnets": ",".join(subnet["subnet"] for subnet in document["subnets"]),
        "Internal": "true" if document["internal"] else "false",
        "IPv6": "true" if document["ipv6_enabled"] else "false",
        "Labels": format_labels(document["labels"]),
        "Containers": str(len(document["containers"])),
        "CreatedAt": format_moment(created),
        "CreatedSince": format_age(created, now),
        "Session": document["session"],
    }
