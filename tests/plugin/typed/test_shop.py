"""Marks, fixtures, factories and waits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import pytest

from pytest_pods import (
    Container,
    ContainerSpec,
    Engine,
    ExecResult,
    HealthCheck,
    Image,
    MakeNetwork,
    MakeVolume,
    Network,
    Pod,
    PodsError,
    RunContainer,
    RunPod,
    Stats,
    Volume,
    Wait,
    waits,
)

SLEEP = ["sleep", "1000"]
SERVE = ["sh", "-c", "mkdir /www; echo hello > /www/index.html; echo serving; exec httpd -f -p 8080 -h /www"]

EVERY_WAIT: list[Wait] = [
    waits.port(8080),
    waits.listening(8080, timeout=20),
    waits.http("/", 8080, status=200, body=re.compile("hel+o")),
    waits.log("serving", times=1, stream="stdout"),
    waits.file("/www/index.html", contains="hello"),
    waits.exec(["test", "-d", "/www"]),
    waits.healthy(timeout=30),
    waits.any_of(waits.exit(0), lambda container: container.running),
]


def describe(tmp_path: Path) -> ContainerSpec | Mapping[str, object]:
    return {"image": "busybox", "command": SLEEP, "network": "none", "env": {"PLACE": str(tmp_path)}}


@pytest.mark.container(
    "busybox", SERVE, ports=[8080], wait=waits.all_of(*EVERY_WAIT), health=HealthCheck(["true"], interval=1)
)
class TestContainer:
    def test_container(self, container: Container) -> None:
        assert_type(container.address(8080), tuple[str, int])
        assert_type(container.exec(["true"]), ExecResult)
        assert_type(container.succeed("echo hi"), str)
        assert_type(container.stats(), Stats)
        assert_type(container.exit_code, int | None)
        assert container.read("/www/index.html") == b"hello\n"

    @pytest.mark.container(env={"MORE": "1"}, extend=True)
    def test_more(self, container: Container) -> None:
        assert container.succeed("echo $MORE") == "1\n"


@pytest.mark.container(spec=describe)
def test_function(container: Container, tmp_path: Path) -> None:
    assert container.succeed("echo $PLACE") == f"{tmp_path}\n"


@pytest.mark.container(images=["busybox", "busybox:other"], command=SLEEP, network="none")
def test_images(container: Container, either: Container) -> None:
    assert container.running
    assert either.running


@pytest.mark.pod(web={"image": "busybox", "command": SLEEP}, network="none")
def test_pods(pod: Pod, shop: Pod) -> None:
    assert_type(pod["web"], Container)
    assert list(pod) == list(shop) == ["web"]


def test_factories(
    run_container: RunContainer,
    run_pod: RunPod,
    make_network: MakeNetwork,
    make_volume: MakeVolume,
    written: Wait,
) -> None:
    network, volume = make_network(internal=True), make_volume(content={"a": b"b"})
    assert_type(network, Network)
    assert_type(volume, Volume)
    one = run_container("busybox", ["sh", "-c", "touch /ready; sleep 1000"], networks=[network], wait=written)
    assert_type(one, Container)
    pod = run_pod(web={"image": "busybox", "command": SLEEP, "volumes": {"/data": volume}}, network="none")
    assert_type(pod, Pod)
    assert pod["web"].read("/data/a") == b"b"


def test_artifacts(pods_artifacts: Path, cache: Container) -> None:
    (pods_artifacts / "said.txt").write_text(cache.logs())


def test_engine(pods: Engine) -> None:
    images = pods.images()
    assert_type(images, list[Image])
    made = pods.run(images[0].references[0], SLEEP, network="none", wait="started" if not images else None)
    assert_type(made, Container)
    with pytest.raises(PodsError):
        made.address(8080)


def test_declared(cache: Container, web: Container, backend: Network, content: Volume, box: Image) -> None:
    assert cache.running
    assert cache.image_id == str(box.id)
    assert web.read("/www/index.html") == b"hello\n"
    assert [one.id for one in backend.containers()] == [web.id]
    assert content.read("index.html") == b"hello\n"
