"""Config maps and secrets: names → contents, for variables and files."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_pods.engine.kube.tables import IGNORED
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.kube.values import Fields, Value


@frozen
class Bags:
    """The config maps and secrets of a set of documents, by name."""

    config_maps: Mapping[str, Mapping[str, bytes]]
    secrets: Mapping[str, Mapping[str, bytes]]

    def find(self, kind: str, value: Value, *, optional: bool) -> Mapping[str, bytes] | None:
        """The one that `value` names. Raises KubeDocumentError if there is none, unless that may be."""
        known = self.secrets if kind == "Secret" else self.config_maps
        name = value.text()
        if name in known:
            return known[name]
        if optional:
            return None
        value.fail(
            f"names the {kind} {name!r}, which is not there",
            hint=f"put it into the same file; there is: {', '.join(sorted(known)) or 'none'}",
        )


def read_bag(document: Fields, kind: str) -> Mapping[str, bytes]:
    """The contents of a ConfigMap or Secret document. Raises KubeDocumentError; a secret's content is in no message."""
    found: dict[str, bytes] = {}
    plain, encoded = ("stringData", "data") if kind == "Secret" else ("data", "binaryData")
    for name, decode in ((encoded, _decode), (plain, lambda value: value.text().encode())):
        entries = document.find(name)
        if entries is None:
            continue
        for key, value in entries.mapping().items():
            if key in ("", ".", "..") or "/" in key or "\0" in key:
                value.fail(f"has the name {key!r}, which no file can have")
            if kind == "Secret" and not isinstance(value.content, str):
                value.fail("has to be a text")
            found[key] = decode(value)
    document.finish(ignored=IGNORED["bag"] | IGNORED["document"])
    return found


def _decode(value: Value) -> bytes:
    try:
        return base64.b64decode("".join(value.text().split()), validate=True)
    except (binascii.Error, ValueError):
        value.fail("is not base64")
