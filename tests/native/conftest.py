"""Fixtures of the native helper's tests: the programs, and sessions of which nothing may be left."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.native.accounts import Account, current_account
from tests.native.build import build
from tests.native.sandbox import HelperError, Session, processes_of, start_session, wait_until


@pytest.fixture(scope="session")
def build_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    directory = shared / "native-helper"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can reach, unlike tmp_path; its users take their own below it."""
    path = Path(tempfile.mkdtemp(prefix="pods-native-", dir="/tmp"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["plain", "sanitized"])
def helper(request: pytest.FixtureRequest, build_directory: Path, place: Path) -> Path:
    """The program, in a copy of the test's own, by which its processes are known."""
    built = build(request.param, build_directory)
    path = place / "nsenter_helper"
    shutil.copy(built, path)
    path.chmod(0o755)
    return path


@pytest.fixture
def plain_helper(build_directory: Path, place: Path) -> Path:
    """The program as it is delivered, for tests of what the sanitizers would disturb."""
    path = place / "nsenter_helper"
    shutil.copy(build("plain", build_directory), path)
    path.chmod(0o755)
    return path


class Sessions:
    """Starts sessions in directories of the test's own, and ends them with it."""

    def __init__(self, helper: Path, place: Path) -> None:
        self.helper = helper
        self.place = place
        self.reports = place / "reports"
        self.reports.mkdir()
        self.reports.chmod(0o777)
        self.running: list[Session] = []

    def __call__(self, account: Account | None = None, *, more: tuple[str, ...] = (), **how: object) -> Session:
        account = account or current_account()
        directory = self.place / f"session-{len(self.running)}"
        directory.mkdir(mode=0o700, exist_ok=True)
        os.chown(directory, account.uid, account.gid)
        session = start_session(
            self.helper,
            directory,
            prefix=account.prefix,
            more=(*account.arguments, *more),
            env={"ASAN_OPTIONS": f"log_path={self.reports}/report", "UBSAN_OPTIONS": "print_stacktrace=1"},
            **how,  # type: ignore[arg-type]
        )
        self.running.append(session)
        return session

    def end_all(self) -> None:
        for session in self.running:
            session.end()
            os.close(session.lock)

    def check(self) -> None:
        """Nothing is left but what the sessions were not told to remove, and the sanitizers have said nothing."""
        lines = [line for report in self.reports.iterdir() for line in report.read_text().splitlines()]
        # Said by the search for leaks at init's end when the kernel kills init, with its janitor, before that is over.
        said = [line for line in lines if "Unable to get registers from thread" not in line]
        assert not said, "\n".join(said)
        wait_until(lambda: not processes_of(self.helper), "the helper's processes have ended")


@pytest.fixture
def start(helper: Path, place: Path) -> Iterator[Sessions]:
    sessions = Sessions(helper, place)
    yield sessions
    sessions.end_all()
    sessions.check()


@pytest.fixture
def session(start: Sessions) -> Session:
    """A session of this process's user."""
    return start()


@pytest.fixture
def refused() -> Callable[..., HelperError]:
    """Calls something that the sandbox has to refuse, and gives its ERROR."""

    def call(function: Callable[..., object], *arguments: object, **named: object) -> HelperError:
        with pytest.raises(HelperError) as caught:
            function(*arguments, **named)
        return caught.value

    return call


@pytest.fixture
def cgroups() -> Iterator[list[Path]]:
    """A new cgroup in every hierarchy of this machine where root can make one."""
    name = f"pods-native-{os.getpid()}-{os.urandom(4).hex()}"
    root = Path("/sys/fs/cgroup")
    hierarchies = [root] if (root / "cgroup.controllers").exists() else sorted(root.iterdir())
    made = [hierarchy / name for hierarchy in hierarchies if not hierarchy.is_symlink() and hierarchy.name != "cpuset"]
    for path in made:
        path.mkdir()
    yield made
    for path in made:
        if path.exists():
            wait_until(lambda path=path: _removed(path), f"{path} is empty")  # type: ignore[misc]


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except OSError:
        return False
    return True
