"""`python -m benchmarks.lookahead`: what look-ahead changes for a suite in which each test has an HTTP service.

Runs the suite with each number of tests ahead, in turns, and prints a table: time for each test of the run, and medians
of what a test spends in its phases. `--start` is what the service needs until it listens, `--work` what a test does
besides one request, both in seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pytest_pods import Engine
from tests.support.images import busybox_image

IMAGE = "localhost/busybox:1"
PHASES = ("setup", "call", "teardown")

SUITE = """
import http.client, time
import pytest
from pytest_pods import waits

SERVE = ["sh", "-c", "sleep {start}; exec httpd -f -p 8080 -h /etc"]

@pytest.mark.container({image!r}, SERVE, ports=[8080], wait=waits.http("/hostname", 8080))
@pytest.mark.parametrize("number", range({tests}))
def test_service(container, number):
    connection = http.client.HTTPConnection(*container.address(8080), timeout=10)
    connection.request("GET", "/hostname")
    assert connection.getresponse().status == 200
    time.sleep({work})
"""

MEASURING = """
import json
phases = []


def pytest_runtest_logreport(report):
    phases.append([report.when, report.duration])

def pytest_sessionfinish():
    with open("measured.json", "w") as file:
        json.dump({"phases": phases}, file)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds: for each test of the run, and medians by phase."""

    each: float
    phases: dict[str, float]


def main() -> None:
    options = _parse_options()
    with tempfile.TemporaryDirectory(prefix="pods-bench-") as place:
        directory = Path(place)
        archive = busybox_image().write_docker_archive(directory / "busybox.tar", names=[IMAGE])
        with Engine.open(root=directory / "store") as engine:
            engine.load(archive)
        (directory / "pytest.ini").write_text("[pytest]\n")
        (directory / "conftest.py").write_text(MEASURING)
        (directory / "test_suite.py").write_text(
            SUITE.format(image=IMAGE, tests=options.tests, start=options.start, work=options.work)
        )
        runs: dict[int, list[Run]] = {ahead: [] for ahead in options.ahead}
        for number in range(options.rounds):
            for ahead in runs if number % 2 else reversed(runs):
                runs[ahead].append(_run(directory, ahead, options.tests))
                print(f"round {number + 1}, {ahead} ahead: {runs[ahead][-1].each * 1000:.0f} ms each", flush=True)
    print(build_table(runs))


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lookahead", description=__doc__)
    parser.add_argument("--tests", type=int, default=100, help="tests of the suite (100)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each number is measured (5)")
    parser.add_argument("--ahead", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="numbers of tests ahead (0 to 4)")
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--work", type=float, default=0.0)
    return parser.parse_args()


def _run(directory: Path, ahead: int, tests: int) -> Run:
    began = time.perf_counter()
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *(f"--pods-root={directory / 'store'}", f"--pods-lookahead={ahead}", "test_suite.py"),
        ],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        check=True,
    )
    took = time.perf_counter() - began
    measured = json.loads((directory / "measured.json").read_text())
    phases = {
        phase: statistics.median(took for when, took in measured["phases"] if when == phase) for phase in PHASES
    }
    return Run(took / tests, phases)


def build_table(runs: dict[int, list[Run]]) -> str:
    """Milliseconds: medians of all rounds, of the whole also the smallest and the largest."""
    lines = ["| ahead | each test | set-up | call | tear-down |", "| --- | --- | --- | --- | --- |"]
    for ahead, those in runs.items():
        each = [one.each * 1000 for one in those]
        phases = [f"{statistics.median(one.phases[phase] for one in those) * 1000:.1f}" for phase in PHASES]
        whole = f"{statistics.median(each):.0f} ({min(each):.0f}–{max(each):.0f})"
        lines.append(f"| {ahead} | {whole} | {' | '.join(phases)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
