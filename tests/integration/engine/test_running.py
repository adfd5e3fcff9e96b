"""Containers from creation to removal, through the Engine, with the real runc and conmon."""

from __future__ import annotations

import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_pods import waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import (
    CommandNotExecutableError,
    CommandNotFoundError,
    ContainerNotFoundError,
    DeadlineExceededError,
    ImageNotFoundError,
    InvalidInputError,
    InvalidSpecError,
    NameInUseError,
    NotFoundError,
    WrongStateError,
)
from pytest_pods.engine.host.sandbox import Sandbox
from tests.support.fixtures_store import BUSYBOX
from tests.support.images import busybox_builder, file
from tests.support.machine import needs_control_groups

MANY_LAYERS = 120


def test_run_to_the_end_gives_exit_code_and_log(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sh", "-c", "echo out; echo err >&2; exit 7"], network="none")
    assert container.wait(timeout=20) == 7
    assert sorted(container.logs().splitlines()) == ["err", "out"]
    assert container.logs(stream="stderr") == "err\n"
    assert container.status == "exited"
    assert container.exit_code == 7


def test_threads_share_one_session_from_its_first_moment(image_store: Path) -> None:
    with Engine.open(root=image_store) as engine, ThreadPoolExecutor(8) as pool:
        together = threading.Barrier(8)

        def run(number: int) -> str:
            together.wait()
            container = engine.run(BUSYBOX, ["sh", "-c", f"echo {number}; exec sleep 1000"], network="none")
            return container.succeed("echo inside").strip()

        assert list(pool.map(run, range(8))) == ["inside"] * 8
        assert engine.counters.containers == 8
        assert len(engine.containers(all=False)) == 8
        assert len(Engine.sessions(image_store)) == 1


def test_state_follows_the_container_through_its_life(engine: Engine) -> None:
    container = engine.create(BUSYBOX, ["sleep", "1000"], network="none")
    assert (container.status, container.exit_code, container.started_at) == ("created", None, None)
    container.start()
    assert container.status == "running"
    assert container.started_at is not None
    container.stop()
    assert (container.status, container.exit_code) == ("exited", 137)
    container.remove()
    with pytest.raises(ContainerNotFoundError, match="was removed"):
        container.state()
    assert engine.containers() == []


def test_container_that_is_removed_while_its_state_is_read_was_removed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], name="box", network="none")

    def remove_meanwhile(sandbox: Sandbox, pid: int, program: str) -> bool:
        monkeypatch.undo()
        container.remove()
        return False

    monkeypatch.setattr(Sandbox, "runs", remove_meanwhile)
    with pytest.raises(ContainerNotFoundError, match=r"container box .* was removed"):
        container.state()


def test_stop_signal_comes_first_where_there_is_grace(engine: Engine) -> None:
    script = "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    container = engine.run(BUSYBOX, ["sh", "-c", script], network="none", wait=lambda c: "ready" in c.logs())
    container.stop(timeout=20)
    assert container.exit_code == 3
    assert "asked" in container.logs()


def test_kill_sends_any_signal(engine: Engine) -> None:
    script = "trap 'exit 4' USR1; echo ready; while :; do sleep 0.05; done"
    container = engine.run(BUSYBOX, ["sh", "-c", script], network="none", wait=lambda c: "ready" in c.logs())
    container.kill(signal.SIGUSR1)
    assert container.wait(timeout=20) == 4


def test_restart_keeps_the_files(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sh", "-c", "echo once >> /log; exec sleep 1000"], network="none")
    container.wait_until("test -s /log")
    container.restart()
    container.wait_until("test $(wc -l < /log) = 2")
    assert container.running


def test_wait_gives_up_after_its_time(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    with pytest.raises(DeadlineExceededError, match="still runs"):
        container.wait(timeout=0.05)


def test_wait_refuses_a_container_that_was_never_started(engine: Engine) -> None:
    with pytest.raises(WrongStateError, match="not started"):
        engine.create(BUSYBOX, ["true"], network="none").wait(timeout=1)


def test_exec_in_a_container_that_ended_is_refused(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["true"], network="none")
    container.wait(timeout=20)
    with pytest.raises(WrongStateError, match="does not run"):
        container.exec(["true"])


def test_command_that_is_not_in_the_image_is_named(engine: Engine) -> None:
    with pytest.raises(CommandNotFoundError, match="no-such-command"):
        engine.run(BUSYBOX, ["no-such-command"], network="none")
    assert engine.containers() == []


def test_command_that_is_no_program_is_named(engine: Engine) -> None:
    with pytest.raises(CommandNotExecutableError, match="/etc/passwd"):
        engine.run(BUSYBOX, ["/etc/passwd"], network="none")
    assert engine.containers() == []


def test_image_that_is_not_there_is_named(engine: Engine) -> None:
    with pytest.raises(ImageNotFoundError, match="nowhere"):
        engine.run("localhost/nowhere:1", pull="never")


def test_name_in_use_is_refused_and_free_again_after_removal(engine: Engine) -> None:
    first = engine.run(BUSYBOX, ["sleep", "1000"], network="none", name="db")
    session = engine.store.session(engine.session_id)
    before = sorted(os.listdir(session.containers_dir)), sorted(os.listdir(session.leases_dir))
    with pytest.raises(NameInUseError, match=first.short_id):
        engine.run(BUSYBOX, ["sleep", "1000"], name="db")
    assert (sorted(os.listdir(session.containers_dir)), sorted(os.listdir(session.leases_dir))) == before
    first.remove()
    assert engine.run(BUSYBOX, ["true"], network="none", name="db").name == "db"


def test_environment_user_workdir_and_hostname_are_as_asked(engine: Engine) -> None:
    container = engine.run(
        BUSYBOX,
        ["sh", "-c", "echo $COLOUR; id -u; id -g; pwd; hostname"],
        network="none",
        env={"COLOUR": "blue"},
        user="1234:4321",
        workdir="/tmp",
        hostname="box",
    )
    container.wait(timeout=20)
    assert container.logs().split() == ["blue", "1234", "4321", "/tmp", "box"]


def test_unknown_user_is_named(engine: Engine) -> None:
    with pytest.raises(InvalidSpecError, match="mallory"):
        engine.run(BUSYBOX, ["true"], network="none", user="mallory")


def test_bind_mount_is_seen_and_read_only_where_asked(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("from the host\n")
    container = engine.run(
        BUSYBOX, ["sleep", "1000"], network="none", volumes=[f"{tmp_path}:/data", f"{tmp_path}:/fixed:ro"]
    )
    assert container.succeed("cat /data/hello") == "from the host\n"
    container.succeed("echo back > /data/back")
    assert (tmp_path / "back").read_text() == "back\n"
    container.fail("echo no > /fixed/no")


def test_bind_mount_of_nothing_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidSpecError, match="/no/such/place"):
        engine.run(BUSYBOX, ["true"], network="none", volumes=["/no/such/place:/data"])
    assert engine.containers() == []


def test_tmpfs_has_the_size_asked_for(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none", tmpfs=["/scratch:size=1m"])
    container.fail("dd if=/dev/zero of=/scratch/big bs=1M count=3")
    assert re.search(r"tmpfs\s+1024\s", container.succeed("df -k /scratch"))


def test_files_can_be_read_and_written_from_outside(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none", tmpfs=["/scratch"])
    container.write("/scratch/note", "hello", mode=0o600)
    assert container.succeed("cat /scratch/note") == "hello"
    container.succeed("ln -s /etc/hostname /link")
    assert container.read("/link").decode().strip() == container.short_id


@pytest.mark.parametrize("path", ["/etc", "/dev/null", "/pipe"])
def test_what_is_no_regular_file_is_not_read(engine: Engine, path: str) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    container.succeed("mkfifo /pipe")
    with pytest.raises(InvalidInputError, match=f"reading {path} of container .*: it is no regular file"):
        container.read(path)
    with pytest.raises(NotFoundError, match=r"reading /nowhere of container .*: No such file"):
        container.read("/nowhere")


def test_image_of_very_many_layers_is_mounted_whole_and_in_order(tmp_path: Path) -> None:
    """Their paths are more than mount(2) takes; on kernels before 6.8 there is nothing else."""
    builder = busybox_builder()
    for number in range(MANY_LAYERS):
        builder = builder.layer({f"layers/{number}": file(f"{number}\n"), "layers/top": file(f"{number}\n")})
    archive = builder.build().write_docker_archive(tmp_path / "image.tar", names=["localhost/many:1"])
    with Engine.open(root=tmp_path / "store") as engine:
        engine.load(archive)
        container = engine.run("localhost/many:1", ["sleep", "1000"], network="none")
        assert container.read("/layers/top") == f"{MANY_LAYERS - 1}\n".encode()
        assert container.succeed("ls /layers | wc -l").strip() == str(MANY_LAYERS + 1)


def test_wait_for_a_file_takes_directories_and_links_and_text(engine: Engine) -> None:
    script = "mkdir /spool; ln -s /spool /link; sleep 0.1; echo up > /state; exec sleep 1000"
    wait = waits.all_of(waits.file("/link"), waits.file("/state", contains="up"))
    engine.run(BUSYBOX, ["sh", "-c", script], network="none", wait=wait)


def test_a_link_in_the_container_does_not_lead_to_the_host(engine: Engine, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    container.succeed(f"mkdir -p {tmp_path}; ln -s {secret} /trap; ln -s ../../../../../..{secret} /climb")
    for path in ("/trap", "/climb"):
        container.fail(f"cat {path}")
        with pytest.raises(Exception, match="No such file"):
            container.read(path)


def test_capabilities_are_given_and_taken(engine: Engine) -> None:
    def effective(**options: object) -> int:
        container = engine.run(BUSYBOX, ["grep", "CapEff", "/proc/self/status"], network="none", **options)
        container.wait(timeout=20)
        return int(container.logs().split()[1], 16)

    net_admin = 1 << 12
    assert not effective() & net_admin
    assert effective(cap_add=["NET_ADMIN"]) & net_admin
    assert effective(cap_drop=["ALL"]) == 0


def test_seccomp_filter_is_on_unless_turned_off(engine: Engine) -> None:
    def mode(**options: object) -> str:
        container = engine.run(BUSYBOX, ["grep", "Seccomp:", "/proc/self/status"], network="none", **options)
        container.wait(timeout=20)
        return container.logs().split()[1]

    assert mode() == "2"
    assert mode(seccomp=False) == "0"


def test_stdin_is_given_to_exec(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    assert container.exec(["wc", "-c"], stdin=b"x" * 200_000).stdout.strip() == "200000"


def test_exec_reports_exit_codes_as_a_shell_does(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    assert container.exec(["sh", "-c", "exit 5"]).exit_code == 5
    assert container.exec(["sh", "-c", "kill -9 $$"]).exit_code == 137
    assert container.exec(["no-such-command"]).exit_code == 127
    assert container.exec(["/etc/passwd"]).exit_code == 126


def test_exec_that_takes_too_long_is_killed(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    with pytest.raises(DeadlineExceededError, match="sleep 777"):
        container.exec(["sleep", "777"], timeout=0.2)
    container.wait_until("! pgrep -f 'sleep 777' > /dev/null")


def test_exec_returns_though_a_child_keeps_its_output_open(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sleep", "1000"], network="none")
    assert container.exec(["sh", "-c", "sleep 900 & echo done"], timeout=20).stdout == "done\n"


@needs_control_groups
def test_pause_stops_and_unpause_continues(engine: Engine) -> None:
    script = "while :; do date +%s%N > /tick; done"
    container = engine.run(BUSYBOX, ["sh", "-c", script], network="none")
    container.wait_until("test -s /tick")
    container.pause()
    assert container.status == "paused"
    first = container.read("/tick")
    assert container.read("/tick") == first
    container.unpause()
    container.wait_until(lambda: container.read("/tick") not in (first, b""))
    container.pause()
    container.remove()


def test_user_is_looked_up_in_the_image_for_a_new_container_and_in_its_own_files_for_one_that_starts_again(
    engine: Engine, tmp_path: Path
) -> None:
    accounts = {
        "etc/passwd": file("root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"), "etc/group": file("app:x:1000:\n"),
    }  # fmt: skip
    reference = "localhost/accounts:1"
    engine.load(busybox_builder().layer(accounts).build().write_docker_archive(tmp_path / "a.tar", names=[reference]))

    def run() -> Container:
        return engine.run(reference, ["sh", "-c", "id -u; exec sleep 1000"], user="app", network="none")

    first = run()
    first.wait_until(lambda: first.logs() == "1000\n")
    assert first.exec(["sed", "-i", "s/1000/2000/g", "/etc/passwd", "/etc/group"], user="0").ok
    first.restart()
    first.wait_until(lambda: first.logs() == "1000\n2000\n")
    second = run()
    second.wait_until(lambda: second.logs() == "1000\n")
    engine.remove_image(reference, force=True)
