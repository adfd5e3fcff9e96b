"""What the next tests need is made while one runs, and nobody can tell but by the clock."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.faulty_proxy import Answer, FaultyProxy
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import BuiltImage, BuiltIndex, busybox_builder, busybox_image
from tests.support.registry import Registry

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import json, re, threading
from pathlib import Path
import pytest
from pytest_pods import container_fixture, pod_fixture, waits

BUSYBOX = {BUSYBOX!r}
SLEEP = ["sleep", "1000"]
SAY = ["sh", "-c", "echo up; sleep 1000"]
SERVE = ["sh", "-c", "echo up; nc -ll -p 80 -e echo here"]

def settle(*whose):
    # Whatever is made in the background is made, or has failed.
    for thread in threading.enumerate():
        if thread.name in (whose or ("pytest-pods look-ahead",)):
            thread.join()
"""

TAKEN = "taken by the test, made ahead of it"


def run(pytester: pytest.Pytester, text: str, *arguments: str, ahead: int = 2) -> pytest.RunResult:
    pytester.makepyfile(test_it=HEAD + text)
    return pytester.runpytest("-q", f"--pods-lookahead={ahead}", *arguments)


def find_taken(result: pytest.RunResult) -> list[str]:
    """The labels of containers that were made ahead, as far as reports show them."""
    return re.findall(rf"^\d\d:\d\d:\d\d\.\d+  (\S+) +{TAKEN}$", result.stdout.str(), re.MULTILINE)


WHOLE = """
def note(name, container):
    facts = {
        "env": container.succeed("env"), "mounts": container.succeed("cat /proc/mounts"),
        "hosts": sorted(" ".join(line.split()) for line in container.read("/etc/hosts").decode().splitlines()),
        "resolv": container.read("/etc/resolv.conf").decode(),
        "links": container.succeed("ip addr"), "routes": container.succeed("ip route"),
        "processes": re.findall(r"[{/].*", container.succeed("ps -o args")), "status": container.status,
        "ports": sorted(container.ports),
        "inspected": container.inspect()["HostConfig"],
    }
    with open("facts.txt", "a") as file:
        print(json.dumps([name, facts]), file=file)

declared = container_fixture(BUSYBOX, SLEEP, env={"A": "b"}, network="none")
wide = container_fixture(BUSYBOX, SAY, scope="module", network="none")
pair = pod_fixture(one=dict(image=BUSYBOX, command=SLEEP), two=dict(image=BUSYBOX, command=SAY, needs=["one"]))

@pytest.fixture
def rough():
    yield
    settle()

@pytest.mark.container(BUSYBOX, SAY, ports=[80], wait=waits.log("up"), env={"NAME": "value"})
class TestClass:
    def test_first(self, container): note("first", container)
    def test_failing(self, container, rough):
        note("failing", container)
        assert container.logs() == "other"
    @pytest.mark.parametrize("number", [1, 2])
    def test_numbers(self, container, number, rough): note(f"number {number}", container)
    @pytest.mark.skip
    def test_skipped(self, container): ...
    @pytest.mark.skipif("True")
    def test_skipped_by_condition(self, container): ...
    @pytest.mark.xfail(run=False)
    def test_not_run(self, container): ...
    @pytest.mark.xfail
    def test_expected(self, container, wide): assert False

@pytest.mark.container(BUSYBOX, ["false"], network="none", wait=waits.port(80))
def test_broken(rough, container): ...
@pytest.mark.container("localhost/missing:1", pull="never")
def test_missing(rough, container): ...
def test_declared(declared, pair, rough):
    note("declared", declared)
    note("pair", pair["two"])
@pytest.mark.pod(
    a=dict(image=BUSYBOX, command=SAY, wait=waits.log("up")),
    b=dict(image=BUSYBOX, command=["false"], needs=["a"], wait=waits.port(80)),
)
def test_bad_pod(pod, rough): ...
@pytest.mark.pod(a=dict(image=BUSYBOX, command=SAY, wait=waits.log("up")))
def test_good_pod(pod, wide):
    note("pod", pod["a"])
    assert False, "shown"
"""

TELLING = """
import pytest
def tell(*words):
    with open("told.txt", "a") as file:
        print(*words, file=file)
def pytest_pods_container_ready(container, fixture, nodeid):
    tell("ready", fixture, nodeid)
def pytest_pods_container_failed(container, fixture, nodeid, error):
    tell("failed", fixture, nodeid, type(error).__name__)
def pytest_pods_before_remove(container, fixture, nodeid):
    tell("before_remove", fixture, nodeid)
def pytest_pods_report_sections(container, fixture, nodeid):
    return [("of a hook", f"{fixture} of {nodeid}")]
def pytest_runtest_logreport(report):
    tell("report", report.nodeid, report.when, report.outcome, [title for title, text in report.sections])
"""

CHANGING = (
    (r"\b(\w\w:){5}\w\w\b", "MAC"),
    (r'"HostPort\W+\d+', "PORT"),
    (r" tentative", ""),
    (r"\d\d:\d\d:\d\d(\.\d+)?", "TIME"),
    (r"\b[0-9a-f]{12,64}\b", "ID"),
    (r"\b[a-z]+_[a-z]+_[0-9a-f]{4}\b", "NAME"),
    (r"\b[a-z]+-[a-z]+-[0-9a-f]{4}\b", "NAME"),
    (r"10\.86\.\d+\.\d+", "ADDRESS"),
    (r"fd00::[0-9a-f]+", "ADDRESS"),
    (r"fe80::[0-9a-f:]+", "ADDRESS"),
    (r"@if\d+|link-netnsid \d+", "PEER"),
    (r"^\d+: eth0", "N: eth0"),
    (r"127\.0\.0\.1:\d+", "PORT"),
    (r"\d+\.\d+ ?s\b", "SECONDS"),
    (r"0x[0-9a-f]+", "POINTER"),
    (r"\s+", " "),
)


def make_plain(text: str) -> str:
    """Without what is another in every run."""
    for pattern, instead in CHANGING:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text


def test_whole_run_is_the_same_with_look_ahead_and_without(pytester: pytest.Pytester) -> None:
    seen = []
    for ahead in (0, 3):
        pytester.makeconftest(TELLING)
        result = run(pytester, WHOLE, "--tb=short", "-rN", ahead=ahead)
        told = (pytester.path / "told.txt").read_text().splitlines()
        facts = [make_plain(line) for line in (pytester.path / "facts.txt").read_text().splitlines()]
        lines = [
            make_plain(line) for line in result.outlines if TAKEN not in line and not line.startswith(("====", "----"))
        ]
        # The one difference: what was made ahead had started before its test began.
        shown = sorted(line for line in lines if line.startswith("TIME "))
        seen.append([*told, *facts, *shown, *(line for line in lines if not line.startswith("TIME ")), result.ret])
        (pytester.path / "told.txt").unlink()
        (pytester.path / "facts.txt").unlink()
        if ahead:
            assert find_taken(result)
        else:
            assert not find_taken(result)
    without, with_it = seen
    assert with_it == without


SECOND = """
def test_first(pods, request):
    settle()
    FIRST

@pytest.mark.container(BUSYBOX, SAY, wait=waits.log("up"))
def test_second(container):
    SECOND
"""


def make_second(first: str, second: str = "assert False") -> str:
    return SECOND.replace("FIRST", first).replace("SECOND", second)


def test_container_is_there_before_its_test_begins(pytester: pytest.Pytester) -> None:
    result = run(pytester, make_second("pass"))
    result.assert_outcomes(passed=1, failed=1)
    lines = [line[14:] for line in result.outlines if re.match(r"\d\d:\d\d:\d\d\.", line)]
    assert [re.sub(r"\s+", " ", line).partition(" (")[0] for line in lines] == [
        "busybox started",
        "busybox | up",
        "busybox ready",
        "test setup begins",
        f"busybox {TAKEN}",
        "test call begins",
        "test call failed: AssertionError: assert False",
    ]
    result.stdout.fnmatch_lines(["pods: 1 container"])


@pytest.mark.parametrize("ahead", [0, 2])
def test_nobody_sees_what_is_made_ahead(pytester: pytest.Pytester, ahead: int) -> None:
    first = """
    assert (pods.containers(), pods.pods(), pods.volumes()) == ([], [], [])
    own = pods.run(BUSYBOX, SERVE, wait=waits.port(80))
    assert [one.id for one in pods.containers()] == [own.id]
    near, _, number = own.ip.rpartition(".")
    for other in range(max(1, int(number) - 2), int(number) + 2):
        said = own.exec(["sh", "-c", f"nc -w 1 {near}.{other} 80 </dev/null"]).stdout
        assert said == ("here\\n" if f"{near}.{other}" == own.ip else "")
    """
    text = make_second(first, "pass").replace("SAY,", "SERVE,") + """
@pytest.mark.pod(a=dict(image=BUSYBOX, command=SAY))
def test_third(pod):
    assert pod["a"].running
"""
    result = run(pytester, text, "--pods-durations=0", ahead=ahead)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["pods: 3 containers*"])


def test_image_that_goes_meanwhile_is_missed_as_without(pytester: pytest.Pytester) -> None:
    archive = pytester.path / "other.tar"
    busybox_builder().config(Env=["OTHER=yes"]).build().write_docker_archive(archive, names=["localhost/changing:1"])
    busybox_image().write_docker_archive(pytester.path / "first.tar", names=["localhost/changing:1"])
    text = f"""
@pytest.fixture(scope="session", autouse=True)
def image(pods):
    pods.load(Path("first.tar"))

def test_before(image): ...
def test_first(pods):
    settle()
    pods.load(Path({str(archive)!r}))
@pytest.mark.container("localhost/changing:1", SLEEP, network="none")
def test_second(container):
    assert "OTHER=yes" in container.succeed("env")
def test_third(pods):
    settle()
    pods.await_removals()
    pods.remove_image("localhost/changing:1")
@pytest.mark.container("localhost/changing:1", SLEEP, network="none", pull="never")
def test_fourth(container): ...
"""
    result = run(pytester, text)
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*no image 'localhost/changing:1' in the store*"])


def test_mark_that_comes_at_run_time_wins(pytester: pytest.Pytester) -> None:
    text = """
def test_first(pods):
    settle()

@pytest.fixture
def late(request):
    request.node.add_marker(pytest.mark.container(BUSYBOX, SLEEP, network="none", env={"LATE": "yes"}), append=False)

@pytest.mark.container(BUSYBOX, SLEEP, network="none")
def test_second(late, container, pods):
    assert container.succeed("echo $LATE") == "yes\\n"
    assert [one.id for one in pods.containers()] == [container.id]
"""
    result = run(pytester, text)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["pods: 1 container"])


def test_what_ends_before_its_test_is_made_again_and_not_ahead_any_more(pytester: pytest.Pytester) -> None:
    text = """
def test_first(pods):
    settle()
@pytest.mark.parametrize("number", range(3))
@pytest.mark.container(BUSYBOX, ["sh", "-c", "read line; echo $line"], network="none")
def test_others(container, number):
    settle()
    assert container.wait(10) == 0
    assert container.logs() == "\\n"
    assert number != 2
"""
    result = run(pytester, text)
    result.assert_outcomes(passed=3, failed=1)
    assert find_taken(result) == []
    result.stdout.fnmatch_lines(["pods: 3 containers"])


def test_what_needs_others_gets_ready_when_it_is_asked_for(pytester: pytest.Pytester) -> None:
    text = """
import http.server
SERVER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
SCRIPT = f"until wget -q -O - http://10.86.0.2:{SERVER.server_port}/; do sleep 0.1; done; echo up; sleep 1000"
def test_first(pods):
    threading.Thread(target=SERVER.serve_forever, daemon=True).start()
@pytest.mark.container(BUSYBOX, ["sh", "-c", SCRIPT], wait=waits.log("up"))
def test_second(container):
    SERVER.shutdown()
    SERVER.server_close()
    assert False
"""
    result = run(pytester, text)
    result.assert_outcomes(passed=1, failed=1)
    assert find_taken(result) == ["busybox"]


@pytest.mark.parametrize("hook", ["pytest_pods_before_create(spec)", "pytest_pods_container_created(container)"])
def test_nothing_is_made_ahead_where_somebody_has_to_be_asked(pytester: pytest.Pytester, hook: str) -> None:
    pytester.makeconftest(f"def {hook}: ...")
    result = run(pytester, make_second("pass"))
    result.assert_outcomes(passed=1, failed=1)
    assert find_taken(result) == []


@pytest.mark.parametrize("keep", ["never", "always"])
@pytest.mark.usefixtures("kept_sessions_end")
def test_what_nobody_asks_for_goes(pytester: pytest.Pytester, keep: str, store: Path) -> None:
    text = """
@pytest.fixture
def refusing():
    pytest.skip("after all")
@pytest.mark.container(BUSYBOX, SAY, wait=waits.log("up"))
class TestAll:
    def test_first(self, container): settle()
    def test_second(self, refusing, container): ...
    def test_third(self, container, pods):
        settle()
        assert [one.id for one in pods.containers() if one.running][-1:] == [container.id]
        assert False
    def test_fourth(self, container): ...
    def test_fifth(self, container): ...
"""
    before = {session.id for session in Engine.sessions(store)}
    result = run(pytester, text, "-x", f"--pods-keep={keep}")
    result.assert_outcomes(passed=1, skipped=1, failed=1)
    result.stdout.fnmatch_lines(["pods: 2 containers*"])
    kept = [one.id for one in Engine.sessions(store) if one.id not in before]
    assert len(kept) == (keep == "always")
    for session in kept:
        with Engine.attach(session, root=store) as engine:
            assert len(engine.containers()) == 2


def test_repeated_test_gets_a_container_of_its_own_each_time(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
def pytest_runtest_protocol(item, nextitem):
    from _pytest.runner import runtestprotocol
    runtestprotocol(item, nextitem=nextitem, log=False)
    runtestprotocol(item, nextitem=nextitem)
    return True
""")
    text = """
SEEN = set()
@pytest.mark.container(BUSYBOX, SLEEP, network="none")
@pytest.mark.parametrize("number", range(3))
def test_all(container, number):
    settle()
    assert container.id not in SEEN
    SEEN.add(container.id)
"""
    result = run(pytester, text)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["pods: 6 containers"])


@pytest.mark.parametrize(
    "options", ["--maxfail=2", "--lf", "--ff", "--sw", "-p pytest_rerunfailures --reruns=1", "-k number3"]
)
def test_run_that_is_cut_short_or_repeated_by_an_option_is_the_same_with_look_ahead(
    pytester: pytest.Pytester, options: str
) -> None:
    text = """
@pytest.mark.container(BUSYBOX, SLEEP, network="none")
@pytest.mark.parametrize("number", range(6), ids="number{}".format)
def test_it(container, number):
    settle()
    assert container.succeed("ls /made | wc -l; touch /made").strip() == "0"
    assert number not in (2, 4)
"""
    # Which tests have failed last time.
    run(pytester, text, ahead=0)
    cache = pytester.path / ".pytest_cache"
    shutil.copytree(cache, pytester.path / "remembered")
    seen = []
    for ahead in (0, 2):
        shutil.rmtree(cache)
        shutil.copytree(pytester.path / "remembered", cache)
        result = run(pytester, text, *options.split(), ahead=ahead)
        (made,) = [line for line in result.outlines if line.startswith("pods: ")]
        seen.append((result.parseoutcomes(), made))
    assert seen[0] == seen[1]


def test_workers_look_ahead(pytester: pytest.Pytester) -> None:
    text = """
@pytest.mark.container(BUSYBOX, SAY, wait=waits.log("up"))
@pytest.mark.parametrize("number", range(8))
def test_all(container, number):
    settle()
    assert False
"""
    result = run(pytester, text, "-n2")
    result.assert_outcomes(failed=8)
    # Not the first of each worker.
    assert len(find_taken(result)) == 6
    result.stdout.fnmatch_lines(["pods: 8 containers"])


@pytest.mark.parametrize("dist", ["load", "loadfile", "worksteal", "each"])
def test_worker_looks_ahead_as_far_as_it_was_given_tests(pytester: pytest.Pytester, dist: str) -> None:
    text = """
@pytest.mark.container(BUSYBOX, SLEEP, network="none")
@pytest.mark.parametrize("number", range(12))
def test_all(container, number, pods):
    settle()
    if number == 0:
        assert len(pods._service.list_with_ahead()) - len(pods.containers()) == 2
"""
    result = run(pytester, text, "-n1", f"--dist={dist}")
    result.assert_outcomes(passed=12)
    result.stdout.fnmatch_lines(["pods: 12 containers"])


def test_tests_that_go_to_another_worker_leave_nothing_with_the_first(pytester: pytest.Pytester) -> None:
    text = """
@pytest.mark.container(BUSYBOX, SLEEP, network="none")
@pytest.mark.parametrize("number", range(12))
def test_all(container, number, worker_id):
    settle()
    # The tests that wait behind this one are taken away from its worker.
    while number == 0 and len([*Path().glob("gw*-*")]) < 7:
        threading.Event().wait(0.01)
    Path(f"{worker_id}-{number}").touch()
"""
    result = run(pytester, text, "-n2", "--dist=worksteal", ahead=3)
    result.assert_outcomes(passed=12)
    result.stdout.fnmatch_lines(["pods: 12 containers"])


def test_live_logs_show_a_container_once_its_test_has_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=HEAD + make_second("print('first is over')", "print('second begins')"))
    command = [sys.executable, "-m", "pytest", "-s", "--pods-logs=live", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.index("first is over") < done.stdout.index("| up"), done.stdout


def test_images_are_fetched_from_the_beginning_on(
    pytester: pytest.Pytester, push: Callable[[BuiltImage | BuiltIndex, str], str], registry: Registry
) -> None:
    references = [push(busybox_builder().config(Env=[f"NUMBER={number}"]).build(), f"t{number}") for number in range(3)]
    text = f"""
REFERENCES = {references!r}
wide = container_fixture(REFERENCES[2], SLEEP, scope="session", network="none")
def test_first(pods):
    settle("pytest-pods prefetch")
    images = {{name for image in pods.images() for name in image.references}}
    assert set(REFERENCES) <= images
@pytest.mark.container(REFERENCES[0], SLEEP, network="none")
@pytest.mark.pod(a=dict(image=REFERENCES[1], command=SLEEP), network="none")
def test_second(container, pod, wide): ...
@pytest.mark.skip
@pytest.mark.container({registry.reference("nobody/has:1")!r})
def test_third(container): ...
"""
    asked = len(registry.requests())
    root, host = pytester.path / "root", references[0].partition("/")[0]
    result = run(pytester, text, f"--pods-insecure-registry={host}", f"--pods-root={root}")
    result.assert_outcomes(passed=2, skipped=1)
    requests = registry.requests()[asked:]
    assert not [one for one in requests if "nobody" in one]
    blobs = [one for one in requests if "/blobs/" in one]
    assert len(blobs) == len(set(blobs))


def test_run_does_not_wait_for_images_that_nobody_needs_any_more(
    pytester: pytest.Pytester, faulty_proxy: FaultyProxy
) -> None:
    faulty_proxy.inject("GET .*/manifests/", Answer(503, headers={"Retry-After": "50"}), times=9)
    reference = faulty_proxy.reference("late/image:1")
    text = f"""
def test_first(pods):
    assert False
@pytest.mark.container({reference!r})
def test_second(container): ...
"""
    result = run(pytester, text, "-x", f"--pods-insecure-registry={reference.partition('/')[0]}")
    result.assert_outcomes(failed=1)
    assert [one.name for one in threading.enumerate() if one.name == "pytest-pods prefetch"] == []


def test_look_ahead_can_be_off_by_every_setting(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAD + make_second("pass")
    pytester.makepyfile(test_it=text)
    assert find_taken(pytester.runpytest("--pods-lookahead=0")) == []
    pytester.makeini("[pytest]\npods_lookahead = 0\n")
    assert find_taken(pytester.runpytest()) == []
    monkeypatch.setenv("PYTEST_PODS_LOOKAHEAD", "1")
    assert find_taken(pytester.runpytest()) == ["busybox"]
    result = pytester.runpytest("--pods-lookahead=many")
    result.stderr.fnmatch_lines(["*--pods-lookahead=many: it has to be a number of tests*"])
