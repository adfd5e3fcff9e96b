"""What is stored of a pod, and what is read back about it: plain values and their JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from pytest_pods.engine.errors import InvalidDocumentError
from pytest_pods.engine.records import PublishedPort
from pytest_pods.engine.specs.networks import NetworkMode

PodStatus: TypeAlias = Literal["created", "running", "degraded", "paused", "exited"]
"""`degraded`: some members run, others have ended."""


@dataclass(frozen=True, slots=True)
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

    def to_bytes(self) -> bytes:
        return json.dumps({**asdict(self), "network": self.network.value}).encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: object) -> PodRecord:
        """Reads `record.json`; raises InvalidDocumentError."""
        try:
            document = json.loads(content)
            document["network"] = NetworkMode(document["network"])
            document["shares"] = tuple(document["shares"])
            document["ports"] = tuple(PublishedPort(**port) for port in document["ports"])
            return cls(**document)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidDocumentError(f"the pod record {where} cannot be read: {error}") from error
