"""The command line, and pytest, as an ordinary user on a machine that was made poorer for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.images import BuiltImage
from tests.support.leaks import HostState, find_leaks, wait_until_clean
from tests.support.rootless import build_argv_as_user, ensure_user, environment_of_user

RunAsUser = Callable[..., subprocess.CompletedProcess[str]]
StartUser = Callable[[str, BuiltImage, str], RunAsUser]


@contextmanager
def _user_on(prepare: str, image: BuiltImage, name: str) -> Iterator[RunAsUser]:
    before = HostState.take()
    # pytest's own directories are closed to the user.
    directory = Path(tempfile.mkdtemp(prefix="pods-user-"))
    user = ensure_user()
    os.chown(directory, user.pw_uid, user.pw_gid)
    machine = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{prepare}; exec "$@"', "sh"]

    def run(*arguments: str, stdin: str = "", module: str = "pytest_pods") -> subprocess.CompletedProcess[str]:
        command = build_argv_as_user([sys.executable, "-m", module, *arguments])
        environment = {**environment_of_user(), "PYTEST_PODS_ROOT": f"{directory}/store"}
        return subprocess.run(
            [*machine, *command],
            env=environment,
            cwd="/",
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    archive = image.write_docker_archive(directory / "image.tar", names=[name])
    archive.chmod(0o644)
    loaded = run("load", "-i", str(archive))
    assert loaded.returncode == 0, loaded.stderr
    try:
        yield run
    finally:
        ended = run("sessions", "end", "--all")
        left = wait_until_clean(lambda: find_leaks(before, directory), patience_s=3.0)
        shutil.rmtree(directory)
    assert (ended.returncode, left) == (0, []), ended.stderr


@pytest.fixture
def user_on() -> Iterator[StartUser]:
    """Runs `pytest-pods`, or another module, as the ordinary user, in a mount namespace that a shell command has
    prepared as root, on a store that has the image under the name."""
    with ExitStack() as stack:
        yield lambda prepare, image, name: stack.enter_context(_user_on(prepare, image, name))
