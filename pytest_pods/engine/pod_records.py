"""What is stored of a pod, and what is read back about it: plain values and their JSON form."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Any, Literal, TypeAlias

from pytest_pods.engine.errors import InvalidDocumentError
from pytest_pods.engine.records import PublishedPort
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.pods import PodFile, PodVolume
from pytest_pods.engine.specs.restart import RestartPolicy
from pytest_pods.frozen import frozen

PodStatus: TypeAlias = Literal["created", "running", "degraded", "paused", "exited"]
"""`degraded`: some members run, others have ended."""


@frozen
class PodRecord:
    """What is known of a pod when it is created. Its members are the containers whose records name it."""

    id: str
    name: str
    session_id: str
    hostname: str
    network: NetworkMode
    shares: tuple[str, ...]
    ip: str
    ports: tuple[PublishedPort, ...]
    labels: Mapping[str, str]
    exit_policy: str
    shared_memory: int
    limits: Mapping[str, float]
    created: float
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    add_hosts: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    image_resolv_conf: bool = False
    restart: RestartPolicy | None = None
    volumes: tuple[PodVolume, ...] = ()

    def to_bytes(self) -> bytes:
        volumes = [_volume_document(volume) for volume in self.volumes]
        return json.dumps({**asdict(self), "network": self.network.value, "volumes": volumes}).encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: object) -> PodRecord:
        """Reads `record.json`; raises InvalidDocumentError."""
        try:
            document = json.loads(content)
            document["network"] = NetworkMode(document["network"])
            document["shares"] = tuple(document["shares"])
            document["volumes"] = tuple(_parse_volume(one) for one in document["volumes"])
            for name in ("dns", "dns_search", "dns_options", "networks", "aliases"):
                document[name] = tuple(document[name])
            document["restart"] = RestartPolicy(**document["restart"]) if document["restart"] else None
            document["ports"] = tuple(PublishedPort(**port) for port in document["ports"])
            return cls(**document)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidDocumentError(f"the pod record {where} cannot be read: {error}") from error


def _volume_document(volume: PodVolume) -> dict[str, Any]:
    files = [
        {**asdict(file), "content": None if file.content is None else base64.b64encode(file.content).decode()}
        for file in volume.files
    ]
    return {**asdict(volume), "files": files}


def _parse_volume(document: dict[str, Any]) -> PodVolume:
    files = tuple(
        PodFile(**{**file, "content": None if file["content"] is None else base64.b64decode(file["content"])})
        for file in document["files"]
    )
    return PodVolume(**{**document, "files": files})
