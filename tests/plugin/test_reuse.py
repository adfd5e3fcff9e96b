"""`--pods-reuse`: what is wider than a test stays for the next run, which finds it again by what it was made from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import busybox_builder, file
from tests.support.leaks import wait_until_clean

pytestmark = pytest.mark.usefixtures("store", "kept_sessions_end")

HEAD = f"""
import os, signal, time
import pytest
from pytest_pods import container_fixture, network_fixture, pod_fixture, volume_fixture

BUSYBOX = {BUSYBOX!r}
IDLE = ["sleep", "1000"]

def tell(*values):
    with open(os.environ["TOLD"], "a") as file:
        print(*values, file=file)
"""

DB = """
db = container_fixture(BUSYBOX, IDLE, scope="session", network="none", env={"VERSION": os.environ.get("VERSION", "")})
"""

TEST = """
def test_one(db):
    tell(db.id)
    assert db.exec(["true"]).ok
"""


@pytest.fixture(autouse=True)
def progress(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the inner tests tell what they have seen."""
    path = pytester.path / "told"
    path.touch()
    monkeypatch.setenv("TOLD", str(path))
    return path


def make_suite(pytester: pytest.Pytester, conftest: str = DB, test: str = TEST) -> None:
    pytester.makepyfile(helpers=HEAD)
    pytester.makeconftest(f"from helpers import *\n{conftest}")
    pytester.makepyfile(test_it=f"from helpers import *\n{test}")


def run(pytester: pytest.Pytester, *arguments: str, passed: int = 1, said: str | None = None) -> pytest.RunResult:
    result = pytester.runpytest_subprocess("--pods-reuse", *arguments)
    result.assert_outcomes(passed=passed)
    if said is not None:
        result.stdout.fnmatch_lines([said])
    return result


def open_reused(store: Path) -> Engine:
    (record,) = (one for one in Engine.sessions(store) if one.kind.value == "reused")
    return Engine.attach(record.id, root=store)


def test_next_run_finds_it_again(pytester: pytest.Pytester, progress: Path) -> None:
    make_suite(pytester)
    run(pytester, said="pods: 1 container")
    run(pytester, said="pods: 0 containers, 1 reused")
    run(pytester, "-n2", "--dist=each", passed=2, said="pods: 0 containers, 1 reused")
    run(pytester, "-p", "no:xdist", said="pods: 0 containers, 1 reused")
    assert len(set(progress.read_text().split())) == 1


def test_what_workers_have_made_is_found_again(pytester: pytest.Pytester, progress: Path) -> None:
    make_suite(pytester)
    run(pytester, "-n2", "--dist=each", passed=2, said="pods: 1 container")
    run(pytester, said="pods: 0 containers, 1 reused")
    assert len(set(progress.read_text().split())) == 1


@pytest.mark.parametrize("what", ["specification", "image", "exited", "removed"])
def test_stale_one_is_replaced(
    pytester: pytest.Pytester,
    progress: Path,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    what: str,
) -> None:
    reference = "localhost/changing:1"

    def load(text: str) -> None:
        image = busybox_builder().layer({"text": file(text)}).build()
        archive = image.write_docker_archive(tmp_path / f"{text}.tar", names=[reference])
        with Engine.open(root=store) as engine:
            engine.load(archive)

    load("one")
    make_suite(pytester, DB.replace("BUSYBOX", repr(reference)))
    run(pytester)
    if what == "specification":
        monkeypatch.setenv("VERSION", "2")
    elif what == "image":
        load("two")
    else:
        with open_reused(store) as engine:
            (container,) = engine.containers()
            if what == "exited":
                container.kill()
            else:
                container.remove()
    run(pytester, said="pods: 1 container")
    run(pytester, said="pods: 0 containers, 1 reused")
    first, second, third = progress.read_text().split()
    assert (first != second, second == third) == (True, True)
    with open_reused(store) as engine:
        assert [one.id for one in engine.containers()] == [third]
        engine.containers()[0].remove()
        engine.remove_image(reference, force=True)


def test_one_that_has_become_unhealthy_is_replaced(pytester: pytest.Pytester, progress: Path, store: Path) -> None:
    make_suite(
        pytester,
        """
from pytest_pods import HealthCheck

CHECK = HealthCheck(["test", "!", "-e", "/sick"], interval=0.05, retries=1)
db = container_fixture(BUSYBOX, IDLE, scope="session", network="none", health=CHECK)
""",
    )
    run(pytester, said="pods: 1 container")
    with open_reused(store) as engine:
        (container,) = engine.containers()
        container.write("/sick", b"")
        container.wait_until(lambda: container.health is not None and container.health.status == "unhealthy")
    run(pytester, said="pods: 1 container")
    run(pytester, said="pods: 0 containers, 1 reused")
    first, second, third = progress.read_text().split()
    assert (first != second, second == third) == (True, True)


def test_pods_networks_and_volumes_are_reused_with_what_uses_them(
    pytester: pytest.Pytester, progress: Path, store: Path
) -> None:
    make_suite(
        pytester,
        """
backend = network_fixture(scope="session")
seed = volume_fixture(content={"greeting": "hello"}, scope="session")
shop = pod_fixture(a=dict(image=BUSYBOX, command=IDLE), b=dict(image=BUSYBOX, command=IDLE), scope="module")

def describe(backend, seed):
    return {"image": BUSYBOX, "command": IDLE, "networks": {backend: {"aliases": ["db"]}}, "volumes": {"/seed": seed}}

db = container_fixture(describe, scope="session")
""",
        """
def test_one(db, shop, backend, seed, run_container):
    tell(db.id, shop.id, backend.id, seed.name)
    web = run_container(BUSYBOX, IDLE, networks=[backend])
    assert db.ip in web.succeed("nslookup db")
    assert db.read("/seed/greeting") == b"hello"
    assert shop["a"].exec(["true"]).ok
""",
    )
    run(pytester, said="pods: 4 containers")
    run(pytester, said="pods: 1 container, 2 reused")
    first, second = progress.read_text().splitlines()
    assert first == second
    with open_reused(store) as engine:
        assert len(engine.containers()) == 3


def test_only_what_is_wider_than_a_test_is_kept(pytester: pytest.Pytester, store: Path) -> None:
    make_suite(
        pytester,
        """
narrow = container_fixture(BUSYBOX, IDLE, network="none")
wide = container_fixture(BUSYBOX, IDLE, network="none", scope="class", name="wide")
""",
        """
@pytest.mark.container(BUSYBOX, IDLE, network="none")
def test_one(container, narrow, wide, pods, run_container):
    run_container(BUSYBOX, IDLE, network="none")
    pods.run(BUSYBOX, IDLE, network="none")
""",
    )
    run(pytester)
    assert [one.kind.value for one in Engine.sessions(store)] == ["reused"]
    with open_reused(store) as engine:
        assert [one.name for one in engine.containers()] == ["wide"]


def test_killed_run_leaves_it_to_the_next_and_nothing_else(
    pytester: pytest.Pytester, progress: Path, store: Path
) -> None:
    make_suite(
        pytester,
        'backend = network_fixture("backend", scope="session")\n' + DB,
        """
def test_one(db, backend, run_container):
    tell(db.id)
    if "KILL" in os.environ:
        run_container(BUSYBOX, IDLE, networks=[backend])
        os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    killed = subprocess.run(
        [sys.executable, "-m", "pytest", "--pods-reuse"], env={**os.environ, "KILL": "1"}, capture_output=True
    )
    assert killed.returncode < 0
    run(pytester, said="pods: 0 containers, 1 reused")
    first, second = progress.read_text().split()
    assert first == second
    with open_reused(store) as engine:
        assert [one.id for one in engine.containers()] == [first]


def test_two_runs_at_the_same_time_use_the_same_and_what_is_narrower_is_each_ones_own(
    pytester: pytest.Pytester, progress: Path, store: Path
) -> None:
    make_suite(
        pytester,
        DB + 'narrow = container_fixture(BUSYBOX, IDLE, network="none", scope="module")\n',
        """
def test_one(db, narrow):
    tell(db.id, narrow.id)
    end = time.monotonic() + 60
    while len(open(os.environ["TOLD"]).readlines()) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
""",
    )
    argv = [sys.executable, "-m", "pytest", "--pods-reuse", "-p", "no:cacheprovider"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as other:
        run(pytester)
        output, _ = other.communicate(timeout=120)
    assert other.returncode == 0, output
    one, two = (line.split() for line in progress.read_text().splitlines())
    assert (one[0] == two[0], one[1] == two[1]) == (True, False)
    with open_reused(store) as engine:
        kept = {container.id for container in engine.containers()}
    assert one[0] in kept
    assert len(kept & {one[1], two[1]}) == 1


def test_it_goes_when_its_lease_is_over(pytester: pytest.Pytester, store: Path) -> None:
    make_suite(pytester)
    run(pytester, "--pods-reuse-for=1s")
    assert wait_until_clean(lambda: [one.id for one in Engine.sessions(store)], patience_s=30) == []
    run(pytester, said="pods: 1 container")


def test_command_line_shows_it_and_removes_it(pytester: pytest.Pytester, store: Path) -> None:
    make_suite(pytester, DB.replace('network="none"', 'network="none", name="db"'))
    run(pytester, "--pods-reuse-for=2h")
    command = [sys.executable, "-m", "pytest_pods", "--root", str(store)]

    def call(*words: str) -> str:
        return subprocess.run([*command, *words], check=True, capture_output=True, text=True).stdout

    (line,) = call("sessions", "ls", "--format", "{{.Kind}} {{.Containers}} {{.Ends}}").splitlines()
    assert line.startswith("reused 1 in ")
    assert "db" in call("ps", "--format", "{{.Names}}").split()
    call("rm", "--force", "db")
    run(pytester, said="pods: 1 container")
    call("sessions", "rm", "reused")
    assert Engine.sessions(store) == []
