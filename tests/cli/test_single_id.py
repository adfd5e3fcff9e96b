"""An ordinary user whom nothing gives subordinate ids: one id is mapped, which works, and is said."""

from __future__ import annotations

import pytest

from tests.support.fixtures_user import RunAsUser, StartUser
from tests.support.images import busybox_builder, file

pytestmark = [pytest.mark.root, pytest.mark.rootless]

IMAGE = "localhost/owned:1"


@pytest.fixture
def run(user_on: StartUser) -> RunAsUser:
    """On a machine that has no newuidmap."""
    layer = {"theirs": file("hello\n", uid=1234, gid=1234), "data/file": file("kept\n", uid=1234)}
    image = busybox_builder().layer(layer).config(Volumes={"/data": {}}).build()
    return user_on('mount --bind /dev/null "$(command -v newuidmap)"', image, IMAGE)


def test_container_runs_and_the_lack_is_told_with_its_reason_and_cure(run: RunAsUser) -> None:
    done = run("run", "--rm", "--network", "none", IMAGE, "sh", "-c", "id -u; cat /theirs; stat -c %u /theirs")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0\nhello\n0\n"
    assert "Warning: containers have a single user id" in done.stderr
    assert "newuidmap is not installed; apt install uidmap" in done.stderr


def test_volumes_are_filled_and_removed(run: RunAsUser) -> None:
    script = "cat /data/file; echo new > /data/new; test ! -e /own/x"
    done = run("run", "--rm", "--network", "none", "-v", "data:/data:U", "-v", "/own", IMAGE, "sh", "-ec", script)
    assert (done.returncode, done.stdout) == (0, "kept\n"), done.stderr
    assert run("volume", "rm", "data").stdout == "data\n"


def test_other_user_is_refused_by_name(run: RunAsUser) -> None:
    done = run("run", "--rm", "--network", "none", "--user", "1234", IMAGE, "true")
    assert done.returncode == 125
    assert "would run as user 1234, which does not exist here: this session has 0" in done.stderr
    assert "pytest-pods doctor" in done.stderr
    assert run("ps", "--all", "--quiet").stdout == ""
