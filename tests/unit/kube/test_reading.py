"""Kubernetes documents as specifications, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.kube.reading import KubeContent, parse_kube, read_kube
from pytest_pods.engine.kube.writing import build_kube_document, list_unwritten
from pytest_pods.engine.probing import ProbeWait
from pytest_pods.engine.specs.container import ContainerSpec, PullPolicy
from pytest_pods.engine.specs.health import HealthCheck
from pytest_pods.engine.specs.mounts import BindMount, VolumeMount
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.pods import PodFile, PodSpec, PodVolume, build_pod_spec
from pytest_pods.engine.specs.ports import PortSpec
from pytest_pods.engine.specs.probes import Probe, Target
from pytest_pods.engine.specs.restart import RestartPolicy

FULL = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  LEVEL: debug
  greeting.txt: |
    hello
    world
binaryData:
  blob: /wA=
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
type: Opaque
stringData: {password: geheim}
data: {token: dG9rZW4=}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: items, labels: {tier: data}}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata:
  name: shop
  namespace: other
  labels: {app: shop}
  annotations: {note: none}
spec:
  hostname: counter
  serviceAccountName: nobody
  terminationGracePeriodSeconds: 3
  restartPolicy: OnFailure
  shareProcessNamespace: true
  hostAliases:
    - ip: 10.1.2.3
      hostnames: [db.example, cache.example]
  dnsPolicy: None
  dnsConfig:
    nameservers: [10.0.0.53]
    searches: [shop.example]
    options: [{name: ndots, value: "2"}, {name: edns0}]
  securityContext: {runAsUser: 1000, runAsGroup: 1000}
  initContainers:
    - {name: prepare, image: "busybox:1", command: [touch, /scratch/done], volumeMounts: &scratch [{name: scratch, mountPath: /scratch}]}
    - {name: migrate, image: "busybox:1"}
  containers:
    - name: web
      image: shop:dev
      imagePullPolicy: IfNotPresent
      command: [serve, --name, "$(NAME)", "$$(NAME)", "$(UNKNOWN)"]
      args: ["--port", "8080"]
      workingDir: /srv
      envFrom:
        - configMapRef: {name: settings-of-nobody, optional: true}
        - {prefix: KEY_, secretRef: {name: keys}}
      env:
        - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: LEVEL, valueFrom: {configMapKeyRef: {name: settings, key: LEVEL}}}
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: keys, key: password}}}
        - {name: BOTH, value: "$(NAME)-$(LEVEL)"}
        - {name: EMPTY}
      ports:
        - {name: http, containerPort: 8080, hostPort: 18080, hostIP: 0.0.0.0}
        - {containerPort: 5353, protocol: UDP}
      resources:
        requests: {cpu: 100m}
        limits: {cpu: 500m, memory: 64Mi}
      securityContext:
        runAsUser: 0
        readOnlyRootFilesystem: true
        allowPrivilegeEscalation: false
        capabilities: {add: [NET_ADMIN], drop: [ALL]}
        seccompProfile: {type: Unconfined}
      stdin: true
      tty: true
      startupProbe:
        exec: {command: [test, -e, /ready]}
        periodSeconds: 2
        failureThreshold: 30
      readinessProbe:
        httpGet: {path: health, port: http, httpHeaders: [{name: X, value: "1"}]}
        timeoutSeconds: 2
        successThreshold: 2
      volumeMounts:
        - {name: scratch, mountPath: /scratch, subPath: web/cache}
        - {name: memory, mountPath: /run}
        - {name: config, mountPath: /etc/shop}
        - {name: data, mountPath: /data, subPath: shop}
        - {name: host, mountPath: /host, readOnly: true, mountPropagation: HostToContainer}
        - {name: keys, mountPath: /keys, subPath: token}
    - name: plain
      image: busybox:1
      volumeMounts: *scratch
  volumes:
    - {name: scratch, emptyDir: {}}
    - {name: memory, emptyDir: {medium: Memory, sizeLimit: 16Mi}}
    - name: config
      configMap: {name: settings, defaultMode: 0400, items: [{key: greeting.txt, path: texts/hello, mode: 0755}, {key: blob, path: blob}]}
    - {name: data, persistentVolumeClaim: {claimName: items}}
    - {name: host, hostPath: {path: /var/tmp, type: Directory}}
    - {name: keys, secret: {secretName: keys}}
status: {phase: Running}
"""  # noqa: E501


def read(text: str) -> KubeContent:
    return parse_kube((text.encode(), "pods.yaml"))


def read_pod(text: str) -> PodSpec:
    (pod,) = read(text).pods
    return pod


def pod_of(container: str = "", pod: str = "") -> str:
    return f"""
kind: Pod
metadata: {{name: one}}
spec:
  containers:
    - name: main
      image: busybox:1
      {container}
  {pod}
"""


def test_pod_of_a_document_is_what_it_says() -> None:
    content = read(FULL)
    (pod,) = content.pods
    assert content.warnings == ()
    assert pod.name == "shop"
    assert pod.labels == {"app": "shop"}
    assert pod.hostname == "counter"
    assert pod.share == {"net", "ipc", "uts", "pid"}
    assert pod.restart == RestartPolicy("on-failure")
    assert pod.add_hosts == {"db.example": "10.1.2.3", "cache.example": "10.1.2.3"}
    assert (pod.dns, pod.dns_search, pod.dns_options) == (("10.0.0.53",), ("shop.example",), ("ndots:2", "edns0"))
    assert [(one.name, one.init, one.needs) for one in pod.members] == [
        ("prepare", True, ()),
        ("migrate", True, ("prepare",)),
        ("web", False, ()),
        ("plain", False, ()),
    ]
    assert [(one.name, dict(one.labels)) for one in content.claims] == [("items", {"tier": "data"})]


def test_container_of_a_document_is_what_it_says() -> None:
    web = read_pod(FULL).member("web").container
    assert web == ContainerSpec(
        image="shop:dev",
        pull=PullPolicy.MISSING,
        entrypoint=("serve", "--name", "shop", "$(NAME)", "$(UNKNOWN)"),
        command=("--port", "8080"),
        workdir="/srv",
        env={
            "KEY_token": "token",
            "KEY_password": "geheim",
            "NAME": "shop",
            "LEVEL": "debug",
            "PASSWORD": "geheim",
            "BOTH": "shop-debug",
            "EMPTY": "",
        },
        ports=(PortSpec(8080, 18080, "0.0.0.0"), PortSpec(5353, protocol="udp")),
        cpus=0.5,
        memory=64 << 20,
        user="0:1000",
        read_only=True,
        no_new_privileges=True,
        cap_add=("CAP_NET_ADMIN",),
        cap_drop=("ALL",),
        seccomp=False,
        interactive=True,
        tty=True,
        stop_timeout=3.0,
        wait=ProbeWait(
            Probe(Target("exec", command=("test", "-e", "/ready")), period=2, failures=30),
            Probe(Target("http", 8080, "/health", headers=(("X", "1"),)), timeout=2, successes=2),
        ),
        mounts=(
            VolumeMount("scratch", "/scratch", subpath="web/cache", copy=False),
            VolumeMount("memory", "/run", copy=False),
            VolumeMount("config", "/etc/shop", read_only=True, copy=False),
            VolumeMount("items", "/data", subpath="shop", copy=False),
            BindMount("/var/tmp", "/host", read_only=True, propagation="rslave"),
            VolumeMount("keys", "/keys", read_only=True, subpath="token", copy=False),
        ),
    )
    assert web.wait is not None
    assert web.wait.timeout == 60
    assert read_pod(FULL).member("plain").container.user == "1000:1000"


def test_own_volumes_have_what_the_document_puts_there() -> None:
    assert read_pod(FULL).own_volumes == (
        PodVolume("scratch", (PodFile("web/cache", None, 0o777),)),
        PodVolume("memory", memory=True, size=16 << 20),
        PodVolume(
            "config", (PodFile("texts/hello", b"hello\nworld\n", 0o755), PodFile("blob", b"\xff\0", 0o400)), 0o755
        ),
        PodVolume("keys", (PodFile("token", b"token"), PodFile("password", b"geheim")), 0o755),
    )


def test_what_is_written_is_read_back_the_same() -> None:
    pod = read_pod(FULL)
    assert read_pod(build_kube_document(pod)) == pod


def test_what_is_written_of_a_mark_is_read_back_the_same_from_then_on() -> None:
    pod = build_pod_spec(
        name="shop",
        ports=[8080],
        volumes=["data:/data", "/etc:/host:ro"],
        tmpfs=["/run:size=8m"],
        db={"image": "redis:7", "command": ["redis-server", "--x", "a$(b) $$c"], "env": {"A": "1", "B": "two\nlines"}},
        web={
            "image": "web",
            "user": "5",
            "ports": ["127.0.0.1:8081:81/udp"],
            "volumes": ["data:/data2"],
            "entrypoint": ["x: y"],
        },
    )
    once = read_pod(build_kube_document(pod))
    assert read_pod(build_kube_document(once)) == once
    db, web = once.member("db").container, once.member("web").container
    assert db.command == ("redis-server", "--x", "a$(b) $$c")
    assert db.env == {"A": "1", "B": "two\nlines"}
    assert db.ports == (PortSpec(8080),)
    assert web.ports == (PortSpec(81, 8081, protocol="udp"),)
    assert web.entrypoint == ("x: y",)
    assert [mount.target for mount in web.mounts] == ["/data", "/host", "/run", "/data2"]


def test_what_has_no_place_in_a_document_is_named() -> None:
    pod = build_pod_spec(
        memory="64m", networks=["default"], a={"image": "a"},
        b={"image": "b", "needs": ["a"], "wait": lambda _: True, "health": "true"},
    )  # fmt: skip
    assert [*list_unwritten(pod)] == [
        "networks of the pod",
        "memory of the pod",
        "needs of b",
        "wait of b",
        "on_failure of the health check of b",
    ]


def test_deployment_is_its_one_pod() -> None:
    text = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers: [{name: web, image: web}]
"""
    pod = read_pod(text)
    assert (pod.name, pod.labels) == ("shop-pod", {"app": "shop"})


def test_services_name_the_pods_that_they_select() -> None:
    text = """
kind: List
items:
  - {kind: Pod, metadata: {name: a, labels: {app: a}}, spec: {containers: [{name: m, image: i}]}}
  - {kind: Pod, metadata: {name: b, labels: {app: b}}, spec: {containers: [{name: m, image: i}]}}
  - {kind: Service, metadata: {name: db}, spec: {selector: {app: b}, ports: [{port: 80, targetPort: 80}]}}
  - {kind: Service, metadata: {name: nobody}, spec: {selector: {app: c}}}
"""
    assert read(text).services == {1: ("db",)}


def test_host_network_publishes_nothing() -> None:
    pod = read_pod(pod_of("ports: [{containerPort: 80}]", "hostNetwork: true"))
    assert pod.network is NetworkMode.HOST
    assert pod.members[0].container.ports == ()


def test_liveness_probe_is_a_health_check_that_the_startup_probe_gates() -> None:
    pod = read_pod(
        pod_of(
            "livenessProbe: {httpGet: {path: /live, port: 80}, initialDelaySeconds: 4, periodSeconds: 5,"
            " timeoutSeconds: 6, failureThreshold: 7}\n"
            "      startupProbe: {tcpSocket: {port: 80}, terminationGracePeriodSeconds: 3}",
            "terminationGracePeriodSeconds: 9",
        )
    )
    startup = Probe(Target("tcp", 80), grace=3)
    assert pod.members[0].container.health == HealthCheck(
        target=Target("http", 80, "/live"), delay=4, interval=5, timeout=6, retries=7, on_failure="kill", grace=9,
        startup=startup,
    )  # fmt: skip
    assert pod.members[0].container.wait == ProbeWait(startup)
    assert read_pod(build_kube_document(pod)) == pod


def test_grace_of_a_liveness_probe_is_its_own() -> None:
    probe = "livenessProbe: {tcpSocket: {port: 80}, terminationGracePeriodSeconds: 2}"
    pod = read_pod(pod_of(probe, "terminationGracePeriodSeconds: 9"))
    health = pod.members[0].container.health
    assert isinstance(health, HealthCheck)
    assert health.grace == 2
    assert read_pod(build_kube_document(pod)) == pod


def test_health_check_is_written_as_a_liveness_probe() -> None:
    health = {"command": "test -e /live", "interval": 0.5, "timeout": 1.5, "start_period": 10, "on_failure": "restart"}
    pod = build_pod_spec(name="one", a={"image": "a", "health": health}, b={"image": "b", "health": False})
    found = read_pod(build_kube_document(pod))
    assert found.member("a").container.health == HealthCheck(
        target=Target("exec", command=("/bin/sh", "-c", "test -e /live")), delay=10, interval=1, timeout=2, retries=3,
        on_failure="kill", grace=0,
    )  # fmt: skip
    assert found.member("b").container.health is None
    assert [*list_unwritten(pod)] == []


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("lifecycle: {}", "pods.yaml:8: spec.containers[0].lifecycle has no effect"),
        ("resources: {limits: {ephemeral-storage: 1Gi}}", "limits.ephemeral-storage has no effect"),
    ],
)
def test_what_has_no_effect_is_told_with_its_line(field: str, words: str) -> None:
    (warning,) = read(pod_of(field)).warnings
    assert words in warning


@pytest.mark.parametrize(
    ("text", "cpus", "memory"),
    [("2", 2.0, None), ("0.25", 0.25, None), ('"1500m"', 1.5, None), (None, None, None)],
)
def test_quantities(text: str | None, cpus: float | None, memory: int | None) -> None:
    pod = read_pod(pod_of(f"resources: {{limits: {{cpu: {text}}}}}" if text else ""))
    assert pod.members[0].container.cpus == cpus


@pytest.mark.parametrize(
    ("text", "size"),
    [("64Mi", 64 << 20), ("1.5Gi", 3 << 29), ("128M", 128_000_000), ("1e7", 10_000_000), ("123456789", 123456789)],
)
def test_sizes(text: str, size: int) -> None:
    assert read_pod(pod_of(f"resources: {{limits: {{memory: {text}}}}}")).members[0].container.memory == size


def test_config_map_may_stand_in_another_file(tmp_path: Path) -> None:
    first, second = tmp_path / "pod.yaml", tmp_path / "settings.yaml"
    first.write_text(pod_of("envFrom: [{configMapRef: {name: settings}}]"))
    second.write_text("kind: ConfigMap\nmetadata: {name: settings}\ndata: {A: b}\n")
    (pod,) = read_kube(first, more=[second]).pods
    assert pod.members[0].container.env == {"A": "b"}


def test_merge_keys_and_aliases_are_what_yaml_says() -> None:
    text = """
kind: Pod
metadata: {name: one}
spec:
  containers:
    - &base {name: a, image: i, tty: true}
    - {<<: *base, name: b}
"""
    a, b = read_pod(text).members
    assert (b.name, b.container) == ("b", a.container)


def test_characters_that_json_escapes_by_halves_are_whole() -> None:
    pod = read_pod(pod_of('env: [{name: A, value: "\\ud83d\\ude00 \u00e9"}]'))
    assert pod.members[0].container.env == {"A": "\U0001f600 \u00e9"}
    assert read_pod(build_kube_document(pod)) == pod
