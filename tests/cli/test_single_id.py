"""An ordinary user whom nothing gives subordinate ids: one id is mapped, which works, and is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.images import busybox_builder, file
from tests.support.leaks import HostState, find_leaks, wait_until_clean
from tests.support.rootless import build_argv_as_user, ensure_user, environment_of_user

pytestmark = [pytest.mark.root, pytest.mark.rootless]

IMAGE = "localhost/owned:1"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Iterator[Run]:
    """`pytest-pods` as a user on a machine whose newuidmap is no set-uid program."""
    before = HostState.take()
    # pytest's own directories are closed to the user.
    directory = Path(tempfile.mkdtemp(prefix="pods-single-"))
    user = ensure_user()
    os.chown(directory, user.pw_uid, user.pw_gid)
    program = shutil.which("newuidmap")
    assert program is not None
    hide = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind /dev/null "$0" && exec "$@"']

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = build_argv_as_user([sys.executable, "-m", "pytest_pods", "--root", f"{directory}/store", *arguments])
        return subprocess.run(
            [*hide, program, *command], env=environment_of_user(), cwd="/", capture_output=True, text=True, timeout=60
        )

    image = busybox_builder().layer({"theirs": file("hello\n", uid=1234, gid=1234)}).build()
    archive = image.write_docker_archive(directory / "image.tar", names=[IMAGE])
    archive.chmod(0o644)
    loaded = call("load", "-i", str(archive))
    assert loaded.returncode == 0, loaded.stderr
    yield call
    call("sessions", "end", "--all")
    assert wait_until_clean(lambda: find_leaks(before, directory), patience_s=3.0) == []
    shutil.rmtree(directory)


def test_container_runs_and_the_lack_is_told_with_its_reason_and_cure(run: Run) -> None:
    done = run("run", "--rm", "--network", "none", IMAGE, "sh", "-c", "id -u; cat /theirs; stat -c %u /theirs")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0\nhello\n0\n"
    assert "Warning: containers have a single user id" in done.stderr
    assert "newuidmap is not installed; apt install uidmap" in done.stderr


def test_other_user_is_refused_by_name(run: Run) -> None:
    done = run("run", "--rm", "--network", "none", "--user", "1234", IMAGE, "true")
    assert done.returncode == 125
    assert "would run as user 1234, which does not exist here: this session has 0" in done.stderr
    assert "pytest-pods doctor" in done.stderr
    assert run("ps", "--all", "--quiet").stdout == ""
