"""What a JUnit file tells of a test's containers: a property for each, as `key=value` words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_pods.engine.events import ContainerEventKind
from pytest_pods.report.looks import build_labels
from pytest_pods.report.texts import show

if TYPE_CHECKING:
    from pytest_pods.report.looks import Look


def build_properties(looks: Sequence[Look], *, digests: Mapping[str, str]) -> list[tuple[str, str]]:
    """Name and value of each property; names are those that the test's report has for the containers. `digests` are
    those of images by ID."""
    labels = build_labels(looks)
    return [
        (f"container:{show(labels[look.id])}", " ".join(_build_words(look, digests.get(look.record.image_id))))
        for look in looks
    ]


def _build_words(look: Look, digest: str | None) -> list[str]:
    record, state = look.record, look.state
    words = [f"image={show(record.image)}"]
    if digest is not None:
        words.append(f"digest={digest}")
    words += [f"id={record.image_id}", f"name={record.name}"]
    words += [f"port={port.key}@{port.host_ip}:{port.host_port}" for port in record.ports]
    words += [f"ready={event.took_s:.3f}s" for event in look.events if event.kind is ContainerEventKind.READY][:1]
    if state is not None:
        words.append(f"status={state.status}")
        if state.exit_code is not None:
            words.append(f"exit_code={state.exit_code}")
        if state.oom_killed:
            words.append("out_of_memory")
        if state.restarts:
            words.append(f"restarts={state.restarts}")
    return words
