from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import SystemCallError, UnsupportedHostError
from pytest_pods.engine.runtime import cgroups
from pytest_pods.engine.runtime.cgroups import CgroupLayout, CgroupVersion, Hierarchy, build_limit_settings
from pytest_pods.engine.specs.limits import Limits

_OTHERS = "21 1 0:19 / /proc rw - proc proc rw\n22 1 0:20 / / rw shared:1 - ext4 /dev/x rw\n"
_V1 = """\
31 30 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
33 31 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 31 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
"""
_HYBRID = _V1 + "35 31 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
_V2 = "31 30 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
_IN_A_CONTAINER = "31 30 0:26 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mountinfo", "version", "directories"),
    [
        ("", CgroupVersion.NONE, []),
        (_V1, CgroupVersion.V1, ["cpu,cpuacct/s/c", "pids/s/c", "systemd/s/c"]),
        (_HYBRID, CgroupVersion.HYBRID, ["cpu,cpuacct/s/c", "pids/s/c", "systemd/s/c", "unified/s/c"]),
        (_V2, CgroupVersion.V2, ["s/c"]),
        (_V2 + "40 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", CgroupVersion.V2, ["s/c"]),
        (_V2.replace("/sys/fs/cgroup", "/elsewhere"), CgroupVersion.NONE, []),
    ],
    ids=["none", "v1", "hybrid", "v2", "mounted twice", "elsewhere"],
)
def test_layout_tells_where_a_group_is(mountinfo: str, version: CgroupVersion, directories: list[str]) -> None:
    layout = cgroups.parse_cgroup_layout(_OTHERS + mountinfo)
    assert layout.version is version
    expected = tuple(Path("/sys/fs/cgroup") / directory for directory in directories)
    assert cgroups.group_directories(layout, "/s/c") == expected


@pytest.mark.parametrize(
    ("mountinfo", "membership", "expected"),
    [
        (
            _HYBRID,
            "9:name=systemd:/a\n8:pids:/b/c\n2:cpu,cpuacct:/\n1:hugetlb:/x\n0::/u\ngarbage\n",
            ["systemd/a", "pids/b/c", "cpu,cpuacct", "unified/u"],
        ),
        (_V2, "0::/user.slice/a:b\n", ["user.slice/a:b"]),
        (_IN_A_CONTAINER, "0::/docker/ab/s\n", ["s"]),
        (_IN_A_CONTAINER, "0::/s\n", ["s"]),
    ],
    ids=["hybrid", "v2 with a colon", "below the mount's root", "with an own root"],
)
def test_membership_gives_directories(mountinfo: str, membership: str, expected: list[str]) -> None:
    found = cgroups.parse_membership(cgroups.parse_cgroup_layout(mountinfo), membership)
    assert found == tuple(Path("/sys/fs/cgroup") / directory for directory in expected)


@pytest.mark.parametrize("mountinfo", [_V1, _HYBRID], ids=["v1", "hybrid"])
def test_nothing_is_delegated_outside_of_v2(mountinfo: str) -> None:
    assert cgroups.find_delegated_parent(cgroups.parse_cgroup_layout(mountinfo), "0::/a\n") is None


def test_own_group_is_delegated_if_it_can_be_written(tmp_path: Path) -> None:
    layout = CgroupLayout((Hierarchy(tmp_path),))
    own = tmp_path / "user.slice" / "mine"
    own.mkdir(parents=True)
    assert cgroups.find_delegated_parent(layout, "0::/user.slice/mine\n") is None
    (own / "cgroup.procs").touch()
    assert cgroups.find_delegated_parent(layout, "0::/user.slice/mine\n") == "/user.slice/mine"
    (tmp_path / "cgroup.procs").touch()
    assert cgroups.find_delegated_parent(layout, "0::/\n") == "/"


def test_removal_goes_deepest_first_and_may_be_repeated(tmp_path: Path) -> None:
    group = tmp_path / "s" / "c"
    (group / "inner" / "most").mkdir(parents=True)
    for _ in range(2):
        cgroups.remove_cgroups([group, tmp_path / "never"])
    assert not group.exists()
    assert (tmp_path / "s").exists()


def test_removal_of_a_group_in_use_names_it(tmp_path: Path) -> None:
    # A file makes a directory as unremovable as a process makes a group.
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "x").touch()
    with pytest.raises(SystemCallError, match="removing the group "):
        cgroups.remove_cgroups([tmp_path / "held"], deadline=Deadline.after(0))


def test_freezing_without_v2_says_what_is_missing() -> None:
    layout = cgroups.parse_cgroup_layout(_V1)
    with pytest.raises(UnsupportedHostError, match="freezing group /s/c: it has no directory in a cgroup v2 tree"):
        cgroups.set_frozen(layout, "/s/c", frozen=True, deadline=Deadline.after(1))
    assert not cgroups.is_frozen(layout, "/s/c")


def test_limits_are_written_as_each_version_of_control_groups_has_them() -> None:
    limits = Limits(memory=64 << 20, memory_swap=96 << 20, cpus=0.5, pids=10)
    assert build_limit_settings(limits, controllers=()) == [
        ("memory.max", str(64 << 20)),
        ("memory.swap.max", str(32 << 20)),
        ("cpu.max", "50000 100000"),
        ("pids.max", "10"),
    ]
    assert build_limit_settings(limits, controllers=("memory",)) == [
        ("memory.limit_in_bytes", str(64 << 20)),
        ("memory.memsw.limit_in_bytes", str(96 << 20)),
    ]
    assert build_limit_settings(limits, controllers=("cpu", "cpuacct")) == [
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "50000"),
    ]
    assert build_limit_settings(Limits(memory=1, memory_swap=-1), controllers=())[1] == ("memory.swap.max", "max")
