"""Workers of xdist on another machine, by ssh: they have a session of their own there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import busybox_image
from tests.support.two_hosts import two_hosts

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user cannot make hosts")

CONFTEST = f"""
from pytest_pods import container_fixture

db = container_fixture({BUSYBOX!r}, ["sleep", "1000"], scope="session", network="none")
"""

TEST = """
import os
import pathlib

def test_one(db, run_container):
    worker, network = os.environ["PYTEST_XDIST_WORKER"], os.readlink("/proc/self/ns/net")
    (pathlib.Path(TOLD) / worker).write_text(f"{network} {db.id}")
    assert db.exec(["true"]).ok
"""


def test_workers_on_another_host_share_nothing_with_those_on_this_one(tmp_path: Path, store: Path) -> None:
    suite, told, other_store = (tmp_path / name for name in ("suite", "told", "store-there"))
    for directory in (suite, told):
        directory.mkdir()
    (suite / "pytest.ini").write_text("[pytest]\n")
    (suite / "conftest.py").write_text(CONFTEST)
    (suite / "test_it.py").write_text(TEST.replace("TOLD", repr(str(told))))
    archive = busybox_image().write_docker_archive(tmp_path / "busybox.tar", names=[BUSYBOX])
    with Engine.open(root=other_store) as engine:
        engine.load(archive)
    with two_hosts(tmp_path) as (here, there, ssh_config):
        # At the same path, as on any other machine.
        there.run("mount", "--bind", str(other_store), str(store))
        remote = f"ssh=there//ssh_config={ssh_config}//python={sys.executable}//chdir={tmp_path / 'remote'}"
        argv = [
            # Said to workers, too, which have none of this environment there.
            *(sys.executable, "-m", "pytest", *os.environ["PYTEST_ADDOPTS"].split(), "-p", "no:cacheprovider"),
            # It wants the controller on the worker's loopback.
            *("-p", "no:rerunfailures"),
            *(f"--pods-root={store}", "--dist=each", "--tx", "2*popen", "--tx", f"2*{remote}"),
            *("--rsyncdir", str(suite), str(suite)),
        ]
        done = subprocess.run(
            here.argv("env", "--chdir", str(suite), *argv), capture_output=True, text=True, timeout=100, check=False
        )
        assert "4 passed" in done.stdout, done.stdout + done.stderr
        assert "pods: 3 containers" in done.stdout
        assert [*(other_store / "run" / "sessions").glob("[!.]*")] == []
    by_host = defaultdict(list)
    for worker in sorted(told.iterdir()):
        network, container = worker.read_text().split()
        by_host[network].append((worker.name, container))
    (one, two), (three, four) = sorted(by_host.values())
    assert ([name for name, _ in (one, two, three, four)], one[1] == two[1]) == (["gw0", "gw1", "gw2", "gw3"], True)
    assert len({one[1], three[1], four[1]}) == 3
