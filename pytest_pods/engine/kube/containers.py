"""Containers of a pod: what Kubernetes says of one as the engine is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.kube.probes import read_probes
from pytest_pods.engine.kube.quantities import parse_quantity
from pytest_pods.engine.kube.tables import IGNORED, WITHOUT_EFFECT
from pytest_pods.engine.kube.variables import expand
from pytest_pods.engine.kube.volumes import VolumeSource, read_mounts
from pytest_pods.engine.specs import values as specs
from pytest_pods.engine.specs.container import ContainerSpec, PullPolicy
from pytest_pods.engine.specs.limits import parse_cpus, parse_memory
from pytest_pods.engine.specs.mounts import refuse_same_target
from pytest_pods.engine.specs.pods import MemberSpec
from pytest_pods.engine.specs.ports import PortSpec, parse_port
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.kube.bags import Bags
    from pytest_pods.engine.kube.values import Fields, Value

_PULL = {"Always": PullPolicy.ALWAYS, "IfNotPresent": PullPolicy.MISSING, "Never": PullPolicy.NEVER}


@frozen
class PodFacts:
    """What a pod says for its containers. `volumes` gets the directories that they want in the pod's own ones;
    `references` are what `fieldRef` may name."""

    bags: Bags
    volumes: dict[str, VolumeSource]
    references: Mapping[str, str]
    security: Mapping[str, Any]
    stop_timeout: float
    host_network: bool


def read_member(value: Value, facts: PodFacts, *, init: bool, needs: tuple[str, ...]) -> MemberSpec:
    """Raises KubeDocumentError."""
    fields = value.fields()
    name = fields.get("name").parsed(specs.parse_name)
    if init and (policy := fields.find("restartPolicy")) is not None:
        policy.fail("is not supported", hint="make it one of the containers, which all run side by side")
    env = _read_environment(fields, facts)
    ports, port_names = _read_ports(fields, facts)
    options: dict[str, Any] = {
        "env": env,
        "ports": ports,
        "mounts": read_mounts(fields, facts.volumes),
        "stop_timeout": facts.stop_timeout,
        **_read_resources(fields.find("resources")),
        **_read_security(fields.find("securityContext"), facts.security),
    }
    value.checked(lambda: refuse_same_target(options["mounts"]))
    for option, field, known in (("entrypoint", "command", env), ("command", "args", env)):
        words = fields.find(field)
        if words is not None:
            options[option] = tuple(expand(word, known) for word in words.texts())
    for option, field in (("interactive", "stdin"), ("tty", "tty")):
        options[option] = fields.flag(field) or False
    if (directory := fields.find("workingDir")) is not None:
        options["workdir"] = directory.parsed(specs.parse_absolute)
    if (pull := fields.find("imagePullPolicy")) is not None:
        options["pull"] = _PULL[pull.choice(*_PULL)]
    options |= read_probes(fields, port_names, init=init, grace=facts.stop_timeout)
    image = fields.get("image")
    if not image.text():
        image.fail("is empty", hint="it is a reference such as redis:7")
    fields.warn_of(WITHOUT_EFFECT["container"])
    fields.finish(ignored=IGNORED["container"])
    return MemberSpec(name, ContainerSpec(image.text(), **options), needs, init)


def _read_environment(fields: Fields, facts: PodFacts) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in fields.list("envFrom"):
        found |= _read_all_of_bag(value, facts.bags)
    for value in fields.list("env"):
        entry = value.fields()
        name = entry.get("name")
        if not name.text() or "=" in name.text():
            name.fail(f"is {name.text()!r}, which no variable can be called")
        plain, source = entry.find("value"), entry.find("valueFrom")
        entry.finish()
        if plain is not None and source is not None:
            value.fail("has both value and valueFrom")
        if source is not None:
            text = _read_reference(source, facts)
            if text is not None:
                found[name.text()] = text
        else:
            found[name.text()] = "" if plain is None else expand(plain.text(), found)
    return found


def _read_all_of_bag(value: Value, bags: Bags) -> dict[str, str]:
    fields = value.fields()
    prefix = fields.text("prefix") or ""
    kinds = [name for name in ("configMapRef", "secretRef") if fields.find(name) is not None]
    fields.finish()
    if len(kinds) != 1:
        value.fail("has to have one of configMapRef and secretRef")
    reference = fields.get(kinds[0])
    inner = reference.fields()
    optional = inner.flag("optional") or False
    bag = bags.find("Secret" if kinds[0] == "secretRef" else "ConfigMap", inner.get("name"), optional=optional)
    inner.finish()
    return {f"{prefix}{key}": _decode(reference, key, content) for key, content in (bag or {}).items()}


def _decode(value: Value, key: str, content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        value.fail(f"has {key!r}, which is no text")
    if "\0" in text:
        value.fail(f"has {key!r} with a NUL byte, which no variable can have")
    return text


def _read_reference(value: Value, facts: PodFacts) -> str | None:
    fields = value.fields()
    kinds = ("configMapKeyRef", "secretKeyRef", "fieldRef")
    found = [name for name in kinds if fields.find(name) is not None]
    fields.finish()
    if len(found) != 1:
        value.fail(f"has to have one of {', '.join(kinds)}")
    inner = fields.get(found[0]).fields()
    if found[0] == "fieldRef":
        path = inner.get("fieldPath")
        inner.finish(ignored=frozenset({"apiVersion"}))
        if path.text() not in facts.references:
            path.fail(
                f"is {path.text()!r}, which is not known before the pod runs",
                hint=f"there is: {', '.join(sorted(facts.references))}",
            )
        return facts.references[path.text()]
    optional = inner.flag("optional") or False
    kind = "Secret" if found[0] == "secretKeyRef" else "ConfigMap"
    bag = facts.bags.find(kind, inner.get("name"), optional=optional)
    key = inner.get("key")
    inner.finish()
    if bag is None or key.text() not in bag:
        if optional:
            return None
        known = ", ".join(sorted(bag or {})) or "nothing"
        key.fail(f"is {key.text()!r}, which is not in it", hint=f"there is: {known}")
    return _decode(key, key.text(), bag[key.text()])


def _read_ports(fields: Fields, facts: PodFacts) -> tuple[tuple[PortSpec, ...], dict[str, int]]:
    """The ports to publish, and the numbers of those with a name. One without `hostPort` gets a free one: a test that
    names a port of a container wants to reach it."""
    found: list[PortSpec] = []
    names: dict[str, int] = {}
    for value in fields.list("ports"):
        entry = value.fields()
        inside = entry.get("containerPort").number(least=1, most=65535)
        outside, ip, protocol = entry.find("hostPort"), entry.text("hostIP"), entry.find("protocol")
        if (name := entry.text("name")) is not None:
            names[name] = inside
        entry.finish()
        kind = "TCP" if protocol is None else protocol.choice("TCP", "UDP", "SCTP")
        if kind == "SCTP":
            value.fail("cannot be published by SCTP", hint="TCP and UDP can; containers reach each other by SCTP")
        if facts.host_network:
            continue
        number = 0 if outside is None else outside.number(most=65535)
        asked = PortSpec(inside, number, ip or "127.0.0.1", "udp" if kind == "UDP" else "tcp")
        shown = f"[{asked.host_ip}]" if ":" in asked.host_ip else asked.host_ip
        value.checked(partial(parse_port, f"{shown}:{asked.host_port}:{asked.container_port}"))
        found.append(asked)
    return tuple(found), names


def _read_resources(value: Value | None) -> dict[str, Any]:
    if value is None:
        return {}
    fields = value.fields()
    limits = fields.find("limits")
    fields.finish(ignored=IGNORED["resources"])
    found: dict[str, Any] = {}
    for name, limit in ({} if limits is None else limits.mapping()).items():
        number = parse_quantity(limit)
        if name == "cpu":
            found["cpus"] = limit.checked(partial(parse_cpus, "cpu", float(number)))
        elif name == "memory":
            found["memory"] = limit.checked(partial(parse_memory, "memory", int(number)))
        else:
            limit.warn("has no effect: cpu and memory are what can be limited")
    return found


def read_pod_security(value: Value | None) -> dict[str, Any]:
    """What a pod's `securityContext` says for all containers."""
    if value is None:
        return {}
    fields = value.fields()
    found = _read_common_security(fields)
    fields.warn_of(WITHOUT_EFFECT["pod security"])
    fields.finish(ignored=IGNORED["pod security"])
    return found


def _read_security(value: Value | None, of_pod: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(of_pod)
    if value is not None:
        fields = value.fields()
        found |= _read_common_security(fields)
        found["privileged"] = fields.flag("privileged") or False
        found["read_only"] = fields.flag("readOnlyRootFilesystem") or False
        found["no_new_privileges"] = fields.flag("allowPrivilegeEscalation") is False
        found |= _read_capabilities(fields.find("capabilities"))
        fields.warn_of(WITHOUT_EFFECT["container security"])
        fields.finish(ignored=IGNORED["container security"])
    user, group = found.pop("run_as_user", None), found.pop("run_as_group", None)
    if user is not None:
        found["user"] = f"{user.number()}" if group is None else f"{user.number()}:{group.number()}"
    elif group is not None:
        group.fail("needs runAsUser", hint="a group alone would leave open who is in it")
    return found


def _read_common_security(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option, field in (("run_as_user", "runAsUser"), ("run_as_group", "runAsGroup")):
        if (number := fields.find(field)) is not None:
            number.number()
            found[option] = number
    profile = fields.find("seccompProfile")
    if profile is not None:
        inner = profile.fields()
        kind = inner.get("type")
        if kind.choice("RuntimeDefault", "Unconfined", "Localhost") == "Localhost":
            kind.fail("is 'Localhost', which is not supported", hint="RuntimeDefault and Unconfined are")
        inner.finish()
        found["seccomp"] = kind.text() != "Unconfined"
    return found


def _read_capabilities(value: Value | None) -> dict[str, Any]:
    if value is None:
        return {}
    fields = value.fields()
    found = {
        f"cap_{field}": specs.parse_capabilities(field, one.texts())
        for field in ("add", "drop")
        if (one := fields.find(field)) is not None
    }
    fields.finish()
    return found
