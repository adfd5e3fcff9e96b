"""What the machine allows is judged rightly from what the kernel and the files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.host.features import (
    UserNamespaceSwitches,
    build_user_namespace,
    choose_level,
    find_proc_masks,
    find_user_namespace,
    is_initial_user_namespace,
    parse_kernel_version,
    read_user_namespace_switches,
)
from pytest_pods.engine.host.sandbox import IdRange
from pytest_pods.engine.host.subordinate_ids import SubordinateIds, SubordinateRange

INITIAL = "         0          0 4294967295\n"
INNER = "         0       1000          1\n"
PLAIN_PROC = "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
BINFMT = "40 22 0:35 / /proc/sys/fs/binfmt_misc rw - binfmt_misc binfmt_misc rw\n"
MASKED = PLAIN_PROC + "60 22 0:50 / /proc/kcore rw - tmpfs tmpfs rw\n61 22 0:21 /sys /proc/sys ro - proc proc rw\n"


@pytest.mark.parametrize(
    ("switches", "word"),
    [
        pytest.param(UserNamespaceSwitches(0, 15000, None), "unprivileged_userns_clone", id="Debian's switch"),
        pytest.param(UserNamespaceSwitches(None, 0, None), "max_user_namespaces", id="none allowed"),
        pytest.param(UserNamespaceSwitches(1, 15000, 1), "apparmor", id="Ubuntu's switch"),
    ],
)
def test_obstacle_names_the_switch_and_its_cure(switches: UserNamespaceSwitches, word: str) -> None:
    assert switches.obstacle is not None
    assert word in switches.obstacle.reason
    assert word in switches.obstacle.cure


@pytest.mark.parametrize("switches", [UserNamespaceSwitches(None, None, None), UserNamespaceSwitches(1, 96365, 0)])
def test_no_obstacle_where_nothing_forbids(switches: UserNamespaceSwitches) -> None:
    assert switches.obstacle is None


def test_switches_are_read_and_missing_ones_are_none(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user/max_user_namespaces").write_text("96365\n")
    assert read_user_namespace_switches(tmp_path) == UserNamespaceSwitches(None, 96365, None)


def test_map_puts_the_user_first_and_the_subordinate_ids_behind_without_a_gap() -> None:
    ids = SubordinateIds(
        (SubordinateRange(100000, 1000), SubordinateRange(300000, 64536)), (SubordinateRange(100000, 65536),)
    )
    namespace = build_user_namespace(1000, 1001, ids=ids, newuidmap=Path("/u"), newgidmap=Path("/g"))
    assert namespace.uid_map == (IdRange(0, 1000, 1), IdRange(1, 100000, 1000), IdRange(1001, 300000, 64536))
    assert namespace.gid_map == (IdRange(0, 1001, 1), IdRange(1, 100000, 65536))
    assert not namespace.single_id


def test_map_without_subordinate_ids_is_of_the_own_id_alone() -> None:
    namespace = build_user_namespace(1000, 1001, ids=None, newuidmap=Path("/u"), newgidmap=Path("/g"))
    assert (namespace.uid_map, namespace.gid_map) == ((IdRange(0, 1000, 1),), (IdRange(0, 1001, 1),))
    assert namespace.single_id


def test_user_that_no_file_knows_gets_a_map_of_the_own_id() -> None:
    assert find_user_namespace(3_123_456_789).uid_map == (IdRange(0, 3_123_456_789, 1),)


@pytest.mark.parametrize(
    ("mountinfo", "level"),
    [
        pytest.param(PLAIN_PROC, 1, id="plain"),
        pytest.param(PLAIN_PROC + BINFMT, 1, id="binfmt_misc hides nothing"),
        pytest.param(MASKED, 2, id="masked"),
    ],
)
def test_level_inside_a_user_namespace_follows_from_the_masks_of_proc(mountinfo: str, level: int) -> None:
    choice = choose_level(mountinfo, INNER)
    assert choice.level == level
    assert (choice.obstacle is None) is (level == 1)


def test_masks_are_named() -> None:
    assert find_proc_masks(MASKED) == ("/proc/kcore", "/proc/sys")


def test_only_the_whole_map_is_the_initial_namespace() -> None:
    assert is_initial_user_namespace(INITIAL)
    assert not is_initial_user_namespace(INNER)
    assert not is_initial_user_namespace("0 0 1000\n1000 1000 4294966295\n")


@pytest.mark.parametrize(
    ("release", "text"), [("6.1.0-18-amd64", "6.1.0"), ("6.18.44-fc-v595", "6.18.44"), ("5.15", "5.15"), ("odd", "")]
)
def test_kernel_version_is_the_leading_numbers(release: str, text: str) -> None:
    assert str(parse_kernel_version(release)) == text
