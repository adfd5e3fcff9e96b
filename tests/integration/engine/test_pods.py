"""Pods, through the Engine, with the real runc and conmon."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_pods import waits
from pytest_pods.engine.api import Engine
from pytest_pods.engine.errors import (
    CommandNotFoundError,
    ConflictError,
    ImageNotFoundError,
    InvalidSpecError,
    NameInUseError,
    NotFoundError,
    PodFailedError,
    PodNotFoundError,
    PodsError,
    PortInUseError,
    UnsupportedHostError,
    WrongStateError,
)
from pytest_pods.engine.pod import Pod
from tests.support.fixtures_store import BUSYBOX
from tests.support.machine import needs_control_groups

SERVE = ["sh", "-c", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"]
ROOT_OF_INIT = "/".join(("", "proc", "1", "root"))
"""The kernel's link to the root of a container's first process."""
SLEEP = ["sleep", "1000"]


def member(command: Any = SLEEP, **options: Any) -> dict[str, Any]:
    return {"image": BUSYBOX, "command": command, **options}


def status_of(pod: Pod) -> str:
    return pod.status


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return str(answer.read().decode())


def test_members_share_network_names_hostname_and_memory(engine: Engine) -> None:
    pod = engine.run_pod(
        name="shop", hostname="shop.test", network="none",
        web=member(SERVE, wait=waits.port(8080)), other=member(), add_hosts=["db.test:10.1.2.3"],
    )
    other = pod["other"]
    assert list(pod) == ["web", "other"]
    assert other.succeed("wget -qO- http://127.0.0.1:8080/", "wget -qO- http://web:8080/") == "hello\nhello\n"
    assert pod["web"].succeed("hostname") == other.succeed("hostname") == "shop.test\n"
    other.succeed("echo shared > /dev/shm/file")
    assert pod["web"].succeed("cat /dev/shm/file") == "shared\n"
    assert "10.1.2.3\tdb.test\n" in other.succeed("cat /etc/hosts")
    for kind in ("net", "ipc", "uts"):
        assert len({one.succeed(f"readlink /proc/self/ns/{kind}") for one in pod.values()}) == 1
    assert len({one.succeed("readlink /proc/self/ns/pid") for one in pod.values()}) == 2
    with pod.connect(8080, timeout=5) as connection:
        assert connection.getpeername()[1] == 8080


def test_ports_of_pod_and_members_lead_into_the_one_network(engine: Engine) -> None:
    pod = engine.run_pod(
        network="none", ports=[9090],
        web=member(SERVE, ports=[8080], wait=waits.port(8080)),
        late=member(["httpd", "-f", "-p", "9090"], needs=["web"], wait=waits.listening(9090)),
    )
    assert fetch(pod.url(8080)) == fetch(pod["web"].url(8080)) == "hello\n"
    assert pod.address(9090)[1] == pod.ports["9090/tcp"][1]
    with pytest.raises(NotFoundError, match=r"does not publish port 1/tcp \(published: 9090/tcp, 8080/tcp\)"):
        pod.address(1)


def test_members_start_when_what_they_need_is_ready_and_init_members_before_all(engine: Engine) -> None:
    tell = "echo {0} >> /dev/shm/order"
    pod = engine.run_pod(
        network="none",
        last=member(["sh", "-c", f"{tell.format('last')}; exec sleep 1000"], needs=["slow"]),
        slow=member(
            ["sh", "-c", f"usleep 200000; {tell.format('slow')}; touch /ready; exec sleep 1000"],
            wait=waits.file("/ready"), needs=["first"],
        ),
        first=member(["sh", "-c", f"{tell.format('first')}; touch /ready; exec sleep 1000"], wait=waits.file("/ready")),
        one=member(["sh", "-c", f"usleep 100000; {tell.format('one')}"], init=True),
        two=member(["sh", "-c", tell.format("two")], init=True),
    )
    assert pod["slow"].succeed("sleep 0.1; cat /dev/shm/order").split() == ["one", "two", "first", "slow", "last"]
    assert status_of(pod) == "running"
    assert (pod["one"].exit_code, pod["two"].exit_code) == (0, 0)


def test_whole_pod_is_stopped_started_and_killed(engine: Engine) -> None:
    pod = engine.run_pod(network="none", a=member(), b=member(needs=["a"]), setup=member(["true"], init=True))
    pod.stop()
    assert (status_of(pod), pod.wait()) == ("exited", {"a": 137, "b": 137})
    pod.start()
    assert status_of(pod) == "running"
    pod["a"].kill()
    assert status_of(pod) == "degraded"
    pod.restart()
    assert status_of(pod) == "running"
    pod.kill()
    assert status_of(pod) == "exited"
    with pytest.raises(WrongStateError, match="no member of pod"):
        pod.kill()


def test_pod_that_is_created_waits_to_be_started(engine: Engine) -> None:
    pod = engine.create_pod(network="none", a=member(SERVE, wait=waits.port(8080)), b=member())
    assert (status_of(pod), [one.status for one in pod.values()]) == ("created", ["created", "created"])
    pod.start()
    assert status_of(pod) == "running"
    assert 8080 in pod["b"].listening()


def test_logs_of_members_are_mixed_by_time(engine: Engine) -> None:
    def say(*words: str) -> list[str]:
        turns = (f"until [ -e /dev/shm/{word} ]; do usleep 1000; done; echo {word}" for word in words)
        return ["sh", "-c", "; ".join(turns)]

    pod = engine.run_pod(network="none", a=member(say("1", "3")), bb=member(say("2", "4")))
    for name, word in (("a", "1"), ("bb", "2"), ("a", "3"), ("bb", "4")):
        pod["bb"].succeed(f"touch /dev/shm/{word}")
        # The time is that at which the monitor reads the line.
        pod[name].wait_until(lambda name=name, word=word: word in pod[name].logs(), timeout=20)  # type: ignore[misc]
    assert pod.wait(20) == {"a": 0, "bb": 0}
    assert pod.logs() == "a  | 1\nbb | 2\na  | 3\nbb | 4\n"
    assert pod.logs(tail=2) == "a  | 3\nbb | 4\n"
    assert pod.logs(timestamps=True).startswith("a  | 20")


def test_shared_pid_namespace_shows_all_processes_and_an_empty_helper(engine: Engine) -> None:
    if engine.session_record.level != 1:
        pytest.skip("without PID namespaces everything is shared anyway")
    pod = engine.run_pod(network="none", share="+pid", a=member(["sleep", "1001"]), b=member(["sleep", "1002"]))
    seen = pod["a"].succeed("ps -o args")
    assert "sleep 1001" in seen
    assert "sleep 1002" in seen
    assert "/pause" in seen
    root = pod["a"].succeed(f"ls {ROOT_OF_INIT}/").split()
    assert set(root) <= {"dev", "etc", "pause", "proc", "sys"}
    pod["a"].fail(f"touch {ROOT_OF_INIT}/file", f"sh -c ': >> {ROOT_OF_INIT}/pause'")
    assert pod["a"].succeed("grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/1/status").split() == [
        "CapEff:", "0000000000000000", "CapBnd:", "0000000000000000", "NoNewPrivs:", "1",
    ]
    assert {one.name for one in engine.containers()} == {one.name for one in pod.values()}
    # The end of one member is not that of the others, and all its processes go with it.
    pod["b"].exec_detached(["sleep", "1003"])
    pod["b"].kill()
    assert pod["a"].running
    assert "sleep 1003" not in pod["a"].succeed("ps -o args")
    pod["b"].start()
    pod.restart()
    assert status_of(pod) == "running"


def test_pod_that_shares_nothing_has_members_with_networks_of_their_own(engine: Engine) -> None:
    pod = engine.run_pod(share="none", a=member(SERVE, network="none", ports=[8080]), b=member(network="none"))
    assert len({one.succeed("readlink /proc/self/ns/net") for one in pod.values()}) == 2
    assert pod["b"].listening() == frozenset()
    assert pod.address(8080) == pod["a"].address(8080)


def test_pod_reaches_the_way_out(engine: Engine) -> None:
    pod = engine.run_pod(a=member(), b=member())
    assert pod.ip
    assert pod["a"].ip == pod["b"].ip == pod.ip
    assert "10.86.0.2" in pod["a"].succeed("ip route show default")


@needs_control_groups
def test_limits_of_pod_and_member_are_in_its_groups(engine: Engine) -> None:
    pod = engine.run_pod(
        network="none", memory="64m", pids_limit=50, cpus=0.5, shm_size="1m",
        a=member(memory="32m", pids_limit=20, cpus=0.25, ulimits=["nofile=64"]), b=member(),
    )
    assert pod["a"].succeed("ulimit -n") == "64\n"
    pod["b"].fail("dd if=/dev/zero of=/dev/shm/big bs=1M count=2")
    eater = pod["b"].exec(["sh", "-c", "x=$(dd if=/dev/zero bs=1M count=200 2>/dev/null | tr '\\0' x); echo ${#x}"])
    assert eater.exit_code != 0
    document = pod["a"].inspect()["HostConfig"]
    assert (document["Memory"], document["PidsLimit"], document["NanoCpus"]) == (32 << 20, 20, 250_000_000)
    forks = pod["a"].exec(["sh", "-c", "i=0; while [ $i -lt 40 ]; do sleep 9 & i=$((i+1)); done"])
    assert "fork" in forks.stderr


@needs_control_groups
def test_memory_that_runs_out_is_told(engine: Engine) -> None:
    hungry = "x=$(dd if=/dev/zero bs=1M count=200 2>/dev/null | tr '\\0' x); echo ${#x}"
    container = engine.run(BUSYBOX, ["sh", "-c", hungry], network="none", memory="16m", memory_swap="16m")
    assert container.wait(30) == 137
    assert container.state().oom_killed


def test_pod_and_its_members_are_found_by_name_on_a_network(engine: Engine) -> None:
    engine.create_network("front")
    pod = engine.run_pod(
        name="shop", networks=["front"], aliases=["store"], web=member(SERVE, wait=waits.port(8080), ports=[8080]),
    )
    client = engine.run(BUSYBOX, SLEEP, networks=["front"])
    for name in ("shop", "shop-web", "store", pod.ip):
        assert client.succeed(f"wget -qO- http://{name}:8080/") == "hello\n"
    assert fetch(pod.url(8080)) == "hello\n"
    with pod.connect(8080, timeout=5) as connection:
        assert connection.getpeername()[1] == 8080
    with pytest.raises(ConflictError, match="pod shop is on network front already"):
        engine.network("front").connect(pod["web"])
    pod.remove()
    client.fail("wget -qO- -T 1 http://shop:8080/")


def test_restart_policy_of_the_pod_is_that_of_members_without_one_also_of_later_ones(engine: Engine) -> None:
    pod = engine.create_pod(
        name="shop", network="none", restart="on-failure:3", a=member(), b=member(restart="no"), c=member(init=True),
    )
    late = engine.create(BUSYBOX, SLEEP, pod="shop", name="late")
    own = engine.create(BUSYBOX, SLEEP, pod="shop", name="own", restart="always")
    once = engine.create(BUSYBOX, SLEEP, pod="shop", name="once", remove=True)
    policies = [str(one.spec.restart) for one in (*pod.values(), late, own, once)]
    assert policies[:3] == ["on-failure:3", "no", "None"]
    assert policies[-3:] == ["on-failure:3", "always", "None"]
    assert pod.inspect()["RestartPolicy"] == "on-failure:3"
    late.start()
    engine._session.start().signal(late.container_pid or 0, signal.SIGKILL)
    late.wait_until(lambda: late.running and late.state().restarts == 1, timeout=20)


def test_container_joins_a_pod_later(engine: Engine) -> None:
    pod = engine.create_pod(name="later", network="none", ports=[8080])
    assert (status_of(pod), len(pod)) == ("created", 0)
    engine.run(BUSYBOX, SERVE, pod="later", name="web", wait=waits.port(8080))
    client = engine.run(BUSYBOX, SLEEP, pod=pod.id[:12])
    assert client.succeed("wget -qO- http://web:8080/") == "hello\n"
    assert fetch(pod.url(8080)) == "hello\n"
    assert list(engine.pod("later")) == ["web", client.name]
    with pytest.raises(InvalidSpecError, match="pod later and container x both publish port 8080/tcp"):
        engine.run(BUSYBOX, SLEEP, pod="later", name="x", ports=[8080])
    with pytest.raises(InvalidSpecError, match="network of a member"):
        engine.run(BUSYBOX, SLEEP, pod="later", network="host")
    with pytest.raises(PodNotFoundError, match="no pod 'nosuch'"):
        engine.run(BUSYBOX, SLEEP, pod="nosuch")


def test_volumes_of_the_pod_are_in_every_member_but_where_it_has_its_own(engine: Engine, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("of the pod\n")
    pod = engine.run_pod(network="none", volumes=[f"{tmp_path}:/data:ro"], a=member(), b=member(tmpfs=["/data"]))
    assert pod["a"].succeed("cat /data/file") == "of the pod\n"
    assert pod["b"].succeed("ls /data") == ""


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        pytest.param(
            {"a": member(["sh", "-c", "echo oh no; exit 3"]), "b": member(wait=waits.log("never"))},
            PodFailedError, "member a (localhost/busybox:1) ended with exit code 3", id="ends at once",
        ),
        pytest.param(
            {"a": member(["sh", "-c", "echo oh no; exit 3"], wait=waits.log("never")), "b": member()},
            PodFailedError, "member a (localhost/busybox:1) ended with exit code 3", id="ends while awaited",
        ),
        pytest.param(
            {"a": member(["sh", "-c", "echo oh no; exec sleep 1000"], wait=waits.log("never", timeout=0.2))},
            PodFailedError, "is not ready after 0.2 s: waited for log line 'never'", id="not ready",
        ),
        pytest.param(
            {"a": member(["sh", "-c", "echo oh no; exit 4"], init=True), "b": member()},
            PodFailedError, "init member a (localhost/busybox:1) ended with exit code 4", id="init fails",
        ),
        pytest.param({"a": member(), "b": member(["no-such"])}, CommandNotFoundError, "no-such", id="no command"),
        pytest.param(
            {"a": member(), "b": {"image": "localhost/none", "pull": "never"}},
            ImageNotFoundError, "localhost/none", id="no image",
        ),
        pytest.param({"a": member(needs="b"), "b": member(needs="a")}, InvalidSpecError, "a → b → a", id="circle"),
        pytest.param({"a": member(needs="c")}, InvalidSpecError, "needs 'c'", id="unknown need"),
        pytest.param({"a": member(), "hostnme": "x"}, InvalidSpecError, "unknown argument 'hostnme'", id="argument"),
        pytest.param({"a": member(["sh"], user="nobody-there")}, PodsError, "nobody-there", id="unknown user"),
        pytest.param({"a": member(volumes=["/no/such:/x"])}, InvalidSpecError, "does not exist", id="no source"),
    ],
)
def test_pod_that_cannot_be_is_told_by_name_and_leaves_nothing(
    engine: Engine, options: dict[str, Any], kind: type[PodsError], told: str
) -> None:
    with pytest.raises(kind) as caught:
        engine.run_pod(name="bad", network="none", **options)
    assert told in str(caught.value)
    if isinstance(caught.value, PodFailedError):
        assert caught.value.member == "a"
        assert "oh no" in caught.value.log_tail
    assert (engine.containers(), engine.pods()) == ([], [])
    if engine.sandbox_started:
        layout = engine.store.session(engine.session_id)
        for place in (layout.names_dir, layout.leases_dir, layout.containers_dir, layout.pods_dir):
            assert os.listdir(place) == []


def test_failed_pod_can_be_looked_at_before_it_is_removed(engine: Engine) -> None:
    seen: list[tuple[str, str, str]] = []

    def look(pod: Pod, error: PodsError) -> bool:
        seen.append((pod.name, pod["a"].logs(), type(error).__name__))
        return False

    from pytest_pods.engine.specs.pods import build_pod_spec

    # It waits: whether a start has an end that comes right after it is a matter of the machine's speed.
    spec = build_pod_spec(
        name="bad", network="none", a=member(["sh", "-c", "echo bye; exit 1"], wait=waits.log("never"))
    )
    with pytest.raises(PodFailedError):
        engine.run_pod_from(spec, on_failure=look)
    assert seen == [("bad", "bye\n", "PodFailedError")]


def test_names_and_ports_of_pods_and_containers_are_taken_once(engine: Engine) -> None:
    pod = engine.run_pod(name="shop", network="none", web=member(ports=[80]))
    for take in (
        lambda: engine.run(BUSYBOX, SLEEP, name="shop", network="none"),
        lambda: engine.run_pod(name="shop", network="none", a=member()),
        lambda: engine.run(BUSYBOX, SLEEP, name="shop-web", network="none"),
    ):
        with pytest.raises(NameInUseError, match="is in use by"):
            take()
    port = pod.address(80)[1]
    with pytest.raises(PortInUseError, match="in use already"):
        engine.run_pod(network="none", a=member(), ports=[f"{port}:80"])
    assert (len(engine.containers()), engine.pods()) == (1, [pod])


def test_removed_pod_is_gone_with_its_members(engine: Engine) -> None:
    pod = engine.run_pod(name="shop", network="none", web=member(SERVE, ports=[8080], wait=waits.port(8080)))
    with pytest.raises(ConflictError, match="members of pod shop run"):
        pod.remove(force=False)
    pod.remove()
    for look in (lambda: pod.status, pod.start, pod.remove):
        use: Callable[[], object] = look
        with pytest.raises(PodNotFoundError, match="was removed"):
            use()
    with pytest.raises(PodNotFoundError, match="no pod 'shop'"):
        engine.pod("shop")
    assert engine.containers() == []
    layout = engine.store.session(engine.session_id)
    assert os.listdir(layout.pods_dir) == []
    assert engine.run_pod(name="shop", network="none", web=member()).status == "running"


def test_limits_are_refused_where_nobody_could_hold_to_them(engine: Engine) -> None:
    engine.start()
    # As an ordinary user has it without a delegated group.
    engine._session._cgroups = replace(engine._session.cgroups, path=None)
    for run in (
        lambda: engine.run_pod(name="big", network="none", memory="64m", a=member()),
        lambda: engine.run(BUSYBOX, SLEEP, name="big", network="none", memory="64m"),
    ):
        with pytest.raises(UnsupportedHostError, match="memory cannot be limited here"):
            run()
    assert engine.pods() == []


@needs_control_groups
def test_pod_is_frozen_as_a_whole(engine: Engine) -> None:
    pod = engine.run_pod(network="none", a=member(), b=member())
    pod.pause()
    assert status_of(pod) == "paused"
    pod.unpause()
    assert status_of(pod) == "running"


def test_pod_of_the_hosts_network(engine: Engine) -> None:
    pod = engine.run_pod(network="host", a=member(), b=member())
    assert pod["a"].succeed("readlink /proc/self/ns/net").strip() == os.readlink("/proc/self/ns/net")


def test_pod_document_tells_what_it_is_made_of(engine: Engine) -> None:
    pod = engine.run_pod(name="shop", network="none", labels={"a": "b"}, web=member(ports=[80]))
    document = pod.inspect()
    assert (document["Name"], document["State"], document["Labels"]) == ("shop", "Running", {"a": "b"})
    assert document["Containers"] == [{"Id": pod["web"].id, "Name": "web", "State": "running"}]
    assert pod["web"].inspect()["Pod"] == pod.id


def status_of_infra(engine: Engine, pod: Pod) -> str:
    from pytest_pods.engine.services.infra import build_infra_record

    return engine._service.lifecycle.state(build_infra_record(pod.record)).status


def await_end_of_infra(engine: Engine, pod: Pod) -> None:
    from pytest_pods.engine.services.infra import build_infra_record

    assert engine._service.lifecycle.wait(build_infra_record(pod.record), timeout=60) == 137


def test_pod_that_is_to_stop_ends_with_its_last_member(engine: Engine) -> None:
    if engine.session_record.level != 1:
        pytest.skip("nothing holds a PID namespace")
    states = []
    for policy in ("stop", "continue"):
        pod = engine.run_pod(network="none", share="+pid", exit_policy=policy, a=member(), b=member(["true"]))
        pod["a"].stop()
        if policy == "stop":
            await_end_of_infra(engine, pod)
        states.append(status_of_infra(engine, pod))
        pod.start()
        assert pod["a"].running
    assert states == ["exited", "running"]


def test_pod_that_is_to_stop_ends_with_the_last_of_those_that_joined_later_and_is_there_for_the_next(
    engine: Engine,
) -> None:
    if engine.session_record.level != 1:
        pytest.skip("nothing holds a PID namespace")
    pod = engine.create_pod(name="shop", network="none", share="+pid", exit_policy="stop")
    one, other = (engine.run(BUSYBOX, SLEEP, pod="shop", name=name) for name in ("one", "other"))
    waiting = engine.create(BUSYBOX, SLEEP, pod="shop", name="waiting")
    one.stop()
    other.stop()
    # One that is yet to be started goes on.
    assert status_of_infra(engine, pod) == "running"
    waiting.remove()
    await_end_of_infra(engine, pod)
    late = engine.run(BUSYBOX, SLEEP, pod="shop", name="late")
    one.start()
    assert "sleep" in one.succeed("ps -o args")
    late.stop()
    one.stop()
    await_end_of_infra(engine, pod)
    one.start()
    assert (one.running, status_of_infra(engine, pod)) == (True, "running")


def test_pod_that_is_to_stop_goes_on_while_a_member_is_restarted(engine: Engine) -> None:
    if engine.session_record.level != 1:
        pytest.skip("nothing holds a PID namespace")
    failing = member(["sh", "-c", "echo x >> /starts; [ $(wc -l < /starts) -lt 3 ] && exit 1; exec sleep 1000"])
    pod = engine.run_pod(network="none", share="+pid", exit_policy="stop", a={**failing, "restart": "on-failure"})
    pod["a"].wait_until(lambda: pod["a"].running and pod["a"].state().restarts == 2, timeout=20)
    assert status_of_infra(engine, pod) == "running"
    pod["a"].stop()
    await_end_of_infra(engine, pod)


def test_pod_of_a_kept_session_ends_with_its_last_member_without_the_process_that_made_it(image_store: Path) -> None:
    engine = Engine.open(root=image_store)
    if engine.session_record.level != 1:
        engine.close()
        pytest.skip("nothing holds a PID namespace")
    made = engine.run_pod(
        network="none", share="+pid", exit_policy="stop", a=member(), b=member(["true"]),
        failing=member(["sh", "-c", "echo >> /x; [ $(wc -l < /x) -ge 2 ] && exit 0; exit 1"], restart="on-failure"),
    )
    session_id = engine.keep(60)
    engine.close()
    other = Engine.attach(session_id, root=image_store)
    try:
        pod = other.pod(made.name)
        assert status_of_infra(other, pod) == "running"
        other._session.start().signal(pod["a"].container_pid or 0, signal.SIGKILL)
        await_end_of_infra(other, pod)
        pod.start()
        assert (pod["a"].running, status_of_infra(other, pod)) == (True, "running")
    finally:
        other.end()


def test_interrupted_start_leaves_nothing(engine: Engine) -> None:
    told: list[int] = []

    def interrupt(container: Any) -> bool:
        if not told:
            told.append(1)
            os.kill(os.getpid(), signal.SIGINT)
        return False

    with pytest.raises(KeyboardInterrupt):
        engine.run_pod(network="none", a=member(wait=interrupt), b=member(needs=["a"]), c=member())
    assert (engine.containers(), engine.pods()) == ([], [])
