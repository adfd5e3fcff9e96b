"""The busy suite that is killed: pull and unpack, create, start, publish, execute, check, remove, pods, networks,
names, volumes, in turn and for ever; what the next two tests need, meanwhile; beside that, what all workers share.

Run by `test_kills` with pytest, in a directory of its own, under the name test_busy.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pods import Container, Engine, Network, Pod, container_fixture, network_fixture, pod_fixture, waits

BUSYBOX = "localhost/busybox:1"
REGISTRY_IMAGE = os.environ["PODS_CRASH_IMAGE"]
# One a worker: another must not read what is half written.
KUBE = Path(f"pod-{os.getpid()}.yaml")
KUBE.write_text(
    f"""
kind: ConfigMap
metadata: {{name: settings}}
data: {{a: b}}
---
kind: Pod
spec:
  containers:
    - name: one
      image: {BUSYBOX}
      command: [sleep, "1000"]
      volumeMounts: [{{name: settings, mountPath: /s}}, {{name: disk, mountPath: /d}}, {{name: memory, mountPath: /m}}]
  volumes:
    - {{name: settings, configMap: {{name: settings}}}}
    - {{name: disk}}
    - {{name: memory, emptyDir: {{medium: Memory}}}}
"""
)
SAY = ["sh", "-c", "echo up; sleep 1000"]
# Made ahead: they look the same for every test.
near = container_fixture(BUSYBOX, SAY, ports=[80], volumes=["/own"], wait=waits.log("up"))
pair = pod_fixture(a={"image": BUSYBOX, "command": SAY, "wait": waits.log("up")}, b={"image": BUSYBOX, "command": SAY})
PROGRESS = Path(os.environ["PODS_CRASH_PROGRESS"])


def tell(phase: str) -> None:
    with PROGRESS.open("a") as file:
        file.write(f"{phase}\n")


def _describe_shared(shared_network: Network) -> dict[str, object]:
    networks = {shared_network: {"aliases": ["shared"]}}
    return {"image": BUSYBOX, "command": ["sleep", "1000"], "networks": networks, "volumes": ["/own"]}


shared_network = network_fixture(scope="session")
shared = container_fixture(_describe_shared, scope="session")
shared_pod = pod_fixture(
    scope="session",
    network="none",
    share="+pid",
    a={"image": BUSYBOX, "command": ["sleep", "1000"], "restart": "always"},
)


@pytest.mark.parametrize("number", range(10_000))
def test_busy(
    number: int,
    pods: Engine,
    run_container: Callable[..., Container],
    near: Container,
    pair: Pod,
    shared: Container,
    shared_pod: Pod,
    shared_network: Network,
) -> None:
    tell("use shared")
    beside = run_container(BUSYBOX, ["sleep", "1000"], networks=[shared_network])
    assert shared.ip in beside.succeed("nslookup shared")
    run_container(BUSYBOX, ["sleep", "1000"], network=f"container:{shared.name}")
    assert shared_pod["a"].exec(["true"]).ok
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    assert (near.status, pair.status) == ("running", "running")
    if number % 3 == 0:
        reference = f"{REGISTRY_IMAGE}-{worker}:1"
        tell("pull")
        pods.pull(reference)
        tell("remove image")
        pods.remove_image(reference, force=True)
    tell("create")
    network = ("none", "private", "host")[number % 3]
    ports = [] if network == "host" else [80]
    volumes = [f"shared{number}:/shared", "/own"]
    container = pods.create(BUSYBOX, ["sleep", "1000"], network=network, ports=ports, volumes=volumes)
    tell("start")
    container.start()
    tell("exec")
    assert container.exec(["echo", "hi"]).stdout == "hi\n"
    assert container.exec(["true"], through_runtime=number % 2 == 0).ok
    tell("run")
    run_container(BUSYBOX, ["sh", "-c", "echo > /file; sleep 1000"], network="none")
    tell("health")
    often = {"command": "true", "interval": 0.02, "retries": 1, "on_failure": "restart"}
    run_container(BUSYBOX, ["sleep", "1000"], network="none", health=often, wait=waits.healthy())
    run_container(BUSYBOX, ["sleep", "1000"], network="none", health={**often, "command": "false"})
    tell("network")
    backend = pods.create_network(f"backend{number}", internal=number % 2 == 0, ipv6=number % 4 == 0)
    db = pods.run(BUSYBOX, ["sleep", "1000"], name="db", networks=[backend])
    tell("names")
    web = pods.run(BUSYBOX, ["sleep", "1000"], networks={backend.name: {"aliases": ["front"]}})
    assert db.ip in web.succeed("nslookup db")
    tell("share network")
    sidecar = pods.run(BUSYBOX, ["sleep", "1000"], name="sidecar", network="container:db")
    sidecar.remove()
    tell("pod")
    on = {"networks": [backend]} if number % 2 else {"network": network}
    pod = pods.run_pod(
        **on,
        share="+pid" if number % 2 else "net,ipc,uts",
        a={"image": BUSYBOX, "command": ["sleep", "1000"], "ports": ports},
        b={"image": BUSYBOX, "command": ["sleep", "1000"], "needs": ["a"], "restart": "always"},
    )
    tell("join pod")
    pods.run(BUSYBOX, ["sleep", "1000"], pod=pod.name, name="late")
    if not on.get("networks") and network == "private":
        tell("connect pod")
        backend.connect(pod)
    tell("remove pod")
    pod.remove()
    tell("kube")
    (pod,) = pods.play_kube(KUBE, network=network)
    tell("remove kube")
    pod.remove()
    tell("disconnect")
    backend.disconnect(web)
    tell("remove network")
    backend.remove(force=True)
    web.remove()
    tell("remove")
    container.remove()
    tell("remove volume")
    pods.remove_volume(f"shared{number}")
    tell("next")
