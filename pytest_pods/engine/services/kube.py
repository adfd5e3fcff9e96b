"""Plays Kubernetes documents: makes the claims, and brings up all pods of a file side by side."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.errors import NameInUseError, PodsError, PodsWarning
from pytest_pods.engine.kube.choosing import change_pod
from pytest_pods.engine.services.parallel import run_together
from pytest_pods.engine.specs.networks import DEFAULT_NETWORK, NetworkMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_pods.engine.kube.reading import KubeContent
    from pytest_pods.engine.pod import Pod
    from pytest_pods.engine.services.pods import PodService
    from pytest_pods.engine.specs.pods import PodSpec
    from pytest_pods.engine.specs.volumes import VolumeSpec


def play(
    content: KubeContent,
    *,
    pods: PodService,
    create_volume: Callable[[VolumeSpec], object],
    options: Mapping[str, Any],
    start: bool,
) -> list[Pod]:
    """All pods of the documents; if one does not come up, none is left. Claims that are there already are used.

    Several pods are on the default network, where they know each other, and the services in the file, by name, unless
    `options`, which are those of `build_pod_spec`, say something else. Raises PodFailedError, and what making raises.
    """
    specs = plan_pods(content, options)
    for text in content.warnings:
        warnings.warn(text, PodsWarning, stacklevel=3)
    for claim in content.claims:
        with suppress(NameInUseError):
            create_volume(claim)
    made: list[Pod] = []
    try:
        if len(specs) == 1 and start:
            return [pods.run(specs[0])]
        for spec in specs:
            made.append(pods.create(spec))
        if start and made:
            run_together([pod.start for pod in made], most=len(made), give_up=lambda: None)
    except BaseException:
        for pod in made:
            # Its faults must not take the place of what went wrong.
            with suppress(PodsError):
                pod.remove(force=True)
        raise
    return made


def plan_pods(content: KubeContent, options: Mapping[str, Any]) -> list[PodSpec]:
    """Raises InvalidSpecError."""
    several = len(content.pods) > 1 and not {"network", "networks"} & set(options)
    found = []
    for number, pod in enumerate(content.pods):
        own = {"networks": [DEFAULT_NETWORK]} if several and pod.network is NetworkMode.PRIVATE else {}
        found.append(change_pod(pod, {**own, **options}, services=content.services.get(number, ())))
    return found
