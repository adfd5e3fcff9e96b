"""`make bench`, or `python -m benchmarks [--rounds N] [--only TEXT]`: measures, prints the table, writes it down."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.cases import build_cases
from benchmarks.docker import private_docker
from benchmarks.harness import build_table, measure
from benchmarks.images import large_image, small_image
from benchmarks.places import run_directories
from benchmarks.podman import private_podman
from benchmarks.suites import build_suite_cases
from pytest_pods import Engine
from tests.support.registry import Registry, run_registry

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    options = _parse_options()
    with (
        tempfile.TemporaryDirectory(prefix="pods-bench-") as place,
        run_directories(*(Path(place) / name / "run" for name in ("store", "podman", "docker"))),
        run_registry(Path(place) / "registry") as registry,
        private_podman(Path(place) / "podman") as podman,
        private_docker(Path(place) / "docker") as docker,
    ):
        directory = Path(place)
        small, large = _push(registry)
        podman.run("pull", "-q", "--tls-verify=false", small)
        with Engine.open(root=directory / "store") as pods:
            pods.pull(small)
            small_image().write_docker_archive(archive := directory / "small.tar")
            cases = [
                *build_cases(pods, podman, small=small, large=large, directory=directory),
                *build_suite_cases(podman, docker, small, archive, directory),
            ]
            results = []
            for case in cases:
                if options.only in case.name:
                    print(f"measuring: {case.name}", flush=True)
                    results.append(measure(case, rounds=options.rounds))
    text = _facts() + "\n" + build_table(results)
    print("\n" + text)
    if not options.only:
        _write(text)
    return 0 if all(result.met for result in results) or not options.strict else 1


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often each side is measured (20)")
    parser.add_argument("--only", default="", help="only cases whose name has this text in it; writes no file")
    parser.add_argument("--strict", action="store_true", help="status 1 if a target is missed")
    return parser.parse_args()


def _push(registry: Registry) -> tuple[str, str]:
    from pytest_pods.engine.registry.client import RegistryClient

    client = RegistryClient()
    small, large = registry.reference("bench/small:1"), registry.reference("bench/large:1")
    small_image().push(client, small)
    large_image().push(client, large)
    return small, large


def _version(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0] if done.stdout else "?"


def _facts() -> str:
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    user = "root" if os.geteuid() == 0 else "an ordinary user"
    return (
        f"{datetime.date.today()}, {release}, kernel {platform.release()}, {os.cpu_count()} cores, as {user}; "
        f"{_version('podman', '--version')}, {_version('dockerd', '--version')}, "
        f"{_version('runc', '--version')}, {_version('conmon', '--version')}, "
        f"Python {platform.python_version()}. Times are medians (smallest to largest), the sides measured in turns. "
        "Run directories are on a tmpfs.\n"
    )


def _write(text: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    name = f"{datetime.date.today()}-{'root' if os.geteuid() == 0 else 'user'}.md"
    (RESULTS / name).write_text("# Benchmarks\n\n" + text)
    print(f"written to {RESULTS.name}/{name}")


if __name__ == "__main__":
    sys.exit(main())
