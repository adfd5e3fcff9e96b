"""Containers of a session as their records tell of them; what is half made or gone is passed over."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidDocumentError
from pytest_pods.engine.records import ContainerRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.engine.state.layout import SessionLayout


def find_container_record(layout: SessionLayout, container_id: str) -> ContainerRecord | None:
    """None if the container is half made or gone."""
    path = layout.container(container_id).record_file
    try:
        return ContainerRecord.from_bytes(path.read_bytes(), where=path)
    except (FileNotFoundError, InvalidDocumentError):
        return None


def iterate_container_records(layout: SessionLayout) -> Iterator[ContainerRecord]:
    """All of the session, in no order; also those that only hold a pod's PID namespace."""
    with suppress(FileNotFoundError):
        for name in os.listdir(layout.containers_dir):
            record = find_container_record(layout, name)
            if record is not None:
                yield record


def list_members(layout: SessionLayout, pod_id: str) -> list[ContainerRecord]:
    """The members of a pod, in the order in which they were named; without what only holds its PID namespace."""
    found = [
        (record.membership.position, record)
        for record in iterate_container_records(layout)
        if record.membership is not None and record.membership.pod_id == pod_id and not record.membership.infra
    ]
    return [record for _, record in sorted(found, key=lambda pair: pair[0])]
