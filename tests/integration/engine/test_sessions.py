"""Sessions: what ends with them, what outlives them when asked, and how left-overs of dead ones are swept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import PodsError, SandboxLostError, SessionNotFoundError, WrongStateError
from pytest_pods.engine.host.pipes import Pipe, wait_readable
from pytest_pods.engine.services.creation import read_in_sandbox
from pytest_pods.engine.state.layout import build_store_layout
from tests.support.fixtures_store import BUSYBOX
from tests.support.leaks import wait_until_clean


def session_files(root: Path) -> list[str]:
    store = build_store_layout(root)
    places = [store.sessions_dir, store.scratch_dir]
    return [str(path) for place in places if place.is_dir() for path in place.iterdir() if path.name != ".lock"]


def test_opening_an_engine_makes_nothing(image_store: Path) -> None:
    before = session_files(image_store)
    with Engine.open(root=image_store) as engine:
        assert not engine.sandbox_started
        assert session_files(image_store) == before


def test_everything_goes_with_the_session(image_store: Path, tmp_path: Path) -> None:
    with Engine.open(root=image_store) as engine:
        engine.run(BUSYBOX, ["sh", "-c", "echo > /file; sleep 1000"], ports=[80])
        session = engine.session_id
        assert any(session in path for path in session_files(image_store))
    assert not any(session in path for path in session_files(image_store))


def test_two_sessions_on_one_store_do_not_meet(image_store: Path) -> None:
    with Engine.open(root=image_store) as one, Engine.open(root=image_store) as other:
        first = one.run(BUSYBOX, ["sleep", "1000"], name="db")
        second = other.run(BUSYBOX, ["sleep", "1000"], name="db")
        assert [c.id for c in one.containers()] == [first.id]
        one.close()
        assert second.running


def test_kept_session_is_found_and_worked_in_and_ended_by_another_process(image_store: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from pytest_pods.engine.api import Engine
engine = Engine.open(root=Path({str(image_store)!r}))
engine.run({BUSYBOX!r}, ["sleep", "1000"], name="kept", network="none")
print(engine.keep(600))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    session = done.stdout.strip()
    assert session in [record.id for record in Engine.sessions(image_store)]
    with Engine.attach(session, root=image_store) as engine:
        container = engine.container("kept")
        assert container.exec(["echo", "still here"]).stdout == "still here\n"
        container.stop()
        assert container.exit_code == 137
        engine.end()
    assert session not in [record.id for record in Engine.sessions(image_store)]
    assert not any(session in path for path in session_files(image_store))


def test_attaching_to_a_session_that_is_not_there_is_refused(image_store: Path) -> None:
    with pytest.raises(SessionNotFoundError, match="no live session abc"):
        Engine.attach("abc", root=image_store)


def test_losing_the_sandbox_is_told(image_store: Path) -> None:
    with Engine.open(root=image_store) as engine:
        container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
        (janitor,) = _children(os.getpid(), b"janitor", engine.session_id)
        os.kill(janitor, signal.SIGKILL)
        os.waitpid(janitor, 0)
        wait_until_clean(lambda: [] if engine._session.connected().lost else ["alive"], patience_s=10)
        with pytest.raises(SandboxLostError, match="gone"):
            container.exec(["true"])
        assert container.status == "exited"
        session = engine.session_id
    assert session in Engine.sweep(image_store).removed
    assert not any(session in path for path in session_files(image_store))


@pytest.mark.parametrize("moment", range(8))
def test_session_that_ends_while_things_are_made_stays_away(image_store: Path, moment: int) -> None:
    with Engine.open(root=image_store) as engine:
        session = engine.session_id
        engine.run(BUSYBOX, ["sleep", "1000"], network="none")
        (janitor,) = _children(os.getpid(), b"janitor", session)
        (init,) = _children(janitor, b"janitor", session)
        steps = threading.Semaphore(0)

        def make(number: int) -> BaseException | None:
            try:
                for turn in range(1000):
                    network = engine.create_network(f"net-{number}-{turn}")
                    steps.release()
                    container = engine.create(BUSYBOX, ["sleep", "1000"], networks=[network])
                    steps.release()
                    container.start()
                    steps.release()
                    container.remove()
                    network.remove()
            except PodsError as error:
                return error
            finally:
                steps.release(moment + 1)
            return None

        with ThreadPoolExecutor(3) as pool:
            makers = [pool.submit(make, number) for number in range(3)]
            for _ in range(moment + 1):
                assert steps.acquire(timeout=60)
            os.kill(init, signal.SIGKILL)
            errors = [maker.result(timeout=60) for maker in makers]
        assert [type(error) for error in errors] == [SandboxLostError] * 3
        left = wait_until_clean(
            lambda: [path for path in session_files(image_store) if session in path], patience_s=10
        )
        assert left == []


def test_process_that_has_ended_and_is_not_waited_for_does_not_run(engine: Engine) -> None:
    sandbox = engine._session.start()
    with Pipe() as told:
        # Of its own child it knows nothing: it was another program when that was started.
        script = "sleep 0 & echo $!; exec sleep 1000"
        parent = sandbox.spawn(["/bin/sh", "-c", script], env={"PATH": os.defpath}, descriptors={1: told.writing})
        told.close_writing()
        child = int(os.read(told.reading, 100))
        pidfd = sandbox.open_pidfd(child)
        try:
            assert wait_readable(pidfd, 20)
        finally:
            os.close(pidfd)
        assert read_in_sandbox(sandbox, f"/proc/{child}/comm") == b"sleep\n"
        assert not sandbox.runs(child, "sleep")
        parent.kill()


def test_leaving_a_session_in_the_middle_of_a_look_ends_no_container(image_store: Path) -> None:
    with Engine.open(root=image_store) as engine:
        container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
        session = engine.keep(600)
        left = threading.Event()

        def look(seen: Container) -> None:
            with suppress(WrongStateError):
                while not left.is_set():
                    seen.state()

        with ThreadPoolExecutor(1) as pool:
            for _ in range(20):
                other = Engine.attach(session, root=image_store)
                left.clear()
                looks = pool.submit(look, other.container(container.id))
                try:
                    other.container(container.id).exec(["true"])
                    other.close()
                finally:
                    left.set()
                looks.result(timeout=60)
        assert (container.status, container.exit_code) == ("running", None)
        engine.end()


def test_monitor_that_was_killed_ends_its_container(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    monitor = container.state().monitor_pid
    assert monitor is not None
    engine._session.start().signal(monitor, signal.SIGKILL)
    assert container.wait(timeout=20) == 137
    assert "monitor" in (container.state().fault or "")
    container.remove()


def _children(pid: int, word: bytes, session: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and word in command and session.encode() in command:
            found.append(int(path.name))
    return found


def test_records_of_sessions_are_documents(image_store: Path) -> None:
    with Engine.open(root=image_store) as engine:
        engine.start()
        path = build_store_layout(image_store).session(engine.session_id).record_file
        assert json.loads(path.read_text())["owner_pid"] == os.getpid()
