"""From `kube="shop.yaml"` beside a pod's other arguments to one pod's specification."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.kube.reading import KubeContent, read_kube
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.pods import POD_OPTIONS, PodSpec, add_members, build_pod_spec
from pytest_pods.engine.specs.values import did_you_mean

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "network": ("network", "networks"),
    "networks": ("network", "networks"),
    "volumes": ("mounts",),
    "tmpfs": ("mounts",),
}


def build_pod_spec_from(options: Mapping[str, Any], *, directory: Path) -> tuple[PodSpec, tuple[str, ...]]:
    """What the arguments of a pod ask for, and what of it has no effect.

    With `kube` the members are those of a file, relative to `directory`; `kube_pod` names one of several pods in it,
    and the other options of a pod take the place of what the file says. Raises InvalidSpecError, KubeDocumentError.
    """
    options = dict(options)
    if "kube" not in options:
        return build_pod_spec(**options), ()
    path, name = options.pop("kube"), options.pop("kube_pod", None)
    if not isinstance(path, str | os.PathLike):
        raise InvalidSpecError(f"kube has to be the path of a file, not {path!r}")
    for option in options:
        if option not in POD_OPTIONS - {"containers"}:
            raise InvalidSpecError(
                f"{option!r} beside kube: the members of the pod are those of the file",
                hint=did_you_mean(option, POD_OPTIONS - {"containers"}),
            )
    content = read_kube(directory / path)
    pod, services = _choose(content, name, str(path))
    return change_pod(pod, options, services=services), content.warnings


def change_pod(pod: PodSpec, options: Mapping[str, Any], *, services: Sequence[str] = ()) -> PodSpec:
    """The pod with options of `build_pod_spec` in the place of what it says itself. On a network with names the
    services that select it are names of it. Raises InvalidSpecError."""
    given = build_pod_spec(**options)
    names = {field for option in options for field in _FIELDS.get(option, (option,))}
    changed = replace(pod, members=(), **{name: getattr(given, name) for name in names})
    if services and changed.network is NetworkMode.NAMED:
        changed = replace(changed, aliases=(*changed.aliases, *services))
    return add_members(changed, pod.members)


def _choose(content: KubeContent, name: object, path: str) -> tuple[PodSpec, Sequence[str]]:
    found = [
        (pod, content.services.get(number, ()))
        for number, pod in enumerate(content.pods)
        if name is None or pod.name == name
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(str(pod.name) for pod in content.pods) or "none"
    if name is not None:
        raise InvalidSpecError(f"{path} has no pod {name!r}", hint=f"it has: {known}")
    if not found:
        raise InvalidSpecError(f"{path} has no pod", hint="it needs a document of kind Pod or Deployment")
    raise InvalidSpecError(f"{path} has {len(found)} pods: {known}", hint="say which one with kube_pod=")
