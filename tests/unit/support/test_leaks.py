"""The look for left-overs finds what a test would leave, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import fixtures_leaks
from tests.support.leaks import HostState, find_leaks, wait_until_clean

WAIT_FOR_INPUT = "import sys; print(flush=True); sys.stdin.read()"


@contextmanager
def process(*arguments: str, env: dict[str, str] | None = None) -> Iterator[int]:
    """A process that lives as long as the block."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", WAIT_FOR_INPUT, *arguments],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid


def test_process_with_the_directory_in_its_arguments_is_found(tmp_path: Path) -> None:
    before = HostState.take()
    with process(f"--root={tmp_path}/store") as pid:
        (line,) = find_leaks(before, tmp_path)
        assert line.startswith(f"process {pid}: ")
    assert find_leaks(before, tmp_path) == []


def test_process_with_the_directory_in_its_environment_is_found(tmp_path: Path) -> None:
    before = HostState.take()
    with process(env={**os.environ, "PYTEST_PODS_ROOT": str(tmp_path)}) as pid:
        assert any(line.startswith(f"process {pid}: ") for line in find_leaks(before, tmp_path))


def test_process_of_another_directory_with_the_same_beginning_is_not_ours(tmp_path: Path) -> None:
    before = HostState.take()
    with process(f"--root={tmp_path}-other/store"):
        assert find_leaks(before, tmp_path) == []


def test_process_that_was_there_before_is_not_judged(tmp_path: Path) -> None:
    with process(str(tmp_path)):
        assert find_leaks(HostState.take(), tmp_path) == []


@pytest.mark.parametrize("place", ["run/sessions/0123456789ab", "scratch/0123456789ab", "staging/x"])
def test_files_of_a_session_are_found_in_a_store(tmp_path: Path, place: str) -> None:
    before = HostState.take()
    store = tmp_path / "store"
    (store / "layers").mkdir(parents=True)
    (store / "version").write_text("1")
    (store / place).mkdir(parents=True)
    assert find_leaks(before, tmp_path) == [f"file {store / place}"]
    (store / place).rmdir()
    assert find_leaks(before, tmp_path) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_mount_below_the_directory_is_found(tmp_path: Path) -> None:
    before = HostState.take()
    point = tmp_path / "a place"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
    try:
        assert find_leaks(before, tmp_path) == [f"mount at {point}"]
    finally:
        subprocess.run(["umount", point], check=True)


def test_waiting_ends_with_the_first_clean_look() -> None:
    looks = iter([["a process"], ["a process"], []])
    assert wait_until_clean(lambda: next(looks), patience_s=10) == []


def test_waiting_gives_up_with_what_is_still_there() -> None:
    assert wait_until_clean(lambda: ["a process"], patience_s=0) == ["a process"]


def test_fixture_fails_a_test_that_leaves_a_process(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeconftest("pytest_plugins = ['tests.support.fixtures_leaks']")
    monkeypatch.setattr(fixtures_leaks, "_PATIENCE_S", 0.1)
    pytester.makepyfile(
        """
        import subprocess
        def test_leaves(tmp_path):
            child = subprocess.Popen(["sleep", "5"], env={"ROOT": str(tmp_path)})
            while not open(f"/proc/{child.pid}/environ").read():
                pass  # Popen returns a moment before the kernel shows it.
            (tmp_path / "pid").write_text(str(child.pid))
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "ignore")
    (pid_file,) = pytester.path.parent.glob("**/pid")
    os.kill(int(pid_file.read_text()), 9)
    os.waitpid(int(pid_file.read_text()), 0)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["left behind by this test:", "process *: sleep 5"])
