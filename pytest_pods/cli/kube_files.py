"""What the verbs of `kube` have in common."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.cli.container_options import DEFAULT_STOP_TIMEOUT_S
from pytest_pods.cli.output import print_line, print_warning
from pytest_pods.engine.errors import ContainerNotFoundError, PodNotFoundError, VolumeNotFoundError
from pytest_pods.engine.kube.reading import KubeContent, parse_kube, read_file
from pytest_pods.engine.kube.writing import build_kube_document, list_unwritten
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.pods import MemberSpec, PodSpec

if TYPE_CHECKING:
    from pytest_pods.cli.context import Context


def read_content(path: str, more: list[str]) -> KubeContent:
    """Raises KubeDocumentError."""
    first = (sys.stdin.buffer.read(), "stdin") if path == "-" else (read_file(path), path)
    return parse_kube(first, *((read_file(one), one) for one in more), grace=DEFAULT_STOP_TIMEOUT_S)


def remove_pods(context: Context, content: KubeContent, *, claims: bool = False, quiet: bool = False) -> int:
    """Removes what there is of the pods of a file, and with `claims` the volumes that it claims."""

    def act(name: str) -> None:
        with suppress(PodNotFoundError):
            pod = context.get_pod(name)[1]
            pod.stop()
            pod.remove(force=True)
            if not quiet:
                print_line(name)

    def act_on_volume(name: str) -> None:
        with suppress(VolumeNotFoundError):
            context.get_volume(name).remove()
            print_line(name)

    code = context.for_each([pod.name for pod in content.pods if pod.name is not None], act)
    if claims:
        names = [claim.name for claim in content.claims if claim.name is not None]
        code = context.for_each(names, act_on_volume) or code
    return code


def build_documents(context: Context, name: str) -> str:
    """A pod or a container as text. Raises ContainerNotFoundError, InvalidSpecError."""
    try:
        pod = context.get_pod(name)[1]
    except PodNotFoundError:
        spec = _build_pod_of_container(context, name)
    else:
        spec = pod.build_spec()
    for text in list_unwritten(spec):
        print_warning(f"{spec.name}: the {text} cannot be written down")
    return build_kube_document(spec)


def _build_pod_of_container(context: Context, name: str) -> PodSpec:
    try:
        container = context.get_container(name)[1]
    except ContainerNotFoundError as error:
        raise ContainerNotFoundError(
            f"no pod or container {name!r}", hint="pytest-pods pod ps and pytest-pods ps -a list them"
        ) from error
    spec = container.spec
    member = spec.with_changes(
        name=None, pod=None, hostname=None, network=NetworkMode.PRIVATE, networks=(), network_container=None,
        image_resolv_conf=False, dns=(), dns_search=(), dns_options=(), add_hosts={},
    )  # fmt: skip
    return PodSpec(
        (MemberSpec(container.name, member),),
        name=f"{container.name}-pod",
        hostname=spec.hostname,
        labels=spec.labels,
        network=spec.network,
        networks=spec.networks,
        image_resolv_conf=spec.image_resolv_conf,
        dns=spec.dns,
        dns_search=spec.dns_search,
        dns_options=spec.dns_options,
        add_hosts=spec.add_hosts,
    )
