"""The image config: how a container of an image is to be run, and its layers' diff IDs.

Docker's config document has the same shape; what only Docker has is read where the engine uses it (`Healthcheck`, and
`Shell` for it).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field

from pytest_pods.engine.errors import InvalidDocumentError
from pytest_pods.engine.oci.descriptor import Platform
from pytest_pods.engine.oci.digest import Digest, chain_ids
from pytest_pods.frozen import frozen

_MOST_LAYERS = 500
_MOST_NANOSECONDS = (1 << 63) - 1
_MOST_RETRIES = (1 << 31) - 1


@frozen
class ImageHealth:
    """The image's health check: `test` as it stands there, `command` as it is executed. Times are seconds; None where
    the image leaves it to the engine."""

    test: tuple[str, ...]
    command: tuple[str, ...]
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    start_interval: float | None = None
    retries: int | None = None


@frozen
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
    health: ImageHealth | None = None

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
            health=_read_health(read, config),
        )

    @property
    def chain_ids(self) -> tuple[Digest, ...]:
        """The chain ID of each layer, lowest first."""
        return chain_ids(self.diff_ids)


def _read_health(read: _Reader, config: Mapping[str, object]) -> ImageHealth | None:
    place = "config.Healthcheck"
    check = read.mapping(config.get("Healthcheck") or {}, place)
    test = tuple(read.texts(check.get("Test"), f"{place}.Test"))
    kind = test[0] if test else "NONE"
    if kind in ("NONE", ""):
        return None
    if kind == "CMD-SHELL":
        shell = read.texts(config.get("Shell"), "config.Shell") or ["/bin/sh", "-c"]
        command = (*shell, *test[1:])
    else:
        # Podman's reading of a test that does not say what it is: a command.
        command = test[1:] if kind == "CMD" else test
    if not command or not command[0] or (kind == "CMD-SHELL" and len(test) < 2):
        raise InvalidDocumentError(f"{read.subject}: {place}.Test has no command")
    times = {
        name: read.seconds(check.get(key), f"{place}.{key}")
        for name, key in (
            ("interval", "Interval"),
            ("timeout", "Timeout"),
            ("start_period", "StartPeriod"),
            ("start_interval", "StartInterval"),
        )
    }
    retries = read.number(check.get("Retries"), f"{place}.Retries", most=_MOST_RETRIES)
    return ImageHealth(test, command, retries=retries, **times)


class _Reader:
    """Takes values out of a document and names the place when they have the wrong shape."""

    def __init__(self, where: str) -> None:
        self._where = where

    @property
    def subject(self) -> str:
        return f"the image config of {self._where}"

    def _wrong(self, place: str, wanted: str) -> InvalidDocumentError:
        return InvalidDocumentError(f"{self.subject}: {place} is not {wanted}")

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

    def number(self, value: object, place: str, *, most: int) -> int | None:
        # As everywhere in these documents, zero is what was not said.
        if value is None or (value == 0 and not isinstance(value, bool)):
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
            raise self._wrong(place, f"a whole number from 0 to {most}")
        return value

    def seconds(self, value: object, place: str) -> float | None:
        """Of nanoseconds."""
        number = self.number(value, place, most=_MOST_NANOSECONDS)
        return None if number is None else number / 1e9

    def pair(self, text: str) -> tuple[str, str]:
        name, _, value = text.partition("=")
        return name, value
