"""Reads a file of Kubernetes documents: pods, deployments of one pod, and what they refer to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.errors import KubeDocumentError
from pytest_pods.engine.ids import parse_name
from pytest_pods.engine.kube.bags import Bags, read_bag
from pytest_pods.engine.kube.containers import PodFacts, read_member, read_pod_security
from pytest_pods.engine.kube.tables import IGNORED, WITHOUT_EFFECT
from pytest_pods.engine.kube.values import Fields, Source, Value, read_values
from pytest_pods.engine.kube.volumes import read_volumes
from pytest_pods.engine.specs import values as specs
from pytest_pods.engine.specs.networks import NetworkMode, parse_added_hosts, parse_addresses
from pytest_pods.engine.specs.pods import DEFAULT_SHARE, MemberSpec, PodSpec, PodVolume, add_members
from pytest_pods.engine.specs.restart import RestartPolicy
from pytest_pods.engine.specs.volumes import VolumeSpec
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    import os

_RESTART = {
    "Always": RestartPolicy("always"),
    "OnFailure": RestartPolicy("on-failure"),
    "Never": RestartPolicy("no"),
}
_PODS = ("Pod", "Deployment")
_KINDS = (*_PODS, "ConfigMap", "Secret", "PersistentVolumeClaim", "Service")


@frozen
class KubeContent:
    """What documents ask for. `claims` are volumes that outlive the pods; `warnings` is what has no effect here.

    `services` are the names by which Service documents know a pod, by the position of the pod.
    """

    pods: tuple[PodSpec, ...] = ()
    claims: tuple[VolumeSpec, ...] = ()
    services: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@frozen
class _Document:
    kind: str
    fields: Fields
    name: Value | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def read_kube(path: str | os.PathLike[str], *, more: Sequence[str | os.PathLike[str]] = ()) -> KubeContent:
    """Reads files; pods of the first may refer to config maps, secrets and claims of `more`. Raises KubeDocumentError
    that names file, line and field."""
    return parse_kube(*((read_file(one), str(one)) for one in (path, *more)))


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Raises KubeDocumentError."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise KubeDocumentError(f"reading {path}: {error.strerror}") from error


def parse_kube(*files: tuple[bytes, str], grace: float = 0.0) -> KubeContent:
    """Contents of files, each with the name that messages give it; `grace` is the time before a kill, in seconds, where
    a pod does not say it. Raises KubeDocumentError."""
    sources = [Source(name) for _, name in files]
    documents = [
        document
        for (content, _), source in zip(files, sources, strict=True)
        for value in read_values(content, source=source)
        for document in _open(value)
    ]
    _refuse_same_names(documents)
    bags = Bags(*(_read_bags(documents, kind) for kind in ("ConfigMap", "Secret")))
    pods, pod_labels = [], []
    for document in documents:
        if document.kind == "Pod":
            pods.append(_read_pod(document, document.fields.get("spec"), bags, grace))
            pod_labels.append(document.labels)
        elif document.kind == "Deployment":
            pod, labels = _read_deployment(document, bags, grace)
            pods.append(pod)
            pod_labels.append(labels)
    claims = tuple(_read_claim(document) for document in documents if document.kind == "PersistentVolumeClaim")
    services = _read_services([one for one in documents if one.kind == "Service"], pod_labels)
    return KubeContent(tuple(pods), claims, services, tuple(text for one in sources for text in one.warnings))


def _open(value: Value) -> Iterator[_Document]:
    fields = value.fields()
    kind = fields.get("kind")
    if kind.text() == "List":
        fields.find("metadata")
        for item in fields.list("items"):
            yield from _open(item)
        return
    if kind.text() not in _KINDS:
        kind.fail(f"is {kind.text()!r}, which is not supported", hint=specs.did_you_mean(kind.text(), _KINDS))
    metadata = fields.find("metadata")
    if metadata is None:
        yield _Document(kind.text(), fields, None, {}, {})
        return
    inner = metadata.fields()
    name, labels, annotations = inner.find("name"), inner.find("labels"), inner.find("annotations")
    inner.finish(ignored=IGNORED["metadata"])
    if name is not None:
        name.checked(lambda: parse_name(name.text()))
    yield _Document(
        kind.text(),
        fields,
        name,
        {} if labels is None else labels.text_mapping(),
        {} if annotations is None else annotations.text_mapping(),
    )


def _get_name(document: _Document) -> str:
    if document.name is None:
        document.fields.value.fail(f"is a {document.kind} without a name", hint="write metadata: {name: …}")
    return document.name.text()


def _refuse_same_names(documents: Iterable[_Document]) -> None:
    seen: set[tuple[str, str]] = set()
    for document in documents:
        if document.name is None:
            continue
        pod = _name_of_pod(document) if document.kind in _PODS else None
        key = (document.kind, document.name.text()) if pod is None else ("Pod", pod)
        if key in seen:
            document.name.fail(f"is {key[1]!r}, as another {key[0]} is called")
        seen.add(key)


def _read_bags(documents: Iterable[_Document], kind: str) -> dict[str, Mapping[str, bytes]]:
    return {_get_name(one): read_bag(one.fields, kind) for one in documents if one.kind == kind}


def _read_claim(document: _Document) -> VolumeSpec:
    spec = document.fields.find("spec")
    if spec is not None:
        spec.fields().finish(ignored=IGNORED["claim"])
    document.fields.finish(ignored=IGNORED["document"])
    return VolumeSpec(_get_name(document), document.labels)


def _read_services(documents: Iterable[_Document], pods: Sequence[Mapping[str, str]]) -> dict[int, tuple[str, ...]]:
    """A service is the name of the pods that it selects: what it says of ports holds where they are the same."""
    found: dict[int, tuple[str, ...]] = {}
    for document in documents:
        name = _get_name(document)
        spec = document.fields.find("spec")
        document.fields.finish(ignored=IGNORED["document"])
        entries = {} if spec is None else spec.mapping()
        selector = entries["selector"].text_mapping() if "selector" in entries else {}
        for port in entries["ports"].list() if "ports" in entries else []:
            fields = port.mapping()
            target = fields.get("targetPort")
            if target is not None and "port" in fields and target.raw.isdecimal() and target.raw != fields["port"].raw:
                target.warn("has no effect: a service's name leads to the ports of the pod itself")
        for number, labels in enumerate(pods):
            if selector and selector.items() <= labels.items():
                found[number] = (*found.get(number, ()), name)
    return found


def _name_of_pod(document: _Document) -> str | None:
    if document.name is None:
        return None
    # As Podman calls it.
    return f"{document.name.text()}-pod" if document.kind == "Deployment" else document.name.text()


def _read_deployment(document: _Document, bags: Bags, default_grace: float) -> tuple[PodSpec, Mapping[str, str]]:
    spec = document.fields.get("spec").fields()
    replicas = spec.find("replicas")
    if replicas is not None and replicas.number() != 1:
        replicas.fail(f"is {replicas.number()}: one pod is what can be run", hint="write 1, or several pods")
    template = spec.get("template").fields()
    spec.finish(ignored=IGNORED["deployment"])
    metadata = template.find("metadata")
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    if metadata is not None:
        inner = metadata.fields()
        inner.find("name")
        given, noted = inner.find("labels"), inner.find("annotations")
        inner.finish(ignored=IGNORED["metadata"])
        labels = {} if given is None else given.text_mapping()
        annotations = {} if noted is None else noted.text_mapping()
    pod = template.get("spec")
    template.finish()
    inside = _Document(document.kind, document.fields, document.name, labels, annotations)
    return _read_pod(inside, pod, bags, default_grace), labels


def _read_pod(document: _Document, value: Value, bags: Bags, default_grace: float) -> PodSpec:
    fields = value.fields()
    name = _name_of_pod(document)
    host_network = fields.flag("hostNetwork") or False
    for field_name in ("hostIPC", "hostPID"):
        if fields.flag(field_name):
            fields.get(field_name).fail("is not supported", hint="the host's processes and memory are out of reach")
    grace = fields.find("terminationGracePeriodSeconds")
    volumes = read_volumes(fields.list("volumes"), bags)
    facts = PodFacts(
        bags=bags,
        volumes=volumes,
        references=_build_references(name, document),
        security=read_pod_security(fields.find("securityContext")),
        stop_timeout=default_grace if grace is None else float(grace.number()),
        host_network=host_network,
    )
    members = [*_read_members(fields, facts)]
    if not members:
        value.fail("has no containers")
    share = set(DEFAULT_SHARE)
    if fields.flag("shareProcessNamespace"):
        share.add("pid")
    options: dict[str, Any] = {
        "name": name,
        "labels": document.labels,
        "share": frozenset(share),
        "network": NetworkMode.HOST if host_network else NetworkMode.PRIVATE,
        "add_hosts": _read_hosts(fields),
        **_read_names(fields),
        # Those that only have the directories that their containers want know of it by now.
        "own_volumes": tuple(one for one in volumes.values() if isinstance(one, PodVolume)),
    }
    if (hostname := fields.find("hostname")) is not None:
        options["hostname"] = hostname.parsed(specs.parse_hostname)
    if (policy := fields.find("restartPolicy")) is not None:
        options["restart"] = _RESTART[policy.choice(*_RESTART)]
    fields.warn_of(WITHOUT_EFFECT["pod"])
    fields.finish(ignored=IGNORED["pod"])
    document.fields.finish(ignored=IGNORED["document"])
    return value.checked(lambda: add_members(PodSpec(**options), members))


def _build_references(name: str | None, document: _Document) -> dict[str, str]:
    found = {"metadata.namespace": "default"}
    if name is not None:
        found["metadata.name"] = name
    for kind, entries in (("labels", document.labels), ("annotations", document.annotations)):
        found |= {f"metadata.{kind}['{key}']": text for key, text in entries.items()}
    return found


def _read_members(fields: Fields, facts: PodFacts) -> Iterator[MemberSpec]:
    """Init containers run one after another, the others side by side."""
    seen: set[str] = set()
    before: tuple[str, ...] = ()
    for init, field_name in ((True, "initContainers"), (False, "containers")):
        for value in fields.list(field_name):
            member = read_member(value, facts, init=init, needs=before if init else ())
            if member.name in seen:
                value.fail(f"is the second container {member.name!r}")
            seen.add(member.name)
            before = (member.name,)
            yield member


def _read_hosts(fields: Fields) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for value in fields.list("hostAliases"):
        entry = value.fields()
        ip, names = entry.get("ip"), entry.get("hostnames")
        entry.finish()
        pairs = dict.fromkeys(names.texts(), ip.text())
        found |= value.checked(partial(parse_added_hosts, "hostAliases", pairs))
    return found


def _read_names(fields: Fields) -> dict[str, Any]:
    """`dnsConfig`; of the policies only None says something that is not so anyway."""
    policy, config = fields.find("dnsPolicy"), fields.find("dnsConfig")
    if policy is not None:
        policy.choice("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
    if config is None:
        if policy is not None and policy.text() == "None":
            policy.fail("is 'None', and there is no dnsConfig", hint="write dnsConfig: {nameservers: […]}")
        return {}
    inner = config.fields()
    found: dict[str, Any] = {}
    if (servers := inner.find("nameservers")) is not None:
        found["dns"] = servers.checked(lambda: parse_addresses("nameservers", servers.texts()))
    if (searches := inner.find("searches")) is not None:
        found["dns_search"] = searches.texts()
    if (options := inner.find("options")) is not None:
        found["dns_options"] = tuple(_read_option(one.fields()) for one in options.list())
    inner.finish()
    return found


def _read_option(fields: Fields) -> str:
    name, value = fields.get("name").text(), fields.text("value")
    fields.finish()
    return name if value is None else f"{name}:{value}"
