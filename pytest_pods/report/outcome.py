"""What a process of the run did with containers, as plain values that xdist can carry to the controller."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from pytest_pods.frozen import frozen
from pytest_pods.report.durations import Duration


@frozen
class KeptContainer:
    """A container that outlives the run; `until` is seconds since the epoch, `pod` what it is a member of."""

    name: str
    image: str
    nodeid: str
    status: str
    session_id: str
    until: float
    pod: str = ""


@frozen
class Outcome:
    """Counts and lists for the summary. `reused` are containers and pods of earlier runs; `left` names containers
    that nobody removed before the session did; `faults` are those of the tear-down, each a text; `unused_images` are
    names of `--pods-image` that no test asked for; None where nobody could have asked; `durations` are there only
    where they were asked for."""

    containers: int = 0
    images_pulled: int = 0
    reused: int = 0
    kept: tuple[KeptContainer, ...] = ()
    left: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    unused_images: tuple[str, ...] | None = None
    durations: tuple[Duration, ...] = ()

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Outcome:
        document = json.loads(text)
        return cls(
            containers=document["containers"],
            images_pulled=document["images_pulled"],
            reused=document["reused"],
            kept=tuple(KeptContainer(**kept) for kept in document["kept"]),
            left=tuple(document["left"]),
            faults=tuple(document["faults"]),
            unused_images=None if document["unused_images"] is None else tuple(document["unused_images"]),
            durations=tuple(Duration(**duration) for duration in document["durations"]),
        )


def merge_outcomes(outcomes: Iterable[Outcome]) -> Outcome:
    """The sum, over the workers of a run."""
    all_of_them = list(outcomes)
    return Outcome(
        containers=sum(one.containers for one in all_of_them),
        images_pulled=sum(one.images_pulled for one in all_of_them),
        reused=sum(one.reused for one in all_of_them),
        kept=tuple(kept for one in all_of_them for kept in one.kept),
        left=tuple(name for one in all_of_them for name in one.left),
        faults=tuple(fault for one in all_of_them for fault in one.faults),
        unused_images=_find_unused(one.unused_images for one in all_of_them if one.unused_images is not None),
        durations=tuple(duration for one in all_of_them for duration in one.durations),
    )


def _find_unused(unused: Iterable[tuple[str, ...]]) -> tuple[str, ...] | None:
    """What nobody has asked for."""
    said = list(unused)
    return tuple(name for name in said[0] if all(name in one for one in said)) if said else None
