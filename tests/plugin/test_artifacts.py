"""What stays of failing tests, in whichever phase they fail, in parallel and repeated; nothing of those that pass."""

from __future__ import annotations

import json
import re
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import pytest

from tests.support import pcapng
from tests.support.fixtures_store import BUSYBOX
from tests.support.fixtures_user import StartUser
from tests.support.images import busybox_image
from tests.support.rootless import USER

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import pytest
from pytest_pods import container_fixture, waits

BUSYBOX = {BUSYBOX!r}
WRITE = ["sh", "-c", "echo out; echo err >&2; mkdir -p /data/sub; echo 1 > /data/a.db; echo 2 > /data/sub/b.db;"
    " echo ready; exec sleep 1000"]
OPTIONS = dict(network="none", wait=waits.log("ready"))
"""


def list_files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def find_told(result: pytest.RunResult) -> list[Path]:
    """The directories that reports name, in their order."""
    lines = result.stdout.lines
    titles = [number for number, line in enumerate(lines) if "pods: artifacts of this test" in line]
    return [Path(lines[number + 1]) for number in titles]


def test_all_containers_of_a_failing_test_stay_with_log_inspection_changes_and_paths(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS, name="full", artifacts=["/data/**/*.db", "/etc/passwd", "/absent"])
def test_failing(container, run_container):
    run_container(BUSYBOX, WRITE, **OPTIONS, name="gone").remove()
    run_container(BUSYBOX, ["true"], network="none", name="plain")
    assert False

@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS, artifacts="/data")
def test_passing(container): ...
"""
    )
    result = pytester.runpytest("--pods-artifacts=out")
    result.assert_outcomes(passed=1, failed=1)
    out = pytester.path / "out"
    assert [path.name for path in out.iterdir()] == ["test_it-test_failing"]
    (told,) = find_told(result)
    assert told == out / "test_it-test_failing"
    result.stdout.fnmatch_lines(
        [
            "*pods: artifacts of this test*",
            str(told),
            "    full: /absent: nothing matches",
            "    gone: it was removed: only its log",
        ]
    )
    copied = ["data/a.db", "data/sub/b.db", "etc/passwd"]
    assert {path.name: list_files(path) for path in told.iterdir()} == {
        "full": ["changes.txt", *(f"files/{one}" for one in copied), "inspect.json", "log.txt"],
        "gone": ["log.txt"],
        "plain": ["changes.txt", "inspect.json", "log.txt"],
    }
    full = told / "full"
    lines = (full / "log.txt").read_text().splitlines()
    # Two pipes have no order.
    assert sorted(line.split(" ", 1)[1] for line in lines) == ["stderr err", "stdout out", "stdout ready"]
    assert (full / "changes.txt").read_text().splitlines() == [
        "A /data", "A /data/a.db", "A /data/sub", "A /data/sub/b.db"
    ]
    assert json.loads((full / "inspect.json").read_text())["State"]["Running"] is True


def test_every_phase_may_fail(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
wide = container_fixture(BUSYBOX, WRITE, scope="module", **OPTIONS, artifacts=["/data"])

@pytest.mark.container(BUSYBOX, ["sh", "-c", "mkdir /data; touch /data/x; exit 3"], network="none",
    wait=waits.port(80), artifacts=["/data"])
def test_setup(wide, container): ...

@pytest.fixture
def outer():
    yield
    raise RuntimeError("in the tear-down, after all containers were given back")

def test_teardown(outer, wide, run_container):
    run_container(BUSYBOX, WRITE, **OPTIONS, name="mine", artifacts=["/data"])

@pytest.mark.pod(one=dict(image=BUSYBOX, command=WRITE, artifacts=["/data"]), two=dict(image=BUSYBOX, command=WRITE))
def test_pod(outer, pod):
    pod["one"].wait_ready(waits.log("ready"))

def test_last_of_the_wide(outer, wide): ...
"""
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=3, errors=4)
    told = find_told(result)
    assert [path.name for path in told] == [
        "test_it-test_setup", "test_it-test_teardown", "test_it-test_pod", "test_it-test_last_of_the_wide"
    ]
    assert [sorted(path.name for path in one.iterdir()) for one in told] == [
        ["busybox", "wide"], ["mine", "wide"], ["one"], ["wide"]
    ]
    assert list_files(told[0] / "busybox" / "files") == ["data/x"]
    for container in ("mine", "wide"):
        assert list_files(told[1] / container / "files") == ["data/a.db", "data/sub/b.db"]
    assert list_files(told[2] / "one" / "files") == ["data/a.db", "data/sub/b.db"]
    assert not re.search("left|not removed", result.stdout.str())


def test_name_and_port_are_free_for_the_next_test_although_removal_waits_for_the_report(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.parametrize("number", range(3))
@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS, name="db", volumes=["data:/v"], artifacts=["/data"])
def test_same(container, number):
    assert container.glob("/v/*") == ["/v/here"][:number]
    container.write("/v/here", "x")

@pytest.fixture(params=[1, 2], scope="module")
def wide(request, _wide):
    return _wide

@pytest.fixture(params=[1, 2], scope="module")
def _wide(request, pods):
    container = pods.run(BUSYBOX, WRITE, **OPTIONS, name="wide", artifacts=["/data"])
    yield container
    container.remove()

def test_other(wide): ...
"""
    )
    pytester.runpytest("--pods-artifacts=out").assert_outcomes(passed=7)
    assert not (pytester.path / "out").exists()


def test_what_a_killed_run_had_half_collected_goes_with_the_next(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
import os, signal
from pathlib import Path
from pytest_pods.fixtures import collecting

write_changes = collecting._write_changes

def write_changes_or_die(container, path):
    if not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write_changes(container, path)

collecting._write_changes = write_changes_or_die
"""
    )
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS, name="full", artifacts=["/data/a.db"])
def test_failing(container): assert False
"""
    )
    directory = pytester.path / "out" / "test_it-test_failing"
    assert pytester.runpytest_subprocess("--pods-artifacts=out").ret == -signal.SIGKILL
    (part,) = (path for path in directory.iterdir() if path.is_dir())
    assert (part.name.startswith(".part-"), "out" in (part / "log.txt").read_text()) == (True, True)
    pytester.runpytest_subprocess("--pods-artifacts=out").assert_outcomes(failed=1)
    assert [*directory.iterdir()] == []
    assert "data/a.db" in " ".join(list_files(directory.with_name("test_it-test_failing-2") / "full"))


def test_fixture_gives_a_directory_that_stays_only_of_a_failing_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import pytest

def test_failing(pods_artifacts):
    (pods_artifacts / "picture.png").write_bytes(b"png")
    assert False

def test_passing(pods_artifacts):
    assert pods_artifacts.is_dir()
    (pods_artifacts / "inner").mkdir(mode=0)

@pytest.mark.xfail
def test_xfail(pods_artifacts):
    (pods_artifacts / "a").touch()
    assert False

def test_empty(pods_artifacts):
    assert False

@pytest.mark.parametrize("fails", [True, False])
def test_removed(pods_artifacts, fails):
    pods_artifacts.rmdir()
    assert not fails

@pytest.fixture
def broken():
    yield
    raise RuntimeError

def test_teardown(broken, pods_artifacts):
    (pods_artifacts / "late").touch()
"""
    )
    result = pytester.runpytest("--pods-artifacts=deep/out")
    result.assert_outcomes(failed=3, passed=3, xfailed=1, errors=1)
    name = "test_fixture_gives_a_directory_that_stays_only_of_a_failing_test-test"
    assert list_files(pytester.path / "deep" / "out") == [f"{name}_failing/picture.png", f"{name}_teardown/late"]
    assert len(find_told(result)) == 2


@pytest.mark.root
@pytest.mark.rootless
def test_ordinary_user_can_read_and_remove_what_stays(user_on: StartUser) -> None:
    run = user_on("true", busybox_image(), BUSYBOX)
    suite = HEAD + """
@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS, name="box", artifacts=["/data"], capture=True)
@pytest.mark.parametrize("fails", [True, False])
def test_it(container, fails, tmp_path):
    container.succeed("chown -R 1000:1000 /data; chmod 0 /data/a.db /data/sub; ln -s /etc /data/link")
    container.fail("wget -qO- http://127.0.0.1:81/")
    if fails:
        assert False

def test_after(tmp_path, pytestconfig):
    (base,) = tmp_path.parent.glob("pods-artifacts")
    (stayed,) = base.iterdir()
    files = stayed / "box" / "files" / "data"
    assert (files / "a.db").read_text().strip() == "1"
    assert (files / "sub" / "b.db").read_text().strip() == "2"
    assert (files / "link").is_symlink()
    # Of a connection that is refused there are two packets.
    assert (stayed / "box" / "packets.pcapng").stat().st_size > 200
    import shutil
    shutil.rmtree(stayed)
"""
    with tempfile.TemporaryDirectory(prefix="pods-suite-") as place:
        directory = Path(place)
        (directory / "test_it.py").write_text(suite)
        shutil.chown(directory, USER)
        quiet = ("-p", "no:randomly", "-p", "no:cacheprovider")
        done = run(*quiet, f"--basetemp={directory / 'base'}", str(directory), module="pytest")
    assert "1 failed, 2 passed" in done.stdout, done.stdout


def test_workers_and_repetitions_have_directories_of_their_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS, artifacts=["/data"])
def test_failing(container, pods_artifacts):
    (pods_artifacts / "mine").touch()
    assert False
"""
    )
    result = pytester.runpytest("-n2", "--dist=each", "--pods-artifacts=out")
    result.assert_outcomes(failed=2)
    pytester.runpytest("--pods-artifacts=out").assert_outcomes(failed=1)
    out = pytester.path / "out"
    assert sorted(path.name for path in out.iterdir()) == [f"test_it-test_failing{end}" for end in ("", "-2", "-3")]
    for path in out.iterdir():
        assert sorted(inner.name for inner in path.iterdir()) == ["busybox", "mine"]
    assert sorted(find_told(result)) == [out / "test_it-test_failing", out / "test_it-test_failing-2"]


def test_container_that_workers_share_stays_of_each_failing_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
shared = container_fixture(BUSYBOX, WRITE, scope="session", **OPTIONS, artifacts=["/data"])

@pytest.fixture(scope="session")
def outer():
    yield
    raise RuntimeError("in the tear-down, after all containers were given back")

def test_failing(shared):
    assert False

def test_last(outer, shared): ...
"""
    )
    result = pytester.runpytest("-n2", "--dist=each", "--pods-artifacts=out")
    result.assert_outcomes(failed=2, passed=2, errors=2)
    out = pytester.path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "test_it-test_failing", "test_it-test_failing-2", "test_it-test_last", "test_it-test_last-2"
    ]
    for path in out.iterdir():
        (container,) = path.iterdir()
        assert list_files(container / "files") == ["data/a.db", "data/sub/b.db"]


def test_packets_stay_of_a_failing_test_from_before_the_start(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
TALK = ["sh", "-c", "httpd -p 80 -h /; wget -qO- http://127.0.0.1/etc/hostname?first; exec sleep 1000"]
ASK = "wget -qO- http://127.0.0.1/etc/hostname?asked"

@pytest.mark.container(BUSYBOX, TALK, network="none", capture=True)
def test_failing(container):
    container.wait_until(ASK)
    assert False

@pytest.mark.container(BUSYBOX, TALK, network="none", capture=True)
def test_passing(container): ...

@pytest.mark.pod(one=dict(image=BUSYBOX, command=TALK, capture=True),
    two=dict(image=BUSYBOX, command=["sleep", "1000"], capture=True))
def test_pod(pod):
    pod["two"].wait_until(ASK)
    pod["one"].remove()
    assert False

@pytest.fixture
def outer():
    yield
    raise RuntimeError

def test_teardown(outer, run_container):
    run_container(BUSYBOX, TALK, network="none", capture=True).wait_until(ASK)
"""
    )
    result = pytester.runpytest("-p", "no:randomly")
    result.assert_outcomes(failed=2, passed=2, errors=1)
    told = sorted(find_told(result))
    assert len(told) == 3
    for path in (told[0] / "busybox", told[1] / "two", told[2] / "busybox"):
        found = pcapng.read(path / "packets.pcapng")
        assert found.holds(b"?first")
        assert found.holds(b"?asked")
    assert {thread.name for thread in threading.enumerate() if "capture" in thread.name} == set()


def test_without_a_setting_only_what_was_asked_for_stays_beside_the_tests_own_directories(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS)
def test_plain(container):
    assert False

@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS, artifacts=["/data"])
def test_asked(container):
    assert False
"""
    )
    result = pytester.runpytest(f"--basetemp={pytester.path / 'base'}")
    result.assert_outcomes(failed=2)
    assert find_told(result) == [pytester.path / "base" / "pods-artifacts" / "test_it-test_asked"]


def test_what_cannot_be_had_is_a_note_and_no_second_failure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS, name="box", artifacts=["/deep"])
def test_failing(container):
    container.succeed("mkdir /deep; cd /deep; i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done")
    assert False, "the reason"

@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS, artifacts=["relative"])
def test_wrong(container): ...
"""
    )
    result = pytester.runpytest("--pods-artifacts=out", "-k", "failing")
    result.stdout.fnmatch_lines(["*artifacts has to be an absolute path in the container, not 'relative'*"])
    path = pytester.path / "test_it.py"
    path.write_text(path.read_text().partition("@pytest.mark.container(BUSYBOX, WRITE, **OPTIONS, artifacts=")[0])
    result = pytester.runpytest("--pods-artifacts=out")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: the reason*",
            f"{pytester.path}/out/test_it-test_failing",
            "    box: /deep: UnsafeEntryError: *",
        ]
    )
    (pytester.path / "file").touch()
    result = pytester.runpytest("--pods-artifacts=file")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["    box: making a directory for artifacts in *file: *"])
