"""What is session-scoped is made once for all workers of xdist, and goes when the last has finished."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_store import BUSYBOX
from tests.support.leaks import HostState, find_leaks, wait_until_clean

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import os, pathlib, signal, time
import pytest
from pytest_pods import container_fixture, network_fixture, pod_fixture, volume_fixture

BUSYBOX = {BUSYBOX!r}
IDLE = ["sleep", "1000"]
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")

def tell(what, *values):
    with open(os.environ["TOLD"], "a") as file:
        print(what, WORKER, *values, file=file)

def told(what):
    with open(os.environ["TOLD"]) as file:
        return [line.split()[1:] for line in file if line.split()[0] == what]

def await_told(what, count):
    end = time.monotonic() + 60
    while len(told(what)) < count:
        assert time.monotonic() < end
        time.sleep(0.02)
"""

DB = """
db = container_fixture(BUSYBOX, IDLE, scope="session", network="none")
"""


@pytest.fixture(autouse=True)
def progress(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the inner tests tell each other, and us, what they have seen."""
    path = pytester.path / "told"
    path.touch()
    monkeypatch.setenv("TOLD", str(path))
    return path


def make_suite(pytester: pytest.Pytester, conftest: str = DB, **files: str) -> None:
    pytester.makepyfile(helpers=HEAD)
    pytester.makeconftest(f"from helpers import *\n{conftest}")
    pytester.makepyfile(**{name: f"from helpers import *\n{text}" for name, text in files.items()})


def read_told(progress: Path, what: str) -> dict[str, list[list[str]]]:
    """By worker, what it has told."""
    found = defaultdict(list)
    for line in progress.read_text().splitlines():
        said, worker, *values = line.split()
        if said == what:
            found[worker].append(values)
    return found


TWO_EACH = """
@pytest.mark.parametrize("n", range(2))
def test_one(db, n):
    tell("id", db.id)
    assert db.exec(["true"]).ok
"""


@pytest.mark.parametrize(
    ("arguments", "tests", "workers"),
    [
        (["-n2", "--dist=load"], 4, 2),
        (["-n2", "--dist=loadscope"], 4, 2),
        (["-n2", "--dist=loadfile"], 4, 2),
        (["-n2", "--dist=loadgroup"], 4, 2),
        (["-n2", "--dist=worksteal"], 4, 2),
        (["-n2", "--dist=each"], 8, 2),
        (["--dist=no", "-n0"], 4, 1),
        (["-n1"], 4, 1),
        (["-p", "no:xdist"], 4, 1),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_session_scoped_container_is_made_once_however_tests_are_distributed(
    pytester: pytest.Pytester, progress: Path, arguments: list[str], tests: int, workers: int
) -> None:
    make_suite(pytester, test_a=TWO_EACH, test_b=TWO_EACH)
    result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=tests)
    result.stdout.fnmatch_lines(["pods: 1 container"])
    told = read_told(progress, "id")
    assert (len(told), sum(len(values) for values in told.values())) == (workers, tests)
    assert len({value for values in told.values() for (value,) in values}) == 1


def test_tests_without_containers_open_no_session_for_workers(pytester: pytest.Pytester, progress: Path) -> None:
    make_suite(
        pytester,
        """
def pytest_testnodedown(node):
    import sys
    tell("loaded", "pytest_pods.engine.api" in sys.modules)
""",
        test_a="def test_one(): ...",
    )
    pytester.runpytest_subprocess("-n1").assert_outcomes(passed=1)
    assert read_told(progress, "loaded") == {"alone": [["False"]]}


EVERYTHING = """
backend = network_fixture(scope="session")
inner = network_fixture("inner", scope="session", internal=True)
seed = volume_fixture(content={"greeting": "hello"}, scope="session")
shop = pod_fixture(scope="session", network="none",
    a=dict(image=BUSYBOX, command=IDLE), b=dict(image=BUSYBOX, command=IDLE, needs=["a"]))

def describe(backend, seed):
    return {"image": BUSYBOX, "command": IDLE, "networks": {backend: {"aliases": ["db"]}}, "volumes": {"/seed": seed}}

db = container_fixture(describe, scope="session")
"""


def test_pods_networks_and_volumes_are_shared_and_tests_use_them_beside_their_own(
    pytester: pytest.Pytester, progress: Path
) -> None:
    make_suite(
        pytester,
        EVERYTHING,
        test_a="""
@pytest.mark.parametrize("n", range(2))
def test_one(db, shop, backend, inner, seed, run_container, run_pod, pods, n):
    tell("ids", db.id, shop.id, backend.id, inner.id, seed.name)
    await_told("ids", 2 * (n + 1))
    web = run_container(BUSYBOX, IDLE, networks=[backend, inner], volumes={"/seed": seed})
    assert db.ip in web.succeed("nslookup db")
    assert web.read("/seed/greeting") == b"hello"
    beside = run_container(BUSYBOX, IDLE, network=f"container:{db.name}")
    assert beside.succeed("hostname -i || true") is not None
    pod = run_pod(one=dict(image=BUSYBOX, command=IDLE), networks=[backend])
    assert db.ip in pod["one"].succeed("nslookup db")
    own = run_container(BUSYBOX, IDLE, network="none")
    assert [one.id for one in pods.containers()] == [own.id]
    tell("done", n)

def test_end(db, backend, seed, pods):
    await_told("done", 4)
    end = time.monotonic() + 60
    # The other worker removes its own in the background.
    while backend.containers() != [db] or seed.users() != [db]:
        assert time.monotonic() < end
        time.sleep(0.02)
""",
    )
    result = pytester.runpytest_subprocess("-n2", "--dist=each")
    result.assert_outcomes(passed=6)
    told = read_told(progress, "ids")
    assert len(told) == 2
    assert len({tuple(value) for values in told.values() for value in values}) == 1


def test_container_cannot_use_what_is_shared_and_what_is_its_workers_own(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        'backend = network_fixture("backend", scope="session")\n',
        test_a="""
def test_one(backend, make_network, run_container):
    own = make_network("own")
    run_container(BUSYBOX, IDLE, network="own")
    run_container(BUSYBOX, IDLE, networks=[backend, own])
""",
    )
    result = pytester.runpytest_subprocess("-n1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*ConflictError: network backend is shared with other processes, and network own is this one's own:*",
            '*hint: declare both with scope="session"',
        ]
    )


def test_what_differs_between_workers_is_separate_and_what_resolves_to_session_scope_is_not(
    pytester: pytest.Pytester, progress: Path
) -> None:
    make_suite(
        pytester,
        """
def describe(worker_id):
    return {"image": BUSYBOX, "command": IDLE, "network": "none", "env": {"WORKER": worker_id}}

own = container_fixture(describe, scope="session")
dynamic = container_fixture(BUSYBOX, IDLE, network="none", scope=lambda fixture_name, config: "session")
twin = container_fixture(BUSYBOX, IDLE, network="none", scope="session")
narrow = container_fixture(BUSYBOX, IDLE, network="none", scope="module")
""",
        test_a="""
def test_one(own, dynamic, twin, narrow):
    assert own.succeed("echo $WORKER").strip() == WORKER
    tell("ids", own.id, dynamic.id, twin.id, narrow.id)
    await_told("ids", 2)
""",
    )
    pytester.runpytest_subprocess("-n2", "--dist=each").assert_outcomes(passed=2)
    (one,), (two,) = read_told(progress, "ids").values()
    assert [first == second for first, second in zip(one, two, strict=True)] == [False, True, True, False]
    assert len({*one, *two}) == 6


def test_each_worker_reports_the_lines_of_its_own_test(pytester: pytest.Pytester) -> None:
    make_suite(
        pytester,
        test_a="""
def say(db, text):
    db.succeed(f"echo {text} > /proc/1/fd/1")

def test_one(db):
    if WORKER == "gw0":
        say(db, "before")
        tell("first")
    else:
        await_told("first", 1)

def test_two(db):
    if WORKER == "gw1":
        say(db, "during")
        assert False
""",
    )
    result = pytester.runpytest_subprocess("-n2", "--dist=each")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        ["db: running since *", "*container * (localhost/busybox:1), fixture db", "*  db    | during"]
    )
    result.stdout.no_fnmatch_line("*| before")


def test_hooks_are_called_once_for_what_is_shared(pytester: pytest.Pytester, progress: Path) -> None:
    make_suite(
        pytester,
        DB
        + """
def pytest_pods_container_created(container, fixture): tell("created", fixture)
def pytest_pods_container_ready(container, fixture): tell("ready", fixture)
def pytest_pods_before_remove(container, fixture): tell("before_remove", fixture, container.running)
def pytest_pods_container_removed(container, fixture): tell("removed", fixture)
""",
        test_a=TWO_EACH,
    )
    pytester.runpytest_subprocess("-n2", "--dist=each").assert_outcomes(passed=4)
    for hook in ("created", "ready"):
        assert [*read_told(progress, hook).values()] == [[["db"]]]
    # When no worker is left that could.
    assert read_told(progress, "before_remove") == {"alone": [["db", "True"]]}
    assert read_told(progress, "removed") == {"alone": [["db"]]}


def test_failure_to_make_it_is_told_to_every_worker(pytester: pytest.Pytester, progress: Path) -> None:
    make_suite(
        pytester,
        """
db = container_fixture(BUSYBOX, ["sh", "-c", "echo broken; exit 3"], scope="session", network="none",
    wait=lambda container: False)

def pytest_pods_container_created(container): tell("created")
""",
        test_a="def test_one(db): ...",
    )
    result = pytester.runpytest_subprocess("-n2", "--dist=each")
    result.assert_outcomes(errors=2)
    assert result.stdout.str().count("ExitedEarlyError: ") >= 2
    assert result.stdout.str().count("broken") >= 2
    assert [*read_told(progress, "created").values()] == [[[]]]


ON_NETWORK = """
backend = network_fixture("backend", scope="session")

def describe(backend):
    return {"image": BUSYBOX, "command": IDLE, "networks": [backend]}

db = container_fixture(describe, scope="session")
"""


@pytest.mark.parametrize("end", ["os._exit(33)", "os.kill(os.getpid(), signal.SIGKILL)", "leave_a_child()"])
def test_worker_that_crashes_releases_only_its_own(pytester: pytest.Pytester, progress: Path, end: str) -> None:
    make_suite(
        pytester,
        ON_NETWORK,
        test_a=f"""
def leave_a_child():
    # It inherits every descriptor of the worker.
    child = os.fork()
    if child == 0:
        os.setsid()
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        signal.alarm(60)
        signal.pause()
    tell("child", child)
    os._exit(33)

def test_crash(db, backend, run_container):
    db.succeed("touch /here")
    # A name that this worker had, and that is another's by now.
    with_name = run_container(BUSYBOX, IDLE, name="of-the-living", networks=[backend])
    with_name.remove()
    run_container(BUSYBOX, IDLE, name="of-the-crashed", networks=[backend])
    tell("made")
    await_told("ready", 1)
    {end}
""",
        test_b="""
def test_lives(db, backend, run_container):
    await_told("made", 1)
    run_container(BUSYBOX, IDLE, name="of-the-living", networks=[backend])
    tell("ready")
    end = time.monotonic() + 60
    while "of-the-crashed" in (names := {one.name for one in backend.containers()}):
        assert time.monotonic() < end
        time.sleep(0.02)
    for _, child in told("child"):
        # xdist waits for it.
        os.kill(int(child), signal.SIGKILL)
    assert names == {db.name, "of-the-living"}
    assert db.exec(["ls", "/here"]).ok
""",
    )
    result = pytester.runpytest_subprocess("-n2", timeout=120)
    result.assert_outcomes(passed=1, failed=1)


def test_worker_that_is_killed_while_it_makes_something_leaves_it_to_another(
    pytester: pytest.Pytester, progress: Path
) -> None:
    make_suite(
        pytester,
        """
def is_ready(container):
    tell("making", container.id)
    if len(told("making")) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return True

db = container_fixture(BUSYBOX, IDLE, scope="session", name="db", network="none", wait=is_ready)
""",
        test_a="def test_one(db): tell('used', db.id)",
        test_b="def test_one(db): tell('used', db.id)",
    )
    result = pytester.runpytest_subprocess("-n2", timeout=120)
    result.assert_outcomes(passed=1, failed=1)
    half_made, whole = (value for told in read_told(progress, "making").values() for (value,) in told)
    assert half_made != whole
    assert [*read_told(progress, "used").values()] == [[[whole]]]


def test_interrupted_controller_that_is_killed_leaves_nothing(pytester: pytest.Pytester, progress: Path) -> None:
    make_suite(
        pytester,
        ON_NETWORK,
        test_a="""
def test_one(backend, db, run_container):
    run_container(BUSYBOX, IDLE, networks=[backend])
    tell("there", os.getpid())
    time.sleep(300)
""",
    )
    before = HostState.take()
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n2", "--dist=each"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert not wait_until_clean(
            lambda: [] if len(read_told(progress, "there")) == 2 else ["not there yet"], patience_s=60
        )
        process.kill()
    store = Path(os.environ["PYTEST_PODS_ROOT"])
    assert wait_until_clean(lambda: find_leaks(before, store), patience_s=20) == []
    workers = [Path(f"/proc/{pid}") for told in read_told(progress, "there").values() for (pid,) in told]
    assert wait_until_clean(lambda: [str(one) for one in workers if one.exists()], patience_s=30) == []


@pytest.mark.usefixtures("kept_sessions_end")
def test_what_is_kept_of_what_is_shared_is_counted_once(pytester: pytest.Pytester, store: Path) -> None:
    make_suite(
        pytester,
        DB + 'other = container_fixture(BUSYBOX, IDLE, scope="session", network="none", name="other")\n',
        test_a="def test_one(db): assert False\ndef test_two(other): ...",
    )
    result = pytester.runpytest_subprocess("-n2", "--dist=each", "--pods-keep=failed")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*kept containers*", "*of test_a.py::test_one", "pods: 2 containers, 1 kept"])
    (session,) = Engine.sessions(store)
    assert session.kind.value == "kept"
    with Engine.attach(session.id, root=store) as engine:
        (kept,) = engine.containers()
        assert kept.running
        assert kept.name != "other"


@pytest.mark.usefixtures("kept_sessions_end")
def test_workers_keep_their_own_beside_what_is_shared(pytester: pytest.Pytester, store: Path) -> None:
    make_suite(
        pytester,
        'backend = network_fixture("backend", scope="session")\n',
        test_a="""
def test_one(backend, run_container):
    run_container(BUSYBOX, IDLE, name=f"kept-{WORKER}", networks=[backend])
    assert False

def test_two(backend, run_container):
    run_container(BUSYBOX, IDLE, networks=[backend])
""",
    )
    result = pytester.runpytest_subprocess("-n2", "--dist=each", "--pods-keep=failed")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*kept-gw* of test_a.py::test_one", "pods: 4 containers, 2 kept"])
    (session,) = Engine.sessions(store)
    with Engine.attach(session.id, root=store) as engine:
        assert {one.name for one in engine.containers()} == {"kept-gw0", "kept-gw1"}
        assert {one.name for one in engine.network("backend").containers()} == {"kept-gw0", "kept-gw1"}
