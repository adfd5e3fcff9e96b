"""What reports tell of containers beyond a failing call: tear-downs, other modes, files for CI, the run as a whole."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.fixtures_cli import run_on_terminal
from tests.support.fixtures_store import BUSYBOX

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import time
import pytest
from pytest_pods import container_fixture, waits

BUSYBOX = {BUSYBOX!r}
SLEEP = ["sleep", "1000"]
ECHO = ["sh", "-c", "mkfifo /talk; echo started; while true; do cat /talk; done"]
wide = container_fixture(BUSYBOX, ECHO, scope="module", network="none", wait=waits.log("started"))

def say(container, text):
    position = container.log_position()
    container.succeed(f"echo '{{text}}' > /talk")
    container.wait_ready(waits.log(text))
"""

STATES = "*- pods: containers of this test -*"
TIMELINE = "*- Captured log of containers: timeline of this test -*"


def find_timelines(result: pytest.RunResult) -> list[list[str]]:
    """Of each timeline the lines, without their times."""
    found = re.findall(r"timeline of this test -+\n((?:\d\d:\d\d:\d\d\.\d{3}  .*\n)*)", result.stdout.str())
    return [[line[14:] for line in lines.splitlines()] for lines in found]


def test_moments_of_test_and_containers_are_in_the_order_in_which_they_happened(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.pod(
    network="none", name="shop",
    db=dict(image=BUSYBOX, command=ECHO, wait=waits.log("started")),
    web=dict(image=BUSYBOX, command=ECHO, needs=["db"], wait=waits.log("started")),
)
def test_failing(pod, wide):
    say(pod["web"], "request")
    say(pod["db"], "query")
    say(wide, "cached")
    pod["db"].kill()
    say(pod["web"], "no database")
    raise ValueError("no answer\\nand more")
"""
    )
    result = pytester.runpytest("--tb=short", "-q")
    result.assert_outcomes(failed=1)
    (lines,) = find_timelines(result)
    moments = [re.sub(r"\s+", " ", line) for line in lines if " awaited " not in line]
    # The module's container is asked for after the pod.
    at = moments.index("wide started")
    assert moments[at : at + 3] == ["wide started", "wide | started", moments[at + 2]]
    assert moments[at + 2].startswith("wide ready (log line 'started', after ")
    del moments[at : at + 3]
    assert [moment.partition(" (")[0] for moment in moments] == [
        "test setup begins",
        "db started",
        "db | started",
        "db ready",
        "web started",
        "web | started",
        "web ready",
        "test call begins",
        "web | request",
        "db | query",
        "wide | cached",
        "db got signal SIGKILL",
        "db exited with exit code 137",
        "web | no database",
        "test call failed: ValueError: no answer",
    ]


def test_failing_tear_down_shows_containers_that_are_gone_by_then(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.fixture
def torn():
    yield
    raise RuntimeError("on the way down")

@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo gone; exit 4"], network="none")
def test_down(torn, container):
    container.wait(10)

@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo gone; exit 4"], network="none", name="fixed")
def test_down_at_once(torn, container):
    container.wait(10)

def test_call_and_down(torn, wide):
    say(wide, "in the call")
    assert False
"""
    )
    result = pytester.runpytest("-q")
    result.assert_outcomes(passed=2, failed=1, errors=3)
    down, at_once, after_call, call = find_timelines(result)
    for lines, name in ((down, "busybox"), (at_once, "fixed")):
        assert f"{name}  | gone" in [line.replace("   ", "  ") for line in lines]
        assert f"{name}  exited with exit code 4" in [line.replace("   ", "  ") for line in lines]
        assert lines[-1].endswith("teardown failed: RuntimeError: on the way down")
    assert "wide  | in the call" in call
    # What the first report of a test has shown is not shown again.
    assert after_call == ["test  teardown begins", "test  teardown failed: RuntimeError: on the way down"]
    result.stdout.fnmatch_lines(["busybox: exited with exit code 4, *"])


def test_logs_do_not_reach_the_terminal_as_they_are(pytester: pytest.Pytester) -> None:
    script = r"printf '\\033[31mred\\033[0m \\033]0;title\\007\\rover\\n'; head -c 3000 /dev/zero | tr '\\0' x; exit 1"
    pytester.makepyfile(
        test_it=HEAD
        + f"""
@pytest.mark.container(BUSYBOX, ["sh", "-c", "{script}"], network="none")
def test_failing(container):
    container.wait(10)
    assert False

@pytest.mark.container(BUSYBOX, ["sh", "-c", "for i in $(seq 150); do echo line $i; done"], network="none")
def test_much(container):
    container.wait(10)
    assert False
"""
    )
    result = pytester.runpytest("-q", "--tb=short")
    first, second = find_timelines(result)
    assert r"busybox  | red \x1b]0;title\x07\rover" in first
    assert any(re.fullmatch(r"busybox  \| x{300} \[… \d+ characters …\] x{80}", line) for line in first)
    at = second.index("busybox  … 50 earlier lines left out")
    assert second[at + 1] == "busybox  | line 51"
    assert "busybox  | line 150" in second


@pytest.mark.root
def test_container_that_runs_out_of_memory_says_so(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, ["sh", "-c", "echo filling; tail /dev/zero"], network="none", memory="16m",
                       memory_swap="16m")
def test_failing(container):
    assert container.wait(60) == 0
"""
    )
    result = pytester.runpytest("-q")
    result.stdout.fnmatch_lines(
        [
            "busybox: exited with exit code 137 (SIGKILL), out of memory (limit 16 MiB), *",
            "*  busybox  exited with exit code 137 (SIGKILL), out of memory (limit 16 MiB)",
            f"::error file=test_it.py,line=*,title=container busybox ({BUSYBOX.replace(':', '%3A')})"
            "::test_it.py::test_failing: exited with exit code 137 (SIGKILL), out of memory (limit 16 MiB)",
        ]
    )


MODES = (
    HEAD
    + """
def test_passing(wide):
    say(wide, "of the passing")

def test_failing(wide):
    say(wide, "of the failing")
    assert False
"""
)


def test_logs_of_all_tests_are_shown_where_captured_output_is(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=MODES)
    result = pytester.runpytest("--pods-logs=all", "-rP", "--junit-xml=out.xml", "-o", "junit_logging=log")
    result.assert_outcomes(passed=1, failed=1)
    failing, passing = find_timelines(result)
    assert "wide  | of the failing" in failing
    assert "wide  | of the passing" in passing
    outputs = [case.findtext("system-out") or "" for case in ElementTree.parse("out.xml").iter("testcase")]
    assert ["of the passing" in text for text in outputs] == [True, False]
    assert ["of the failing" in text for text in outputs] == [False, True]


def test_without_logs_the_state_is_shown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=MODES)
    pytester.makeini("[pytest]\npods_logs = none\n")
    result = pytester.runpytest()
    result.stdout.fnmatch_lines([STATES, "wide: running since *"])
    result.stdout.no_fnmatch_line(TIMELINE)
    result.stdout.no_fnmatch_line("*| of the failing")


def test_passing_tests_show_nothing_by_default(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=MODES)
    result = pytester.runpytest("-rP", "-k", "passing")
    result.stdout.no_fnmatch_line("*containers of this test*")


def test_sections_are_coloured_on_a_terminal_only_and_not_in_files(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=MODES)
    arguments = ("--junit-xml=out.xml", "-o", "junit_logging=all")
    result = pytester.runpytest("--color=yes", *arguments)
    result.stdout.fnmatch_lines(
        ["\x1b[[]1mwide\x1b[[]0m: running since *", "*  \x1b[[]32mwide\x1b[[]0m  | of the failing"]
    )
    text = Path("out.xml").read_text()
    assert "wide  | of the failing" in text
    assert "x1B" not in text
    plain = pytester.runpytest(*arguments)
    assert "\x1b" not in plain.stdout.str()


def test_junit_file_has_a_property_for_each_container_also_from_workers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, ECHO, ports=[80], wait=waits.log("started"))
def test_passing(container, wide): ...

@pytest.mark.container(BUSYBOX, ["sh", "-c", "exit 3"], network="none", wait=waits.port(80))
def test_never(container): ...

def test_plain(): ...
"""
    )
    for family, arguments in (("xunit2", ("-n2",)), ("xunit1", ())):
        result = pytester.runpytest("--junit-xml=out.xml", "-o", f"junit_family={family}", *arguments)
        result.assert_outcomes(passed=2, errors=1)
        cases = {case.get("name"): case for case in ElementTree.parse("out.xml").iter("testcase")}
        found = {
            name: {one.get("name"): one.get("value") or "" for one in case.iter("property")}
            for name, case in cases.items()
        }
        assert found["test_plain"] == {}
        passing = found["test_passing"]
        assert passing.keys() == {"container:busybox", "container:wide"}
        assert re.fullmatch(
            rf"image={BUSYBOX} digest=sha256:[0-9a-f]{{64}} id=sha256:[0-9a-f]{{64}} name=\w+"
            r" port=80/tcp@127\.0\.0\.1:\d+ ready=\d+\.\d{3}s status=running",
            passing["container:busybox"],
        )
        (never,) = found["test_never"].values()
        assert never.endswith("status=exited exit_code=3")


@pytest.mark.usefixtures("kept_sessions_end")
def test_report_of_a_kept_container_has_the_command_that_looks_at_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
@pytest.mark.container(BUSYBOX, SLEEP, network="none", name="bad")
def test_failing(container):
    assert False

@pytest.mark.container(BUSYBOX, ["false"], network="none", name="worse", wait=waits.port(80))
def test_never(container): ...
"""
    )
    result = pytester.runpytest_subprocess("--pods-keep=failed", "--pods-keep-for=1m")
    result.stdout.fnmatch_lines(["worse: exited with exit code 1*", "    kept: pytest-pods --root * logs worse"])
    result.stdout.fnmatch_lines(["bad: running since *", "    kept: pytest-pods --root * shell bad"])


def test_slowest_are_listed_for_all_workers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
def test_one(wide, run_container):
    run_container(BUSYBOX, ["true"], network="none", name="mine")
"""
    )
    result = pytester.runpytest("-n2", "--dist=each", "--pods-durations=3")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*= slowest 3 of 4 containers and images =*",
            "   total    create     start     ready    remove",
            f"*s  *s  *s  *s * ({BUSYBOX}) of test_it.py*",
        ]
    )
    everything = pytester.runpytest("--pods-durations=0")
    everything.stdout.fnmatch_lines(["*= slowest containers and images (2) =*"])
    everything.stdout.fnmatch_lines([f"*s  *s  *s*s  mine ({BUSYBOX}) of test_it.py::test_one"])
    pytester.runpytest().stdout.no_fnmatch_line("*= slowest *")


def test_github_gets_annotations_and_a_summary_of_tests_that_containers_failed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path.parent))
    pytester.makepyfile(
        test_it=HEAD
        + """
def test_good(wide): ...

def test_own_fault(wide):
    wide.stop()
    assert False

@pytest.mark.container(BUSYBOX, ["sh", "-c", "exit 3"], network="none", name="bad", wait=waits.port(80))
def test_never(container): ...

@pytest.mark.container("localhost/no-such:1", pull="never")
def test_no_image(container): ...
"""
    )
    result = pytester.runpytest("-n2", "--dist=loadfile")
    result.assert_outcomes(passed=1, failed=1, errors=2)
    annotations = [line for line in result.outlines if line.startswith("::")]
    where = f"{pytester.path.name}/test_it.py"
    assert annotations == [
        f"::error file={where},line=21,title=container bad ({BUSYBOX.replace(':', '%3A')})::test_it.py::test_never:"
        " exited with exit code 3 while port 80 was awaited",
        f"::error file={where},line=24,title=containers::test_it.py::test_no_image:"
        " ImageNotFoundError: no image 'localhost/no-such:1' in the store",
    ]
    lines = summary.read_text().splitlines()
    assert lines[0] == "### Containers"
    assert lines[2].startswith("2 containers")
    assert [line.split(" | ")[1:] for line in lines[6:]] == [
        ["bad", "localhost/busybox:1", "exited with exit code 3 while port 80 was awaited |"],
        ["", "", "ImageNotFoundError: no image 'localhost/no-such:1' in the store |"],
    ]
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "::error" not in pytester.runpytest().stdout.str()


def test_live_logs_appear_between_the_lines_of_pytest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=MODES)
    result = pytester.runpytest("--pods-logs=live")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_passing *",
            "*:*:*.*  wide  | started",
            "*:*:*.*  wide  | of the passing",
            "",
            "test_it.py::test_passing PASSED *",
            "test_it.py::test_failing *",
            "*:*:*.*  wide  | of the failing",
            "",
            "test_it.py::test_failing FAILED *",
            TIMELINE,
            "*  wide  | of the failing",
        ],
        consecutive=False,
    )


def test_live_logs_are_refused_with_workers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=MODES)
    result = pytester.runpytest("--pods-logs=live", "-n2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: pytest-pods: --pods-logs=live *: use -n0, or --pods-logs=all"])
    assert pytester.runpytest("--pods-logs=live", "-n0", "-k", "passing").ret == pytest.ExitCode.OK


@pytest.mark.parametrize("capture", ["fd", "sys", "no"])
def test_live_logs_are_there_while_the_test_still_runs(pytester: pytest.Pytester, capture: str) -> None:
    pytester.makepyfile(
        test_it=HEAD
        + """
def test_waiting(wide):
    say(wide, "are you there")
    print("printed by the test")
    end = time.monotonic() + 60
    while not __import__("pathlib").Path("yes").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    say(wide, "so you are")
"""
    )
    argv = [sys.executable, "-m", "pytest", "--pods-logs=live", f"--capture={capture}", "-p", "no:cacheprovider"]
    with run_on_terminal(argv, os.environ) as typist:
        typist.expect(r"test_waiting \r?\n[^\n]*wide[^\n]*\| started\r\n")
        typist.expect(r"are you there\r\n")
        (pytester.path / "yes").touch()
        typist.expect(r"so you are\r\n")
        typist.expect(r"\r\ntest_it\.py::test_waiting \S*PASSED")
        assert typist.wait() == 0
        assert ("printed by the test" in typist.text) == (capture == "no")
