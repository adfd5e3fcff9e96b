"""Crash-proof, shown: a busy suite is killed at random moments, and nothing of it may be left.

PODS_CRASH_KILLS sets the number of kills (60), PODS_CRASH_SEED the seed, PODS_CRASH_REPORT a file that gets a line a
kill: victim, phase, milliseconds until nothing was left.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.images import ImageBuilder, busybox_image, file
from tests.support.leaks import HostState, find_leaks, find_session, wait_until_clean
from tests.support.registry import Registry
from tests.support.rootless import build_argv_as_user, ensure_user, environment_of_user

REPOSITORY = Path(__file__).parents[2]
KILLS = int(os.environ.get("PODS_CRASH_KILLS", "60"))
SEED = os.environ.get("PODS_CRASH_SEED", "1")
# The promise is a second; under software emulation everything takes ten times as long.
PATIENCE_S = 10.0 if "PODS_VM" in os.environ else 1.0
START_PATIENCE_S = 60.0 if "PODS_VM" not in os.environ else 300.0
VICTIMS = ("pytest", "janitor", "init", "conmon", "worker", "pytest and janitor", "controller")
WITH_WORKERS = ("worker", "controller")


@dataclass(frozen=True, slots=True)
class Place:
    """A store and the user whose it is."""

    root: Path
    rootless: bool
    image: str

    def argv(self, *argv: str) -> list[str]:
        return build_argv_as_user(argv) if self.rootless else list(argv)

    def environment(self, **more: str) -> dict[str, str]:
        own = environment_of_user() if self.rootless else {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return {**own, **more}


def _make_place(registry: Registry, *, rootless: bool) -> Iterator[Place]:
    # Not below pytest's own directory: that is closed to the ordinary user.
    directory = Path(tempfile.mkdtemp(prefix="pods-crash-"))
    try:
        archive = busybox_image().write_docker_archive(directory / "busybox.tar", names=["localhost/busybox:1"])
        if rootless and os.geteuid() == 0:
            user = ensure_user()
            os.chown(directory, user.pw_uid, user.pw_gid)
        place = Place(directory / "store", rootless, registry.reference("busy"))
        load = "import sys; from pathlib import Path; from pytest_pods.engine.api import Engine\n"
        load += "with Engine.open(root=Path(sys.argv[1])) as engine: engine.load(sys.argv[2])"
        argv = place.argv(sys.executable, "-c", load, str(place.root), str(archive))
        subprocess.run(argv, env=place.environment(), cwd="/", check=True, timeout=300)
        yield place
    finally:
        _remove(directory, rootless=rootless)


def _remove(directory: Path, *, rootless: bool) -> None:
    if rootless and os.geteuid() != 0:
        helper = REPOSITORY / "pytest_pods" / "_native" / "nsenter_helper"
        subprocess.run(["unshare", "--user", "--map-auto", "--map-root-user", str(helper), "remove", str(directory)])
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def rootful_place(busy_registry: Registry) -> Iterator[Place]:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user cannot become root")
    yield from _make_place(busy_registry, rootless=False)


@pytest.fixture(scope="module")
def rootless_place(busy_registry: Registry) -> Iterator[Place]:
    yield from _make_place(busy_registry, rootless=True)


@pytest.fixture(scope="module")
def busy_registry(registry: Registry) -> Registry:
    """The registry, with an image of some thousand files for each worker."""
    from pytest_pods.engine.registry.client import RegistryClient

    client = RegistryClient()
    for worker in ("gw0", "gw1"):
        builder = ImageBuilder()
        for layer in range(3):
            content = {f"layer{layer}/{n}": file(f"{worker} {layer} {n}" * 200) for n in range(400)}
            builder = builder.layer(content)
        builder.build().push(client, registry.reference(f"busy-{worker}:1"))
    return registry


def _rounds() -> list[tuple[int, str, bool]]:
    modes = [False, True] if os.geteuid() == 0 else [True]
    return [(n, VICTIMS[n % len(VICTIMS)], modes[(n // len(VICTIMS)) % len(modes)]) for n in range(KILLS)]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("number", "victim", "rootless"),
    [pytest.param(*one, id=f"{one[0]}-{one[1].replace(' ', '-')}-{'user' if one[2] else 'root'}") for one in _rounds()],
)
def test_killed_run_leaves_nothing(number: int, victim: str, rootless: bool, request: pytest.FixtureRequest) -> None:
    place: Place = request.getfixturevalue("rootless_place" if rootless else "rootful_place")
    chance = random.Random(f"{SEED} {number}")
    before = HostState.take()
    with tempfile.TemporaryDirectory(prefix="pods-busy-", ignore_cleanup_errors=True) as directory:
        run = BusyRun(place, Path(directory), workers=2 if victim in WITH_WORKERS else 0)
        try:
            victims = run.await_victims(victim)
            run.let_run(chance.uniform(0.0, 1.5))
            phase = run.phase()
            began = time.monotonic()
            victims = run.find_victims(victim) or victims
            workers = _workers(run.process.pid)
            sessions = _find_sessions(place.root, owners=victims if victim in WITH_WORKERS else None)
            # What one whose janitor was not started yet has made is the next session's to tidy up.
            young = [one for one in sessions if not _processes(place.root, b"janitor", session=one)]
            for pid in [chance.choice(victims)] if victim == "conmon" else victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if victim in ("pytest", "pytest and janitor", "controller"):
                run.reap()
            left = _await_gone(place, before, victim, sessions, young, began)
            taken_ms = (time.monotonic() - began) * 1000
            if victim in ("conmon", "worker") and not left:
                left = _end_and_look(place, before, run)
            if victim == "controller" and not left:
                # Workers end, and tidy up, by themselves.
                left = wait_until_clean(
                    lambda: [f"worker {pid}" for pid in workers if Path(f"/proc/{pid}").exists()],
                    patience_s=START_PATIENCE_S,
                )
            _report(number, victim, rootless, phase, taken_ms, left)
            assert left == [], f"{victim} killed in phase {phase}; left:\n" + "\n".join([*left, *_list_files(left)])
        finally:
            run.finish()
        after = _check_store(place)
        assert after["said"] == "works\n"
        assert after["damage"] == []
        assert after["faults"] == []
        rest = wait_until_clean(
            lambda: [*find_leaks(before, place.root.parent), *_find_all(sessions, place.root)], patience_s=PATIENCE_S
        )
        assert rest == [], "left after the next session: " + "\n".join(rest)


class BusyRun:
    """A pytest process that runs the busy suite."""

    def __init__(self, place: Place, directory: Path, *, workers: int) -> None:
        self._place = place
        self._progress = directory / "progress"
        self._progress.touch()
        shutil.copy(Path(__file__).with_name("suite.py"), directory / "test_busy.py")
        (directory / "pytest.ini").write_text("[pytest]\n")
        for path in (directory, self._progress):
            path.chmod(0o777)
        self._output = directory / "output"
        argv = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--pods-root={place.root}",
            "--pods-lookahead=2",
            "test_busy.py",
        ]
        argv += ["-n", str(workers)] if workers else ["-p", "no:xdist"]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                place.argv(*argv),
                cwd=directory,
                env=place.environment(PODS_CRASH_IMAGE=place.image, PODS_CRASH_PROGRESS=str(self._progress)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def phase(self) -> str:
        lines = self._progress.read_text().split("\n")
        return lines[-2] if len(lines) > 1 else "start"

    def let_run(self, seconds: float) -> None:
        """The random moment; a run that ends by itself is a fault of the test."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError(f"the busy run ended by itself:\n{self._output.read_text()[-3000:]}")

    def await_victims(self, victim: str) -> list[int]:
        end = time.monotonic() + START_PATIENCE_S
        while not (found := self.find_victims(victim)):
            self.let_run(0.01)
            assert time.monotonic() < end, f"no {victim} to be seen:\n{self._output.read_text()[-3000:]}"
        return found

    def find_victims(self, victim: str) -> list[int]:
        finders: dict[str, Callable[[], list[int]]] = {
            "pytest": lambda: [self.process.pid] if self._started() else [],
            "janitor": lambda: _processes(self._place.root, b"janitor", outer=True),
            "init": lambda: _processes(self._place.root, b"janitor", outer=False),
            "conmon": lambda: _processes(self._place.root, b"conmon"),
            "controller": lambda: [self.process.pid] if self._started() else [],
            "worker": lambda: _workers(self.process.pid)[:1] if self._started() else [],
        }
        if victim == "pytest and janitor":
            janitors = finders["janitor"]()
            return [self.process.pid, *janitors] if janitors else []
        return finders[victim]()

    def _started(self) -> bool:
        return self._progress.stat().st_size > 0

    def reap(self) -> None:
        self.process.wait(timeout=30)

    def finish(self) -> None:
        """Ends what still runs, as Ctrl-C would; it has to come to an end."""
        if self.process.poll() is None:
            for _ in range(3):
                # More than once, as a person would: Python loses one that is met inside a destructor.
                os.killpg(self.process.pid, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout=START_PATIENCE_S / 3)
                    return
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"Ctrl-C did not end the run:\n{self._output.read_text()[-3000:]}")


def _await_gone(
    place: Place, before: HostState, victim: str, sessions: list[str], young: list[str], began: float
) -> list[str]:
    """What is left a second after the kill, of what has to be gone by then."""

    def look() -> list[str]:
        if victim == "conmon":
            # What its container was is removed by the run, which goes on.
            return []
        found = _find_all(sessions, place.root)
        # The other worker, and whoever takes the place of a killed one, go on; those of a controller for a moment.
        found += find_leaks(before, place.root.parent) if victim not in WITH_WORKERS else []
        found = [line for line in found if not (line.startswith("file ") and line.endswith(tuple(young)))]
        if victim in WITH_WORKERS:
            return found
        if victim == "pytest":
            return found
        # pytest itself goes on, and is ended afterwards.
        found = [line for line in found if "pytest" not in line or not line.startswith("process")]
        if victim == "init":
            return found
        # Plain files and empty groups wait for the next session; processes, mounts and links do not.
        return [line for line in found if not line.startswith(("file ", "control group "))]

    return wait_until_clean(look, patience_s=max(0.0, PATIENCE_S - (time.monotonic() - began)))


def _end_and_look(place: Place, before: HostState, run: BusyRun) -> list[str]:
    """The run goes on for a while; it is ended, and then nothing may be left."""
    run.let_run(0.2)
    run.finish()
    return wait_until_clean(lambda: find_leaks(before, place.root.parent), patience_s=PATIENCE_S)


def _find_sessions(root: Path, *, owners: list[int] | None) -> list[str]:
    """The IDs of the store's sessions; with `owners`, of those that belong to one of these processes."""
    found = []
    for document in (root / "run" / "sessions").glob("*/session.json"):
        # One that is made, or ends, at this moment has no document.
        with suppress(OSError, ValueError):
            if owners is None or json.loads(document.read_text())["owner_pid"] in owners:
                found.append(document.parent.name)
    return found


def _find_all(sessions: list[str], root: Path) -> list[str]:
    return [line for session in sessions for line in find_session(session, root)]


def _list_files(left: list[str]) -> list[str]:
    """What is in the directories that are left: it tells who made them, or could not be removed."""
    places = sorted({line.removeprefix("file ") for line in left if line.startswith("file ")})
    return [f"with {path}" for place in places for path in sorted(Path(place).rglob("*"))[:50]]


def _check_store(place: Place) -> dict[str, object]:
    argv = place.argv(sys.executable, "-m", "tests.crash.check", str(place.root))
    done = subprocess.run(argv, env=place.environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, object] = json.loads(done.stdout)
    return result


def _report(number: int, victim: str, rootless: bool, phase: str, taken_ms: float, left: list[str]) -> None:
    if path := os.environ.get("PODS_CRASH_REPORT"):
        who = "user" if rootless else "root"
        with open(path, "a") as report:
            report.write(f"{number}\t{victim}\t{who}\t{phase}\t{taken_ms:.0f}\t{len(left)}\n")


def _processes(root: Path, word: bytes, *, outer: bool | None = None, session: str = "") -> list[int]:
    """Pids of processes that name the store and `word`, and the session; with `outer`, only those whose parent does not
    (or does)."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                command = Path(entry.path, "cmdline").read_bytes()
                program = command.split(b"\0", 1)[0]
                wanted = b"nsenter_helper" in program if word == b"janitor" else word in program
                if wanted and word in command and os.fsencode(root) in command and session.encode() in command:
                    parent = int(Path(entry.path, "stat").read_text().rpartition(")")[2].split()[1])
                    found[int(entry.name)] = parent
    if outer is None:
        return list(found)
    return [pid for pid, parent in found.items() if (parent not in found) is outer]


def _workers(pid: int) -> list[int]:
    """The xdist workers of a controller."""
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if b"stdin.readline" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return []
