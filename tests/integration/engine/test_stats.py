"""What containers and pods use, as the real kernel counts it, and their processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_pods import Container, Stats
from pytest_pods.engine.api import Engine
from pytest_pods.engine.errors import ContainerNotFoundError, PodNotFoundError, UnsupportedHostError, WrongStateError
from pytest_pods.engine.services.stats import StatsReader
from tests.support.fixtures_store import BUSYBOX
from tests.support.machine import needs_control_groups

SLEEP = ["sleep", "1000"]
BURN = ["sh", "-c", "while :; do :; done"]
SIZE = 20_000_000
# tail keeps what it may have to print; what is still in the pipe comes on top.
KEPT = SIZE + 200_000
ALLOCATE = f"head -c {KEPT} /dev/zero | tail -c {KEPT} > /dev/null"
HOLD = ["sh", "-c", f"{{ head -c {KEPT} /dev/zero; echo holding >&2; exec sleep 1000; }} | tail -c {KEPT}"]
ESTIMATED = {"cpu_ns", "memory", "pids"}


def member(command: Sequence[str], **options: Any) -> dict[str, Any]:
    return {"image": BUSYBOX, "command": command, **options}


def says(word: str) -> Callable[[Container], bool]:
    return lambda container: word in container.logs()


def runs(word: str) -> Callable[[Container], bool]:
    return lambda container: any(one.command.startswith(word) for one in container.processes())


def await_growth(container: Container, earlier: Stats, name: str, *, by: int = 1) -> Stats:
    found = [earlier]

    def grown() -> bool:
        found.append(container.stats())
        return bool(getattr(found[-1], name) >= getattr(earlier, name) + by)

    container.wait_until(grown, timeout=60)
    return found[-1]


@contextlib.contextmanager
def without_groups(engine: Engine) -> Iterator[None]:
    """As an ordinary user has it where no group is delegated."""
    engine.start()
    own = engine._session.cgroups
    engine._session._cgroups = replace(own, path=None)
    try:
        yield
    finally:
        engine._session._cgroups = own


# containers


def test_memory_that_a_container_holds_is_seen(engine: Engine) -> None:
    container = engine.run(BUSYBOX, HOLD, network="none", wait=says("holding"))
    stats = container.stats()
    assert SIZE <= stats.memory < 4 * SIZE
    assert stats.memory < stats.memory_limit
    assert (stats.id, stats.name, stats.running, stats.interfaces) == (container.id, container.name, True, {})


@needs_control_groups
def test_peak_stays_when_the_memory_is_given_back(engine: Engine) -> None:
    script = f"{ALLOCATE}; exec sleep 1000"
    container = engine.run(BUSYBOX, ["sh", "-c", script], network="none", wait=runs("sleep"))
    stats = container.stats()
    assert stats.memory_peak is not None
    assert stats.memory < SIZE <= stats.memory_peak


@needs_control_groups
def test_ended_container_tells_what_it_has_used(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sh", "-c", ALLOCATE], network="none")
    assert container.wait(timeout=60) == 0
    stats = container.stats()
    assert not stats.running
    assert stats.memory_peak is not None
    assert stats.memory_peak >= SIZE
    assert (stats.pids, stats.interfaces) == (0, {})
    assert stats.cpu_ns > 0
    assert container.stats().running_s == stats.running_s


@needs_control_groups
def test_container_that_is_started_again_counts_anew(engine: Engine) -> None:
    script = f"test -e /second || {{ touch /second; {ALLOCATE}; exit; }}"
    container = engine.run(BUSYBOX, ["sh", "-c", script], network="none")
    peaks = []
    for start in (False, True):
        if start:
            container.start()
        assert container.wait(timeout=60) == 0
        peaks.append(container.stats().memory_peak or 0)
    assert peaks[1] < SIZE <= peaks[0]


@needs_control_groups
def test_container_that_ran_out_of_memory_had_its_limit_at_most(engine: Engine) -> None:
    hungry = "x=$(dd if=/dev/zero bs=1M count=200 2>/dev/null | tr '\\0' x); echo ${#x}"
    container = engine.run(BUSYBOX, ["sh", "-c", hungry], network="none", memory="16m", memory_swap="16m")
    container.wait(timeout=60)
    stats = container.stats()
    assert stats.memory_limit == 16 << 20
    assert 8 << 20 < (stats.memory_peak or 0) <= 16 << 20


def test_processor_time_grows_in_a_container_that_burns_it(engine: Engine) -> None:
    container = engine.run(BUSYBOX, BURN, network="none")
    first = container.stats()
    # More than a tick of the clock by which the kernel counts the time of a single process.
    second = await_growth(container, first, "cpu_ns", by=50_000_000)
    assert second.cpu_percent_since(first) > 0
    assert second.average_cpu_percent > 0
    assert second.monotonic_ns > first.monotonic_ns
    assert second.running_s > first.running_s


def test_time_of_ended_processes_stays_counted(engine: Engine) -> None:
    # The kernel ends it when it has had about a second, which is more than all the rest.
    script = "(ulimit -t 1; while :; do :; done); echo burnt; exec sleep 1000"
    container = engine.run(BUSYBOX, ["sh", "-c", script], network="none", wait=says("burnt"))
    assert container.stats().cpu_ns > 400_000_000
    with without_groups(engine):
        assert container.stats().cpu_ns > 400_000_000


def test_bytes_between_containers_are_counted_on_both_sides(engine: Engine) -> None:
    engine.create_network("front", internal=True)
    serve = "mkdir /w; head -c 1000000 /dev/zero > /w/file; exec httpd -f -p 8080 -h /w"
    server = engine.run(BUSYBOX, ["sh", "-c", serve], networks=["front"], wait=lambda c: 8080 in c.listening())
    client = engine.run(BUSYBOX, SLEEP, networks=["front"])
    before = client.stats()
    client.succeed(f"wget -qO /dev/null http://{server.ip}:8080/file")
    after = client.stats()
    assert after.received_bytes - before.received_bytes >= 1_000_000
    assert server.stats().sent_bytes >= 1_000_000
    (interface,) = after.interfaces.values()
    assert [*after.interfaces] == [one.interface for one in client.networks.values()]
    assert interface.received_packets > 0 < interface.sent_packets


def test_interfaces_of_the_host_are_not_the_containers(engine: Engine) -> None:
    assert engine.run(BUSYBOX, SLEEP, network="host").stats().interfaces == {}


@needs_control_groups
def test_limits_are_told_with_what_they_hold(engine: Engine) -> None:
    # Before its command is executed, the threads of what starts it are counted.
    container = engine.run(BUSYBOX, SLEEP, network="none", memory="64m", pids_limit=20, wait=runs("sleep"))
    stats = container.stats()
    assert (stats.memory_limit, stats.pids_limit, stats.pids) == (64 << 20, 20, 1)
    container.exec_detached(SLEEP)
    assert await_growth(container, stats, "pids").pids == 2
    # The groups above may have one, as those of systemd's users.
    assert engine.run(BUSYBOX, SLEEP, network="none").stats().pids_limit != 20


@needs_control_groups
def test_paused_container_has_stats(engine: Engine) -> None:
    container = engine.run(BUSYBOX, HOLD, network="none", wait=says("holding"))
    container.pause()
    stats = container.stats()
    assert stats.running
    assert stats.memory >= SIZE
    container.unpause()


def test_container_without_anything_to_tell_is_named(engine: Engine) -> None:
    container = engine.create(BUSYBOX, SLEEP, name="box", network="none")
    for ask in (container.stats, container.processes):
        with pytest.raises(WrongStateError, match="container box"):
            ask()
    container.remove()
    for ask in (container.stats, container.processes):
        with pytest.raises(ContainerNotFoundError, match=r"container box .* was removed"):
            ask()


# without control groups


def test_without_control_groups_stats_are_sums_over_the_processes_and_say_so(engine: Engine) -> None:
    container = engine.run(BUSYBOX, HOLD, name="box", network="none", wait=says("holding"))
    busy = engine.run(BUSYBOX, BURN, network="none")
    with without_groups(engine):
        stats = container.stats()
        assert stats.estimated == ESTIMATED
        assert SIZE <= stats.memory < 4 * SIZE
        assert (stats.memory_with_cache, stats.memory_peak, stats.block_read) == (None, None, None)
        # The shell, and both ends of its pipe.
        assert stats.pids == 3
        await_growth(busy, busy.stats(), "cpu_ns")
        container.kill()
        with pytest.raises(WrongStateError, match="box has ended, and no control group has counted"):
            container.stats()


def test_pod_without_control_groups_is_the_sum_of_its_members(engine: Engine) -> None:
    asleep = member(SLEEP, wait=runs("sleep"))
    pod = engine.run_pod(network="none", a=asleep, b=asleep)
    with without_groups(engine):
        stats = pod.stats()
        assert stats.total.estimated == ESTIMATED
        assert stats.total.pids == 2
        assert stats.total.memory == stats["a"].memory + stats["b"].memory > 0
        pod["a"].kill()
        assert [*pod.stats()] == ["b"]


# pods


def test_pod_tells_of_each_member_and_of_all(engine: Engine) -> None:
    pod = engine.run_pod(
        name="shop", network="none",
        a=member(HOLD, wait=says("holding")), b=member(HOLD, wait=says("holding")),
    )  # fmt: skip
    stats = pod.stats()
    assert [*stats] == ["a", "b"]
    assert min(one.memory for one in stats.values()) >= SIZE
    assert stats.total.memory >= 2 * SIZE
    assert stats.total.pids == sum(one.pids for one in stats.values()) == 6
    assert stats.total.cpu_ns >= max(one.cpu_ns for one in stats.values())
    assert (stats.total.name, stats.total.id, stats.total.running) == ("shop", pod.id, True)
    pod.remove()
    with pytest.raises(PodNotFoundError, match="pod shop"):
        pod.stats()


@needs_control_groups
def test_pods_limit_holds_for_its_members_and_its_peak_is_that_of_all_together(engine: Engine) -> None:
    pod = engine.run_pod(
        network="none", memory="256m", pids_limit=50,
        a=member(HOLD, wait=says("holding"), memory="64m"),
        b=member(HOLD, wait=says("holding"), pids_limit=20),
    )  # fmt: skip
    stats = pod.stats()
    assert [(one.memory_limit, one.pids_limit) for one in stats.values()] == [(64 << 20, 50), (256 << 20, 20)]
    assert (stats.total.memory_limit, stats.total.pids_limit) == (256 << 20, 50)
    assert (stats.total.memory_peak or 0) >= 2 * SIZE
    pod.stop()
    ended = pod.stats()
    assert not ended.total.running
    assert (ended.total.memory_peak or 0) >= 2 * SIZE
    assert (ended["a"].memory_peak or 0) >= SIZE


def test_network_of_a_pod_counts_once(engine: Engine) -> None:
    pod = engine.run_pod(a=member(SLEEP), b=member(SLEEP))
    total = pod.stats().total
    assert [*total.interfaces] == [*pod.stats()["a"].interfaces] == [*pod.stats()["b"].interfaces]
    assert len(total.interfaces) == 1


def test_networks_of_members_that_have_their_own_are_named_by_member(engine: Engine) -> None:
    pod = engine.run_pod(share="ipc", a=member(SLEEP), b=member(SLEEP))
    assert sorted(name.partition(":")[0] for name in pod.stats().total.interfaces) == ["a", "b"]


def test_member_that_was_not_started_is_left_out(engine: Engine) -> None:
    pod = engine.create_pod(network="none", a=member(SLEEP), b=member(SLEEP))
    assert dict(pod.stats()) == {}
    pod["b"].start()
    stats = pod.stats()
    assert [*stats] == ["b"]
    assert stats.total.running


# processes


def test_processes_are_those_of_all_users_and_of_executed_commands(engine: Engine) -> None:
    container = engine.run(BUSYBOX, ["sh", "-c", "sleep 1000; true"], network="none", user="1000")
    container.exec_detached(["sleep", "2000"], user="0")
    container.wait_until(lambda: runs("sleep 1000")(container) and runs("sleep 2000")(container), timeout=60)
    first, *rest = container.processes()
    assert (first.pid, first.parent, first.user, first.threads) == (1, 0, 1000, 1)
    assert first.command.startswith("sh -c")
    assert {(one.parent, one.user, one.command) for one in rest} == {(1, 1000, "sleep 1000"), (0, 0, "sleep 2000")}
    assert all(one.memory > 0 for one in rest)


def test_processes_of_others_in_the_same_pid_namespace_are_not_the_containers(engine: Engine) -> None:
    pod = engine.run_pod(
        network="none", share="+pid",
        a=member(["sleep", "1000"], wait=runs("sleep")), b=member(["sleep", "2000"], wait=runs("sleep")),
    )  # fmt: skip
    assert {name: [one.command for one in container.processes()] for name, container in pod.items()} == {
        "a": ["sleep 1000"],
        "b": ["sleep 2000"],
    }


@needs_control_groups
def test_peak_alone_is_told_in_every_state(engine: Engine) -> None:
    container = engine.create(BUSYBOX, ["sh", "-c", f"{ALLOCATE}"], network="none", max_memory="1m")
    assert (container.memory_peak() or 0) < SIZE
    container.start()
    container.wait(timeout=60)
    assert (container.memory_peak() or 0) >= SIZE
    container.remove()
    assert container.memory_peak() is None


def test_budget_is_refused_where_nothing_counts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.start()
    monkeypatch.setattr(StatsReader, "read_peak", lambda reader, record: None)
    with pytest.raises(UnsupportedHostError, match=r"max_memory cannot be looked after here: .* \(kernel \d"):
        engine.create(BUSYBOX, ["true"], network="none", max_memory="64m")
    no_group = pytest.raises(UnsupportedHostError, match="there is no control group that this user may make")
    with without_groups(engine), no_group:
        engine.create(BUSYBOX, ["true"], network="none", max_memory="64m")
    assert engine.containers() == []
