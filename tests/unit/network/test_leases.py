"""Addresses between threads and processes that take them at the same time, and after owners that are gone."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_pods.engine.errors import AddressInUseError, NetworkError
from pytest_pods.engine.network.leases import find_holder, list_holders, release_leases, take_leases
from pytest_pods.engine.network_records import NetworkRecord
from pytest_pods.engine.specs.networks import NetworkSpec, SubnetSpec
from pytest_pods.engine.state.layout import NetworkLayout

REPOSITORY = Path(__file__).parents[3]
WIDE = SubnetSpec("10.99.0.0/16", "10.99.0.1")
SMALL = SubnetSpec("10.99.0.0/29", "10.99.0.1")
SIX = SubnetSpec("fd00:99::/64", "fd00:99::1")


def record_of(*subnets: SubnetSpec) -> NetworkRecord:
    return NetworkRecord("f" * 64, NetworkSpec("n", subnets=subnets), "pods0", 0.0)


@pytest.fixture
def layout(tmp_path: Path) -> NetworkLayout:
    layout = NetworkLayout(tmp_path)
    layout.leases_dir.mkdir()
    return layout


def take(
    layout: NetworkLayout, owner: str, *asked: str, record: NetworkRecord | None = None, gone: tuple[str, ...] = ()
) -> tuple[str, ...]:
    return take_leases(
        record or record_of(SMALL), layout, owner=owner, asked=asked, is_there=lambda holder: holder not in gone
    )


def test_one_address_of_each_subnet_is_taken_and_given_back(layout: NetworkLayout) -> None:
    record = record_of(SMALL, SIX)
    assert take(layout, "one", record=record) == ("10.99.0.2/29", "fd00:99::2/64")
    assert take(layout, "two", record=record) == ("10.99.0.3/29", "fd00:99::3/64")
    assert list_holders(layout) == {"one", "two"}
    release_leases(layout, ["10.99.0.2", "fd00:99::2"], owner="one")
    assert list_holders(layout) == {"two"}
    # What was given back rests.
    assert take(layout, "three", record=record) == ("10.99.0.4/29", "fd00:99::4/64")


def test_address_in_use_is_refused_with_whose_it_is(layout: NetworkLayout) -> None:
    assert take(layout, "one", "10.99.0.5") == ("10.99.0.5/29",)
    with pytest.raises(AddressInUseError, match=r"10\.99\.0\.5 of network n is in use by one"):
        take(layout, "two", "10.99.0.5")
    assert list_holders(layout) == {"one"}


def test_asked_for_address_does_not_move_where_the_others_go_on(layout: NetworkLayout) -> None:
    take(layout, "one", "10.99.0.4")
    assert take(layout, "two") == ("10.99.0.2/29",)


def test_no_address_left_is_an_error_until_one_comes_back(layout: NetworkLayout) -> None:
    for number in range(4):
        take(layout, f"owner{number}")
    with pytest.raises(NetworkError, match=r"no address of 10\.99\.0\.0/29 is left"):
        take(layout, "more")
    release_leases(layout, ["10.99.0.3"], owner="owner1")
    assert take(layout, "more") == ("10.99.0.3/29",)


def test_what_a_killed_process_left_is_free(layout: NetworkLayout) -> None:
    for number in range(4):
        take(layout, f"owner{number}")
    (layout.leases_dir / "10.99.0.4").write_text("")
    assert take(layout, "half", gone=()) == ("10.99.0.4/29",)
    assert take(layout, "new", gone=("owner1",)) == ("10.99.0.3/29",)
    assert take(layout, "asked", "10.99.0.5", gone=("owner3",)) == ("10.99.0.5/29",)


def test_late_release_leaves_the_next_holder_alone(layout: NetworkLayout) -> None:
    take(layout, "one", "10.99.0.5")
    take(layout, "two", "10.99.0.5", gone=("one",))
    release_leases(layout, ["10.99.0.5"], owner="one")
    assert find_holder(layout, "10.99.0.5") == "two"


def test_threads_never_get_the_same_address(layout: NetworkLayout) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: take(layout, f"owner{n}", record=record_of(WIDE)), range(200)))
    assert len(set(found)) == 200


TAKER = """
import sys
from pathlib import Path
from pytest_pods.engine.network.leases import take_leases
from pytest_pods.engine.network_records import NetworkRecord
from pytest_pods.engine.specs.networks import NetworkSpec, SubnetSpec
from pytest_pods.engine.state.layout import NetworkLayout

record = NetworkRecord("f" * 64, NetworkSpec("n", subnets=(SubnetSpec("10.99.0.0/16", "10.99.0.1"),)), "pods0", 0.0)
layout = NetworkLayout(Path(sys.argv[1]))
sys.stdin.readline()
for number in range(50):
    print(*take_leases(record, layout, owner=f"{sys.argv[2]}-{number}", asked=(), is_there=lambda owner: True))
"""


def test_processes_never_get_the_same_address(layout: NetworkLayout) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(layout.directory), str(number)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [line for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    assert len(found) == len(set(found)) == 200
    assert len(list_holders(layout)) == 200
