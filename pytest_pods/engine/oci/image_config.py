"""The image config: how a container of an image is to be run, and its layers' diff IDs.

Docker's config document has the same shape; what only Docker has is read where the engine uses it (health check).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_pods.engine.errors import InvalidDocumentError
from pytest_pods.engine.oci.descriptor import Platform
from pytest_pods.engine.oci.digest import Digest, chain_ids

_MOST_LAYERS = 500


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """`diff_ids` are lowest first; `env` is in the image's order; `exposed_ports` such as `6379/tcp`."""

    platform: Platform
    diff_ids: tuple[Digest, ...]
    user: str = ""
    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    workdir: str = ""
    stop_signal: str | None = None
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    created: str | None = None

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str) -> ImageConfig:
        """Reads the config's JSON; `where` names the image in messages. Raises InvalidDocumentError."""
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InvalidDocumentError(f"the image config of {where} is not JSON: {error}") from error
        read = _Reader(where)
        top = read.mapping(document, "the document")
        config = read.mapping(top.get("config") or {}, "config")
        rootfs = read.mapping(top.get("rootfs"), "rootfs")
        diff_ids = tuple(Digest.parse(text) for text in read.texts(rootfs.get("diff_ids"), "rootfs.diff_ids"))
        if len(diff_ids) > _MOST_LAYERS:
            raise InvalidDocumentError(
                f"the image config of {where} has {len(diff_ids)} layers; {_MOST_LAYERS} are the most"
            )
        return cls(
            platform=Platform(
                read.text(top.get("os") or "linux", "os"),
                read.text(top.get("architecture") or "", "architecture"),
                read.text(top.get("variant") or "", "variant") or None,
            ),
            diff_ids=diff_ids,
            user=read.text(config.get("User") or "", "config.User"),
            env=tuple(read.pair(text) for text in read.texts(config.get("Env"), "config.Env")),
            entrypoint=tuple(read.command(config.get("Entrypoint"), "config.Entrypoint")),
            command=tuple(read.command(config.get("Cmd"), "config.Cmd")),
            workdir=read.text(config.get("WorkingDir") or "", "config.WorkingDir"),
            stop_signal=read.text(config.get("StopSignal") or "", "config.StopSignal") or None,
            exposed_ports=tuple(sorted(read.mapping(config.get("ExposedPorts") or {}, "config.ExposedPorts"))),
            volumes=tuple(sorted(read.mapping(config.get("Volumes") or {}, "config.Volumes"))),
            labels={k: str(v) for k, v in read.mapping(config.get("Labels") or {}, "config.Labels").items()},
            created=read.text(top.get("created") or "", "created") or None,
        )

    @property
    def chain_ids(self) -> tuple[Digest, ...]:
        """The chain ID of each layer, lowest first."""
        return chain_ids(self.diff_ids)


class _Reader:
    """Takes values out of a document and names the place when they have the wrong shape."""

    def __init__(self, where: str) -> None:
        self._where = where

    def _wrong(self, place: str, wanted: str) -> InvalidDocumentError:
        return InvalidDocumentError(f"the image config of {self._where}: {place} is not {wanted}")

    def mapping(self, value: object, place: str) -> Mapping[str, object]:
        if not isinstance(value, Mapping):
            raise self._wrong(place, "an object")
        return value

    def text(self, value: object, place: str) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise self._wrong(place, "a text")
        return value

    def texts(self, value: object, place: str) -> list[str]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(place, "a list of texts")
        return [self.text(item, place) for item in value]

    def command(self, value: object, place: str) -> list[str]:
        # Docker once stored a shell form as one text.
        return ["/bin/sh", "-c", value] if isinstance(value, str) and value else self.texts(value or None, place)

    def pair(self, text: str) -> tuple[str, str]:
        name, _, value = text.partition("=")
        return name, value
