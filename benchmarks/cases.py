"""The figures that the project promises, each as a pair of functions that do one thing once."""

from __future__ import annotations

import http.client
import itertools
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Case
from benchmarks.memory import memory_of_a_container
from benchmarks.networks import build_network_cases
from benchmarks.podman import Podman
from pytest_pods import Container, Engine

HTTPD = ["httpd", "-f", "-p", "8080", "-h", "/etc"]
PAGE = "/hostname"


def build_cases(pods: Engine, podman: Podman, *, small: str, large: str, directory: Path) -> list[Case]:
    """All cases, in the order of the table. `small` and `large` are references that both sides have, or can pull."""
    return [
        service(pods, podman, small),
        pod_of_two(pods, podman, small),
        run_true(pods, podman, small),
        *command_line(podman, small, directory),
        execute(pods, podman, small),
        *build_network_cases(pods, podman, small),
        pull(podman, large, directory),
        session_start(directory),
        plugin_cost(directory),
        Case("memory for each running container, without conmon", 1.0,
             lambda: memory_of_a_container(directory / "store", small), unit="MB", rounds=3),
    ]  # fmt: skip


def wait_for_page(host: str, port: int) -> None:
    """Asks until the first 200. Both sides are asked in the same way, by a client that costs next to nothing."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(host, port, timeout=5)
        try:
            connection.request("GET", PAGE)
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            # The interval counts towards both sides alike, and is short beside either.
            time.sleep(0.001)
        finally:
            connection.close()
    raise TimeoutError(f"no answer from {host}:{port}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def service(pods: Engine, podman: Podman, image: str) -> Case:
    def ours() -> None:
        container = pods.run(image, HTTPD, ports=[8080])
        wait_for_page(*container.address(8080))
        container.remove()

    def theirs() -> None:
        port = free_port()
        name = podman.run("run", "-d", "-p", f"127.0.0.1:{port}:8080", image, *HTTPD).strip()
        wait_for_page("127.0.0.1", port)
        podman.run("rm", "-f", "-t", "0", name)

    return Case("service with a published port: asked, first HTTP 200, removed", 0.25, ours, theirs)


def pod_of_two(pods: Engine, podman: Podman, image: str) -> Case:
    numbers = itertools.count()

    def ours() -> None:
        pod = pods.run_pod(
            web={"image": image, "command": HTTPD, "ports": [8080]},
            sidecar={"image": image, "command": ["sleep", "600"]},
        )
        wait_for_page(*pod["web"].address(8080))
        pod.remove()

    def theirs() -> None:
        port, name = free_port(), f"bench{next(numbers)}"
        podman.run("pod", "create", "--name", name, "-p", f"127.0.0.1:{port}:8080")
        podman.run("run", "-d", "--pod", name, image, *HTTPD)
        podman.run("run", "-d", "--pod", name, image, "sleep", "600")
        wait_for_page("127.0.0.1", port)
        podman.run("pod", "rm", "-f", "-t", "0", name)

    return Case("a pod of two, one with a published port: asked, first HTTP 200, removed", 0.15, ours, theirs,
                rounds=10)  # fmt: skip


def run_true(pods: Engine, podman: Podman, image: str) -> Case:
    def ours() -> None:
        container = pods.run(image, ["true"], network="none")
        if container.wait() != 0:
            raise RuntimeError(container.logs())
        container.remove()

    return Case(
        "`true` without network, through Python", 0.35, ours,
        lambda: _drop(podman.run("run", "--rm", "--network", "none", image, "true")),
    )  # fmt: skip


def command_line(podman: Podman, image: str, directory: Path) -> list[Case]:
    def case(network: list[str], note: str) -> Case:
        return Case(
            f"`run --rm` of `true` on the command line{note}", 0.7,
            lambda: run_command(directory, "run", "--rm", *network, image, "true"),
            lambda: _drop(podman.run("run", "--rm", *network, image, "true")),
        )  # fmt: skip

    return [case(["--network", "none"], ", no network"), case([], ", network as by default")]


def run_command(directory: Path, *arguments: str) -> None:
    """`pytest-pods ARGUMENTS…` on the store of the benchmark."""
    command = Path(sys.executable).with_name("pytest-pods")
    argv = [str(command)] if command.exists() else [sys.executable, "-m", "pytest_pods"]
    quietly([*argv, *arguments], PYTEST_PODS_ROOT=str(directory / "store"))


def quietly(command: list[str], *, cwd: Path | None = None, **environment: str) -> None:
    """Runs a program with `environment` added to ours; its errors are shown, its output is not.

    Modules are compiled once, as on every machine where the package is installed.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        command, cwd=cwd, env={**inherited, **environment}, check=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def execute(pods: Engine, podman: Podman, image: str) -> Case:
    ready: list[tuple[Container, str]] = []

    def prepare() -> None:
        if not ready:
            container = pods.run(image, ["sleep", "600"], network="none")
            name = podman.run("run", "-d", "--network", "none", image, "sleep", "600").strip()
            ready.append((container, name))

    return Case(
        "exec of `true` in a running container", 0.05,
        lambda: _drop(ready[0][0].exec(["true"], check=True)),
        lambda: _drop(podman.run("exec", ready[0][1], "true")),
        between=prepare,
    )  # fmt: skip


def pull(podman: Podman, image: str, directory: Path) -> Case:
    # Each time into a new store, all of which are removed at the end: for a while after many files were removed, ext4
    # without a journal is thirty times slower at making new ones in their place.
    numbers = itertools.count()
    place = [directory]

    def between() -> None:
        place[0] = directory / f"pull{next(numbers)}"
        # A side that makes sure that its layers reach the disk must not wait for what the other left in memory.
        os.sync()

    def ours() -> None:
        quietly([sys.executable, "-m", "pytest_pods", "pull", "-q", image], PYTEST_PODS_ROOT=str(place[0]))

    def theirs() -> None:
        podman.elsewhere(place[0]).run("pull", "-q", "--tls-verify=false", image)

    return Case(
        "pull of 5 layers, 150 MB, 10,000 files from loopback", 1.0, ours, theirs, between=between
    )


def session_start(directory: Path) -> Case:
    def ours() -> float:
        pods = Engine.open(root=directory / "store")
        started = time.perf_counter()
        pods.start()
        took_ms = (time.perf_counter() - started) * 1000
        pods.close()
        return took_ms

    return Case("a session's start", 30.0, ours)


_SUITE = """\
from pathlib import Path

def children():
    return [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]

def test_has_no_process():
    assert children() == []

def test_one():
    pass
"""


def plugin_cost(directory: Path) -> Case:
    suite = directory / "suite"
    suite.mkdir()
    (suite / "test_suite.py").write_text(_SUITE)
    (suite / "nothing.py").write_text('"""A plugin that does nothing."""\n')

    def pytest(plugin: str) -> None:
        # Whoever loads a plugin, by whatever means, has the entry points searched: so both sides do.
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", plugin, str(suite)]
        quietly(command, cwd=suite, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    return Case(
        "a suite that uses no container: with the plugin, and without", 15.0,
        lambda: pytest("pytest_pods.plugin"), lambda: pytest("nothing"), difference=True, rounds=30,
    )  # fmt: skip


def _drop(value: object) -> None:
    """For the sides that are one expression: what it gives is not a figure."""
