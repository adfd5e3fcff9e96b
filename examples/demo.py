"""`make demo`: real services from Debian packages, through a registry of our own, into a test suite; then a look round.

Prints what it does. Ends with one line that says how many containers ran, how long one took, and what is left, and with
status 0 only if the tests passed and nothing is.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.leaks import HostState, find_dead_cgroups, find_leaks, wait_until_clean
from tests.support.registry import run_registry

REPOSITORY = Path(__file__).parents[1]
ROUNDS = 20


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    say(f"{what} ({time.monotonic() - started:.1f} s)")


def main() -> int:
    before = HostState.take()
    with tempfile.TemporaryDirectory(prefix="pods-demo-") as place:
        directory = Path(place).resolve()
        status, containers, median_ms = run(directory)
        left = wait_until_clean(lambda: [*find_leaks(before, directory), *find_dead_cgroups(before)], patience_s=5)
    for line in left:
        say(f"left behind: {line}")
    say(
        f"{containers} containers ran, one takes {median_ms:.0f} ms from asking to removed (median of {ROUNDS}); "
        + (f"{len(left)} things are left" if left else "no process, mount, link, control group or file is left")
    )
    return status or bool(left)


def run(directory: Path) -> tuple[int, int, float]:
    """Everything between the two looks at the machine: status of the tests, containers, and how long one takes."""
    with run_registry(directory / "registry") as registry:
        # The images' names have the registry's port in them.
        os.environ["DEMO_REGISTRY"] = registry.host
        os.environ["PYTEST_PODS_ROOT"] = str(directory / "store")
        say(f"a registry listens on {registry.host}")
        references = push_images()
        for reference in references:
            with timed(f"pulled {reference}"):
                run_command("pull", "-q", reference)
        try:
            status, containers = run_tests(directory / "counts.json")
            median_ms = time_one(references[-1])
        finally:
            remove_images(references)
    # Everything else is an ordinary file of ours; rootless layers would not have been.
    shutil.rmtree(directory / "store")
    return status, containers + ROUNDS, median_ms


def push_images() -> list[str]:
    """Makes the images, or takes them from the cache, and pushes them."""
    from examples.images import demo_images
    from pytest_pods.engine.registry.client import RegistryClient
    from tests.images.make import make_image

    client = RegistryClient()
    references = []
    for demo_image in demo_images():
        image = make_image(demo_image.recipe, say=say)
        with timed(f"pushed {demo_image.reference}"):
            image.push(client, demo_image.reference)
        references.append(demo_image.reference)
    return references


def run_tests(counts: Path) -> tuple[int, int]:
    """Runs the examples as a user would; pytest's status, and the number of containers that it had."""
    environment = {**os.environ, "DEMO_COUNTS": str(counts)}
    command = [sys.executable, "-m", "pytest", "examples", "-v", "-p", "no:cacheprovider", "--durations=3"]
    say("running the examples: " + " ".join(command[1:4]))
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
    return done.returncode, json.loads(counts.read_text())["containers"] if counts.exists() else 0


def time_one(reference: str) -> float:
    """Milliseconds from asking for a container that runs `true` to its end and removal."""
    from pytest_pods import Engine

    took = []
    with Engine.open() as pods:
        for _ in range(ROUNDS):
            started = time.monotonic()
            container = pods.run(reference, ["true"], network="none")
            container.wait()
            container.remove()
            took.append(time.monotonic() - started)
    return statistics.median(took) * 1000


def remove_images(references: list[str]) -> None:
    run_command("rmi", "-f", *references)


def run_command(*arguments: str) -> None:
    """`pytest-pods ARGUMENTS…`, quietly."""
    command = [sys.executable, "-m", "pytest_pods", *arguments]
    subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        # The command has said why.
        sys.exit(f"demo: gave up: {' '.join(error.cmd[1:])} ended with status {error.returncode}")
