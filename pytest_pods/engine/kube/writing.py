"""Writes a pod as Kubernetes documents, which `reading` reads back to the same specification."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.kube.quantities import format_bytes, format_cpus
from pytest_pods.engine.kube.variables import escape
from pytest_pods.engine.probing import ProbeWait
from pytest_pods.engine.specs.container import ContainerSpec, PullPolicy
from pytest_pods.engine.specs.health import DEFAULT_INTERVAL_S, DEFAULT_RETRIES, DEFAULT_TIMEOUT_S, HealthCheck
from pytest_pods.engine.specs.mounts import BindMount, ImageMount, MountSpec, TmpfsMount, VolumeMount
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.pods import DEFAULT_SHARE, MemberSpec, PodSpec, PodVolume
from pytest_pods.engine.specs.probes import Probe

_PULL = {PullPolicy.ALWAYS: "Always", PullPolicy.MISSING: "IfNotPresent", PullPolicy.NEVER: "Never"}
_RESTART = {"always": "Always", "unless-stopped": "Always", "on-failure": "OnFailure", "no": "Never"}
_PROPAGATIONS = {"rslave": "HostToContainer", "rshared": "Bidirectional"}
_SCRATCH_MODE = 0o777


def build_kube_document(pod: PodSpec, *, name: str | None = None) -> str:
    """The text of a Pod document, behind a ConfigMap for each volume with files and a claim for each named one.

    `name` is the pod's if its specification has none. Raises InvalidSpecError for a user that is no number and a
    directory of an image, which Kubernetes does not know; what has no counterpart there and changes nothing for the
    containers is left out.
    """
    import yaml

    documents = build_kube_documents(pod, name=name)
    return yaml.dump_all(documents, Dumper=_build_dumper(), sort_keys=False, explicit_start=len(documents) > 1)


def _build_dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def represent_text(dumper: Any, text: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Dumper.add_representer(str, represent_text)
    return Dumper


def build_kube_documents(pod: PodSpec, *, name: str | None = None) -> list[dict[str, Any]]:
    """The documents as plain values. Raises InvalidSpecError."""
    name = pod.name or name
    if not pod.members:
        raise InvalidSpecError(f"pod {name or 'without a name'} has no members", hint="Kubernetes wants one at least")
    volumes = _Volumes(pod, name or "pod")
    spec: dict[str, Any] = {
        "hostname": pod.hostname,
        "hostNetwork": pod.network is NetworkMode.HOST or None,
        "shareProcessNamespace": "pid" in pod.share - DEFAULT_SHARE or None,
        "restartPolicy": _find_restart(pod),
        "terminationGracePeriodSeconds": _find_grace(pod),
        "hostAliases": _build_aliases(pod.add_hosts),
        "dnsConfig": _without_nothing(
            {
                "nameservers": list(pod.dns),
                "searches": list(pod.dns_search),
                "options": [_build_option(one) for one in pod.dns_options],
            }
        ),
        "initContainers": [_build_container(pod, one, volumes) for one in pod.members if one.init],
        "containers": [_build_container(pod, one, volumes) for one in pod.members if not one.init],
    }
    spec["volumes"] = volumes.entries
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _without_nothing({"name": name, "labels": dict(pod.labels)}),
        "spec": _without_nothing(spec),
    }
    return [*volumes.documents, document]


def _without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None and value not in ({}, [])}


def _find_restart(pod: PodSpec) -> str | None:
    asked = (pod.restart, *(one.container.restart for one in pod.members if not one.init))
    policy = next((one for one in asked if one is not None), None)
    return None if policy is None else _RESTART[policy.condition]


def _find_grace(pod: PodSpec) -> int | None:
    longest = max(one.container.stop_timeout for one in pod.members)
    return int(-(-longest // 1)) or None


def _build_aliases(hosts: Mapping[str, str]) -> list[dict[str, Any]]:
    by_ip: dict[str, list[str]] = {}
    for host, ip in hosts.items():
        by_ip.setdefault(ip, []).append(host)
    return [{"ip": ip, "hostnames": names} for ip, names in by_ip.items()]


def _build_option(text: str) -> dict[str, str]:
    name, separator, value = text.partition(":")
    return {"name": name, "value": value} if separator else {"name": name}


def _build_container(pod: PodSpec, member: MemberSpec, volumes: _Volumes) -> dict[str, Any]:
    spec = member.container
    ports = spec.ports
    if member == next((one for one in pod.members if not one.init), None):
        # Those of the pod as a whole: Kubernetes has ports of containers only, and they share one network.
        ports = (*pod.ports, *ports)
    wait = spec.wait if isinstance(spec.wait, ProbeWait) else ProbeWait()
    return _without_nothing(
        {
            "name": member.name,
            "image": spec.image,
            "imagePullPolicy": _PULL.get(spec.pull) if spec.pull else None,
            "command": None if spec.entrypoint is None else [escape(word) for word in spec.entrypoint],
            "args": None if spec.command is None else [escape(word) for word in spec.command],
            "workingDir": spec.workdir,
            "env": [{"name": key, "value": escape(value)} for key, value in spec.env.items()],
            "ports": [
                _without_nothing(
                    {
                        "containerPort": port.container_port,
                        "hostPort": port.host_port or None,
                        "hostIP": None if port.host_ip == "127.0.0.1" else port.host_ip,
                        "protocol": "UDP" if port.protocol == "udp" else None,
                    }
                )
                for port in ports
            ],
            "stdin": spec.interactive or None,
            "tty": spec.tty or None,
            "resources": _build_resources(spec),
            "securityContext": _build_security(member.name, spec),
            "startupProbe": _build_probe(wait.startup),
            "readinessProbe": _build_probe(wait.readiness),
            "livenessProbe": _build_probe(_find_liveness(spec)),
            "volumeMounts": [volumes.add(mount, member.name) for mount in (*pod.mounts, *spec.mounts)],
        }
    )


def _build_resources(spec: ContainerSpec) -> dict[str, Any] | None:
    limits = {
        "cpu": None if spec.cpus is None else format_cpus(spec.cpus),
        "memory": None if spec.memory is None else format_bytes(spec.memory),
    }
    found = _without_nothing(limits)
    return {"limits": found} if found else None


def _build_security(member: str, spec: ContainerSpec) -> dict[str, Any]:
    user, _, group = (spec.user or "").partition(":")
    for number in (user, group):
        if number and not number.isdecimal():
            raise InvalidSpecError(
                f"member {member!r} runs as {spec.user!r}: Kubernetes knows users by number only",
                hint="give the user as a number",
            )
    return _without_nothing(
        {
            "runAsUser": int(user) if user else None,
            "runAsGroup": int(group) if group else None,
            "privileged": spec.privileged or None,
            "readOnlyRootFilesystem": spec.read_only or None,
            "allowPrivilegeEscalation": False if spec.no_new_privileges else None,
            "capabilities": _without_nothing(
                {kind: [name.removeprefix("CAP_") for name in names]
                 for kind, names in (("add", spec.cap_add), ("drop", spec.cap_drop))}
            ),
            "seccompProfile": None if spec.seccomp else {"type": "Unconfined"},
        }
    )


def _find_liveness(spec: ContainerSpec) -> Probe | None:
    """A health check as a liveness probe; none of one that the image has, which comes with the image."""
    check = spec.health
    target = check.find_target() if isinstance(check, HealthCheck) else None
    if not isinstance(check, HealthCheck) or target is None:
        return None
    delay = check.delay if check.delay is not None else check.start_period
    return Probe(
        target,
        # Kubernetes counts whole seconds.
        delay=math.ceil(delay or 0),
        period=math.ceil(check.interval or DEFAULT_INTERVAL_S),
        timeout=math.ceil(check.timeout or DEFAULT_TIMEOUT_S),
        failures=check.retries or DEFAULT_RETRIES,
        grace=None if check.grace in (None, spec.stop_timeout) else math.ceil(check.grace or 0) or None,
    )


def _build_probe(probe: Probe | None) -> dict[str, Any] | None:
    if probe is None:
        return None
    target = probe.target
    if target.kind == "http":
        asked: dict[str, Any] = {
            "httpGet": _without_nothing(
                {
                    "path": target.path,
                    "port": target.port,
                    "scheme": None if target.scheme == "HTTP" else target.scheme,
                    "httpHeaders": [{"name": name, "value": value} for name, value in target.headers],
                }
            )
        }
    elif target.kind == "tcp":
        asked = {"tcpSocket": {"port": target.port}}
    else:
        asked = {"exec": {"command": [*target.command]}}
    times = (
        ("initialDelaySeconds", probe.delay, 0),
        ("periodSeconds", probe.period, 10),
        ("timeoutSeconds", probe.timeout, 1),
        ("successThreshold", probe.successes, 1),
        ("failureThreshold", probe.failures, 3),
        ("terminationGracePeriodSeconds", probe.grace, None),
    )
    return asked | {name: value for name, value, usual in times if value != usual}


class _Volumes:
    """The volumes of a pod, and the documents that they need, as its containers' mounts ask for them."""

    def __init__(self, pod: PodSpec, pod_name: str) -> None:
        self.entries: list[dict[str, Any]] = []
        self.documents: list[dict[str, Any]] = []
        self._own = {volume.name for volume in pod.own_volumes}
        self._claimed: dict[str, str] = {}
        self._names = set(self._own)
        for volume in pod.own_volumes:
            self._add_own(volume, pod_name)

    def add(self, mount: MountSpec, member: str) -> dict[str, Any]:
        """The entry of `volumeMounts`."""
        subpath = None if isinstance(mount, TmpfsMount) else mount.subpath or None
        propagation = mount.propagation if isinstance(mount, BindMount | VolumeMount) else "rprivate"
        read_only = "ro" in mount.options if isinstance(mount, TmpfsMount) else mount.read_only
        return _without_nothing(
            {
                "name": self._find_name(mount, member),
                "mountPath": mount.target,
                "subPath": subpath,
                "readOnly": read_only or None,
                "mountPropagation": _PROPAGATIONS.get(propagation),
            }
        )

    def _find_name(self, mount: MountSpec, member: str) -> str:
        if isinstance(mount, ImageMount):
            raise InvalidSpecError(f"member {member!r} mounts the image {mount.image}, which cannot be written down")
        if isinstance(mount, VolumeMount) and mount.name is not None:
            if mount.name in self._own:
                return mount.name
            return self._get_shared(f"claim {mount.name}", mount.name, self._build_claim(mount.name))
        if isinstance(mount, BindMount):
            return self._get_shared(f"host {mount.source}", "host", {"hostPath": {"path": mount.source}})
        empty: dict[str, Any] = {}
        if isinstance(mount, TmpfsMount):
            empty = {"medium": "Memory"} | ({} if mount.size is None else {"sizeLimit": format_bytes(mount.size)})
        return self._add("scratch", {"emptyDir": empty})

    def _get_shared(self, key: str, wanted: str, source: dict[str, Any]) -> str:
        if key not in self._claimed:
            self._claimed[key] = self._add(wanted, source)
        return self._claimed[key]

    def _add(self, wanted: str, source: dict[str, Any]) -> str:
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}-{number}"
        self._names.add(name)
        self.entries.append({"name": name, **source})
        return name

    def _build_claim(self, name: str) -> dict[str, Any]:
        if not any(one["metadata"]["name"] == name for one in self.documents if one["kind"] != "ConfigMap"):
            self.documents.append(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": name},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }
            )
        return {"persistentVolumeClaim": {"claimName": name}}

    def _add_own(self, volume: PodVolume, pod_name: str) -> None:
        if volume.mode == _SCRATCH_MODE:
            empty: dict[str, Any] = {}
            if volume.memory:
                size = {} if volume.size is None else {"sizeLimit": format_bytes(volume.size)}
                empty = {"medium": "Memory", **size}
            self.entries.append({"name": volume.name, "emptyDir": empty})
            return
        name = f"{pod_name}-{volume.name}"
        items, data = _build_items(volume)
        self.documents.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **data})
        self.entries.append(
            {"name": volume.name, "configMap": {"name": name} | ({"items": items} if items else {})}
        )


def _build_items(volume: PodVolume) -> tuple[Sequence[Mapping[str, Any]], dict[str, Any]]:
    """How the keys of a config map become the volume's files, where that has to be said, and its data."""
    files = [file for file in volume.files if file.content is not None]
    plain = all("/" not in file.path and file.mode == 0o644 for file in files)
    keys = {file.path: file.path if plain else f"file-{number}" for number, file in enumerate(files)}
    data: dict[str, dict[str, str]] = {"data": {}, "binaryData": {}}
    for file in files:
        assert file.content is not None
        text = _find_text(file.content)
        if text is None:
            data["binaryData"][keys[file.path]] = base64.b64encode(file.content).decode()
        else:
            data["data"][keys[file.path]] = text
    items = [] if plain else [{"key": keys[one.path], "path": one.path, "mode": one.mode} for one in files]
    return items, _without_nothing(data)


def _find_text(content: bytes) -> str | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    # YAML has line ends of its own, and does not carry every character.
    return text if all(c in "\n\t" or c.isprintable() for c in text) else None


def list_unwritten(pod: PodSpec) -> Iterator[str]:
    """What of a specification has no place in a Kubernetes document, for people."""
    for name in ("networks", "aliases", "image_resolv_conf", "memory", "cpus", "pids_limit", "shm_size"):
        if getattr(pod, name):
            yield f"{name} of the pod"
    for member in pod.members:
        spec = member.container
        if member.needs and not member.init:
            yield f"needs of {member.name}"
        if spec.wait is not None and not isinstance(spec.wait, ProbeWait):
            yield f"wait of {member.name}"
        if isinstance(spec.health, HealthCheck) and spec.health.on_failure in ("none", "stop"):
            yield f"on_failure of the health check of {member.name}"
        for name in ("stop_signal", "pids_limit", "ulimits", "platform", "labels"):
            if getattr(spec, name):
                yield f"{name} of {member.name}"
