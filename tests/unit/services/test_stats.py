"""Stats: put together from counts, and compared. Pure."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pytest_pods import PodStats, Stats
from pytest_pods.engine.errors import InvalidInputError
from pytest_pods.engine.runtime.group_usage import BlockUsage, GroupUsage, MemoryUsage
from pytest_pods.engine.services.stats import Subject, Sums, build_stats, merge_interfaces
from pytest_pods.engine.stats import InterfaceCounters

SUBJECT = Subject(
    id="ab",
    name="box",
    running=True,
    running_s=8.0,
    taken_at=datetime(2026, 1, 31, tzinfo=UTC),
    monotonic_ns=10_000_000_000,
    interfaces={"eth0": InterfaceCounters(5, 1, 7, 2), "eth1": InterfaceCounters(50, 1, 70, 2)},
)
USAGE = GroupUsage(
    cpu_ns=2_000_000_000, memory=MemoryUsage(30, 40, 50, 60), pids=3, pids_limit=9, blocks=BlockUsage(1, 2)
)


def build(usage: GroupUsage = USAGE, *, machine_memory: int = 1000) -> Stats:
    return build_stats(SUBJECT, usage, machine_memory=machine_memory, sum_up=lambda: Sums(11, 12, 13))


def test_counts_of_a_group_are_taken_as_they_are() -> None:
    stats = build()
    assert (stats.cpu_ns, stats.memory, stats.memory_with_cache, stats.memory_peak) == (2_000_000_000, 30, 40, 50)
    assert (stats.pids, stats.pids_limit, stats.block_read, stats.block_written) == (3, 9, 1, 2)
    assert (stats.cpu_s, stats.average_cpu_percent, stats.memory_percent) == (2.0, 25.0, 50.0)
    assert (stats.received_bytes, stats.sent_bytes) == (55, 77)
    assert stats.estimated == frozenset()


def test_only_what_no_group_counts_is_estimated_and_marked() -> None:
    stats = build(replace(USAGE, memory=None, blocks=None))
    assert (stats.cpu_ns, stats.memory, stats.pids) == (2_000_000_000, 12, 3)
    assert stats.estimated == {"memory"}
    assert (stats.memory_with_cache, stats.memory_peak, stats.block_read, stats.block_written) == (None,) * 4
    stats = build(GroupUsage(None, None, None, None, None))
    assert (stats.cpu_ns, stats.memory, stats.pids, stats.pids_limit) == (11, 12, 13, None)
    assert stats.estimated == {"cpu_ns", "memory", "pids"}


@pytest.mark.parametrize(
    ("limit", "machine", "expected"), [(60, 1000, 60), (None, 1000, 1000), (2000, 1000, 1000), (0, 1000, 0)]
)
def test_limit_is_the_machines_memory_where_no_lower_one_holds(limit: int | None, machine: int, expected: int) -> None:
    stats = build(replace(USAGE, memory=MemoryUsage(0, 0, None, limit)), machine_memory=machine)
    assert stats.memory_limit == expected
    assert stats.memory_percent == 0


def test_processor_share_is_that_of_the_time_between() -> None:
    earlier = build()
    later = replace(earlier, cpu_ns=earlier.cpu_ns + 300_000_000, monotonic_ns=earlier.monotonic_ns + 200_000_000)
    assert later.cpu_percent_since(earlier) == pytest.approx(150)
    assert earlier.cpu_percent_since(earlier) == 0


def test_processor_share_of_one_that_was_started_again_is_that_since_then() -> None:
    earlier = build()
    later = replace(earlier, cpu_ns=100_000_000, monotonic_ns=earlier.monotonic_ns + 200_000_000)
    assert later.cpu_percent_since(earlier) == pytest.approx(50)


def test_processor_share_is_refused_for_what_cannot_be_compared() -> None:
    stats = build()
    with pytest.raises(InvalidInputError, match="of box, and what came before is of other"):
        stats.cpu_percent_since(replace(stats, id="cd", name="other"))
    with pytest.raises(InvalidInputError, match="later ones"):
        stats.cpu_percent_since(replace(stats, monotonic_ns=stats.monotonic_ns + 1))


def test_nothing_has_run_yet_is_no_share() -> None:
    assert replace(build(), running_s=0.0).average_cpu_percent == 0
    assert replace(build(), memory_limit=0).memory_percent == 0


def test_shared_interfaces_count_once_and_own_ones_by_member() -> None:
    first, ended = build(), replace(build(), interfaces={})
    assert merge_interfaces({"a": ended, "b": first, "c": first}, shared=True) == first.interfaces
    own = merge_interfaces({"a": first, "b": first}, shared=False)
    assert sorted(own) == ["a:eth0", "a:eth1", "b:eth0", "b:eth1"]
    assert merge_interfaces({}, shared=True) == {}


def test_stats_of_a_pod_are_a_mapping_and_survive_pickling() -> None:
    stats = PodStats({"db": build()}, build())
    assert dict(stats) == {"db": build()}
    assert (len(stats), "db" in stats, "web" in stats) == (1, True, False)
    assert pickle.loads(pickle.dumps(stats)) == stats
