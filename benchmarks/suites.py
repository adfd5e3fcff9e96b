"""Whole test suites: the same tests, each with an HTTP service of its own, on us, on Testcontainers, on podman."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.docker import Docker
from benchmarks.harness import Case
from benchmarks.podman import Podman
from pytest_pods import Engine

TESTS = 100
TAKES_S = 0.1
"""What a test of some suites takes by itself, waiting: for an answer of its service, say."""
CONTAINERS = 50

# What all of them ask, in the same way.
_ASK = """\
import http.client

def ask(host, port):
    connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.request("GET", "/hostname")
    assert connection.getresponse().status == 200
    connection.close()
"""

# It sleeps because a test waits for others most of its time, and must not compute what would be measured with it.
_OURS = """\
import time
import pytest
from pytest_pods import waits
from ask import ask

@pytest.mark.container({image!r}, {command!r}, ports=[8080], wait=waits.http("/hostname", 8080))
@pytest.mark.parametrize("number", range({tests}))
def test_service(container, number):
    time.sleep({takes_s})
    ask(*container.address(8080))
"""

# Its wait is asked to look a hundred times as often as by default, which is once a second.
_TESTCONTAINERS = """\
import datetime
import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy
from ask import ask

@pytest.fixture
def service():
    ready = HttpWaitStrategy(8080, "/hostname").for_status_code(200)
    ready.with_poll_interval(datetime.timedelta(milliseconds=10))
    container = DockerContainer({image!r}, command={command!r}).with_exposed_ports(8080).waiting_for(ready)
    with container:
        yield container

@pytest.mark.parametrize("number", range({tests}))
def test_service(service, number):
    ask(service.get_container_host_ip(), int(service.get_exposed_port(8080)))
"""

_PODMAN = """\
import http.client
import subprocess
import time
import pytest
from ask import ask

def podman(*arguments):
    return subprocess.run([*{podman!r}, *arguments], check=True, capture_output=True, text=True).stdout.strip()

def wait_ready(host, port):
    end = time.monotonic() + 20
    while True:
        try:
            return ask(host, port)
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < end
            time.sleep(0.01)

@pytest.fixture
def service():
    name = podman("run", "-d", "-p", "127.0.0.1::8080", {image!r}, *{command!r})
    host, _, port = podman("port", name, "8080").rpartition(":")
    wait_ready(host, int(port))
    yield host, int(port)
    podman("rm", "-f", "-t", "0", name)

@pytest.mark.parametrize("number", range({tests}))
def test_service(service, number):
    ask(*service)
"""

_MANY = """\
import time
from pathlib import Path

def test_many(run_container):
    for _ in range({containers}):
        run_container({image!r}, ["sleep", "600"], network="none")
    Path("ready").write_text("")
    time.sleep(600)
"""

_COMMAND = ["httpd", "-f", "-p", "8080", "-h", "/etc"]


@dataclass(frozen=True, slots=True)
class Suite:
    """A directory with the same tests for one of the sides, and how pytest is run in it."""

    directory: Path
    environment: dict[str, str]
    prefix: Callable[[list[str]], list[str]] = lambda command: command

    def run(self, *options: str) -> float:
        """Milliseconds a test; raises CalledProcessError if one failed."""
        started = time.perf_counter()
        done = self.start(*options)
        output, _ = done.communicate()
        took_ms = (time.perf_counter() - started) * 1000
        if done.returncode != 0:
            raise RuntimeError(f"the suite in {self.directory} failed:\n{output.decode(errors='replace')[-3000:]}")
        return took_ms / TESTS

    def with_options(self, *options: str) -> Callable[[], float]:
        return lambda: self.run(*options)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return subprocess.Popen(
            self.prefix(command), cwd=self.directory, env={**inherited, **self.environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def build_suite_cases(podman: Podman, docker: Docker, image: str, archive: Path, directory: Path) -> list[Case]:
    """`image`: the reference that podman and we have; `archive`: the same for `docker load`."""
    loaded = docker.run("load", "--quiet", "--input", str(archive)).rpartition(": ")[2].strip()
    # Each side loads the plugins that it needs, as a suite of its kind would.
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    store = {"PYTEST_PODS_ROOT": str(directory / "store")}
    ours = Suite(
        _write(directory / "ours", _OURS.format(image=image, command=_COMMAND, tests=TESTS, takes_s=0)),
        {**alone, **store, "PYTEST_PLUGINS": "pytest_pods.plugin"},
    )
    with_xdist = {**ours.environment, "PYTEST_PLUGINS": "pytest_pods.plugin,xdist.plugin"}
    xdist = Suite(ours.directory, with_xdist)
    lasting = Suite(
        _write(directory / "lasting", _OURS.format(image=image, command=_COMMAND, tests=TESTS, takes_s=TAKES_S)),
        with_xdist,
    )
    testcontainers = Suite(
        _write(directory / "testcontainers", _TESTCONTAINERS.format(image=loaded, command=_COMMAND, tests=TESTS)),
        # Its reaper is an image of its own: it would come on top.
        {**alone, **docker.environment, "TESTCONTAINERS_RYUK_DISABLED": "true"},
        docker.inside,
    )
    commands = Suite(
        _write(directory / "podman-suite", _PODMAN.format(
            image=image, command=_COMMAND, tests=TESTS, podman=[podman.program, *podman.options],
        )),
        {**alone, **podman.environment},
    )  # fmt: skip
    many = Suite(
        _write(directory / "many", _MANY.format(image=image, containers=CONTAINERS)), ours.environment
    )
    off = "--pods-lookahead=0"

    def case(
        what: str, target: float, side: Callable[[], float], other: Callable[[], float], rounds: int = 2
    ) -> Case:
        name = f"{TESTS} tests with an HTTP service each, a test{what}"
        return Case(name, target, side, other, rounds=rounds, warm_up=0)

    return [
        case(": Testcontainers on Docker", 0.1, ours.run, testcontainers.run),
        case(", no look-ahead: Testcontainers on Docker", 0.25, ours.with_options(off), testcontainers.run),
        case(": podman commands in a fixture", 0.1, ours.run, commands.run),
        case(", no look-ahead: podman commands in a fixture", 0.25, ours.with_options(off), commands.run),
        case(", 2 workers of xdist: 1 worker", 1 / 1.6, xdist.with_options("-n2"), xdist.with_options("-n1"), 5),
        case(
            ", no look-ahead, 2 workers of xdist: 1 worker", 1 / 1.6,
            xdist.with_options("-n2", off), xdist.with_options("-n1", off), 5,
        ),
        case(
            f" that takes {TAKES_S} s, 2 workers of xdist: 1 worker", 1 / 1.6,
            lasting.with_options("-n2"), lasting.with_options("-n1"), 5,
        ),
        Case(
            f"a run with {CONTAINERS} containers killed: until nothing is left", 1000.0,
            lambda: _measure_kill(many, directory / "store"), rounds=5, warm_up=0,
        ),
    ]  # fmt: skip


def _write(directory: Path, text: str) -> Path:
    directory.mkdir()
    (directory / "ask.py").write_text(_ASK)
    (directory / "test_suite.py").write_text(text)
    (directory / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    return directory


def _measure_kill(suite: Suite, store: Path) -> float:
    """Milliseconds from SIGKILL until the last process of the run, and its session's directory, are gone."""
    ready = suite.directory / "ready"
    ready.unlink(missing_ok=True)
    before = {session.id for session in Engine.sessions(store)}
    run = suite.start()
    try:
        while not ready.exists():
            if run.poll() is not None:
                raise RuntimeError("the suite with many containers ended before they were there")
            time.sleep(0.01)
        processes = _find_descendants(run.pid)
        started = time.perf_counter()
        run.send_signal(signal.SIGKILL)
        while any(_lives(pid) for pid in processes) or {
            session.id for session in Engine.sessions(store)
        } - before:
            time.sleep(0.001)
        return (time.perf_counter() - started) * 1000
    finally:
        run.kill()
        run.communicate()


def _find_descendants(pid: int) -> set[int]:
    """Without the process itself, which stays until we have waited for it."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        for task in Path(f"/proc/{one}/task").iterdir():
            children = [int(text) for text in (task / "children").read_text().split()]
            found.update(children)
            waiting += children
    return found


def _lives(pid: int) -> bool:
    """Not if it only waits for the machine's first process to take notice of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
