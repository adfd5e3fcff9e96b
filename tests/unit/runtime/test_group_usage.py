"""What control groups count, from the texts of both versions, and from trees of files as a kernel has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.runtime.cgroups import CgroupLayout, Hierarchy
from pytest_pods.engine.runtime.group_usage import (
    BlockUsage,
    GroupUsage,
    MemoryUsage,
    parse_fields,
    parse_io_stat,
    parse_limit,
    parse_memory,
    parse_service_bytes,
    read_group_usage,
)

GROUP = "/session/pod-1/c"

_V1_MEMORY_STAT = """\
cache 38391808
rss 49152
inactive_file 1
hierarchical_memory_limit 134217728
hierarchical_memsw_limit 9223372036854771712
total_inactive_file 8388608
"""
_V1_BLOCKS = """\
8:0 Read 4096
8:0 Write 8192
8:0 Sync 12288
8:0 Async 0
8:0 Total 12288
254:16 Read 1
254:16 Write 2
254:16 Total 3
Total 12291
"""
_V2_BLOCKS = """\
8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=7 dios=1
254:16 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0
"""


def write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


@pytest.fixture
def v1(tmp_path: Path) -> CgroupLayout:
    group = GROUP.lstrip("/")
    write(tmp_path / "cpu,cpuacct" / group, cpuacct__usage="127890043\n", cpu__stat="nr_periods 0\n")
    write(
        tmp_path / "memory" / group,
        memory__usage_in_bytes="39153664\n",
        memory__max_usage_in_bytes="40325120\n",
        memory__stat=_V1_MEMORY_STAT,
    )
    write(tmp_path / "pids" / group, pids__current="3\n", pids__max="max\n")
    write(tmp_path / "pids" / group.rpartition("/")[0], pids__max="50\n")
    write(tmp_path / "blkio" / group, blkio__throttle__io_service_bytes_recursive=_V1_BLOCKS)
    trees = (("cpu", "cpuacct"), ("memory",), ("pids",), ("blkio",))
    return CgroupLayout(tuple(Hierarchy(tmp_path / ",".join(names), names) for names in trees))


@pytest.fixture
def v2(tmp_path: Path) -> CgroupLayout:
    top = tmp_path / "unified"
    write(
        top / GROUP.lstrip("/"),
        cpu__stat="usage_usec 127890\nuser_usec 99470\nsystem_usec 28420\n",
        memory__current="39153664\n",
        memory__peak="40325120\n",
        memory__max="max\n",
        memory__stat="anon 49152\nfile 38391808\ninactive_file 8388608\n",
        pids__current="3\n",
        pids__max="20\n",
        io__stat=_V2_BLOCKS,
    )
    write(top / "session/pod-1", memory__max="134217728\n", pids__max="50\n")
    write(top / "session", memory__max="max\n", pids__max="max\n")
    return CgroupLayout((Hierarchy(top),))


def test_group_of_v1_is_read_from_the_trees_of_its_controllers(v1: CgroupLayout) -> None:
    assert read_group_usage(v1, GROUP) == GroupUsage(
        cpu_ns=127_890_043,
        memory=MemoryUsage(used=30_765_056, with_cache=39_153_664, peak=40_325_120, limit=134_217_728),
        pids=3,
        pids_limit=50,
        blocks=BlockUsage(read=4097, written=8194),
    )


def test_group_of_v2_is_read_from_its_directory_and_limits_from_those_above(v2: CgroupLayout) -> None:
    assert read_group_usage(v2, GROUP) == GroupUsage(
        cpu_ns=127_890_000,
        memory=MemoryUsage(used=30_765_056, with_cache=39_153_664, peak=40_325_120, limit=134_217_728),
        pids=3,
        pids_limit=20,
        blocks=BlockUsage(read=4097, written=8194),
    )


def test_hybrid_takes_from_the_v2_tree_what_no_other_tree_has(v1: CgroupLayout, v2: CgroupLayout) -> None:
    trees = tuple(tree for tree in v1.hierarchies if "cpuacct" not in tree.controllers)
    usage = read_group_usage(CgroupLayout((*trees, *v2.hierarchies)), GROUP)
    assert usage is not None
    assert (usage.cpu_ns, usage.pids_limit) == (127_890_000, 50)


def test_kernel_without_a_peak_and_controllers_that_are_not_handed_on_count_nothing(v2: CgroupLayout) -> None:
    directory = v2.hierarchies[0].directory / GROUP.lstrip("/")
    (directory / "memory.peak").unlink()
    usage = read_group_usage(v2, GROUP)
    assert usage is not None
    assert usage.memory is not None
    assert usage.memory.peak is None
    for name in ("memory.current", "memory.max", "pids.current", "pids.max", "io.stat"):
        (directory / name).unlink()
    assert read_group_usage(v2, GROUP) == GroupUsage(127_890_000, None, None, 50, None)


def test_older_v1_counts_blocks_without_groups_below(v1: CgroupLayout) -> None:
    directory = v1.hierarchies[3].directory / GROUP.lstrip("/")
    (directory / "blkio.throttle.io_service_bytes_recursive").rename(directory / "blkio.throttle.io_service_bytes")
    usage = read_group_usage(v1, GROUP)
    assert usage is not None
    assert usage.blocks == BlockUsage(read=4097, written=8194)


def test_group_that_is_gone_counts_nothing_at_all(v1: CgroupLayout, v2: CgroupLayout) -> None:
    assert read_group_usage(v1, "/session/pod-1/other") is None
    assert read_group_usage(v2, "/session/pod-1/other") is None
    assert read_group_usage(CgroupLayout(()), GROUP) is None


@pytest.mark.parametrize(
    ("text", "limit"),
    [("max\n", None), ("9223372036854771712\n", None), ("134217728\n", 134_217_728), ("0\n", 0), ("", None)],
    ids=["none on v2", "none on v1", "a number", "nothing", "an empty file"],
)
def test_limit(text: str, limit: int | None) -> None:
    assert parse_limit(text) == limit


def test_fields_are_read_past_lines_of_another_form() -> None:
    assert parse_fields("anon 5\nN0=3 N1=4\n\nslab -1\nfile 7 8\ninactive_file 6") == {"anon": 5, "inactive_file": 6}


@pytest.mark.parametrize(
    ("fields", "used"),
    [({}, 100), ({"inactive_file": 30}, 70), ({"inactive_file": 30, "total_inactive_file": 40}, 60),
     ({"inactive_file": 101}, 100)],
    ids=["no cache", "v2", "v1 with groups below", "a cache of another moment"],
)  # fmt: skip
def test_memory_is_without_cache_that_can_be_dropped(fields: dict[str, int], used: int) -> None:
    assert parse_memory(100, fields, peak=120, limit=None) == MemoryUsage(used, 100, 120, None)


@pytest.mark.parametrize("text", ["Total 0\n", "8:0 Read 0\n8:0 Write 0\n8:0 Total 0\nTotal 0\n"])
def test_nothing_on_v1_may_be_that_of_a_kernel_that_does_not_count(text: str) -> None:
    assert parse_service_bytes(text) is None
    assert parse_service_bytes(f"8:16 Read 1\n{text}") == BlockUsage(1, 0)


def test_devices_that_moved_nothing_count_nothing_on_v2() -> None:
    assert parse_io_stat("") == BlockUsage(0, 0)
    # A device that has no numbers yet has a line without any.
    assert parse_io_stat("8:0 \n8:16 rbytes=1 wbytes=0\n") == BlockUsage(1, 0)
