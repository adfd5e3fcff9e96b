"""Networks as fixtures: what tests get, and in which order it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_store import BUSYBOX

pytestmark = pytest.mark.usefixtures("store")

HEAD = f"""
import pytest
from pytest_pods import (
    AddressInUseError, NetworkNotFoundError, NetworkSpec, SubnetInUseError, container_fixture, network_fixture
)

BUSYBOX = {BUSYBOX!r}
SLEEP = ["sleep", "1000"]

def names(pods):
    pods.await_removals()
    return sorted(network.name for network in pods.networks())
"""


def run(pytester: pytest.Pytester, text: str, *arguments: str, conftest: str = "") -> pytest.RunResult:
    pytester.makepyfile(test_it=HEAD + text)
    if conftest:
        pytester.makeconftest(HEAD + conftest)
    return pytester.runpytest(*arguments)


def test_containers_on_a_made_network_find_each_other_by_name(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_names(make_network, run_container):
    backend = make_network("backend")
    db = run_container(BUSYBOX, SLEEP, networks={backend: {"aliases": ["db"]}})
    web = run_container(BUSYBOX, SLEEP, name="web", networks=[backend])
    assert db.networks["backend"].ips[0] in web.succeed("nslookup db")
    assert web.ip in db.succeed("nslookup web")
    assert backend.resolve("db") == db.ip
    assert set(backend.containers()) == {db, web}
""",
    )
    result.assert_outcomes(passed=1)


def test_network_is_gone_for_the_next_test_and_its_name_is_free(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.parametrize("n", range(3))
def test_same_name_and_subnet(make_network, run_container, pods, n):
    backend = make_network("backend", subnet="10.99.87.0/24")
    assert [network.name for network in pods.networks()] == ["backend"]
    run_container(BUSYBOX, SLEEP, networks={backend: {"ip": "10.99.87.7"}})

def test_after(pods):
    assert names(pods) == []
""",
    )
    result.assert_outcomes(passed=4)


@pytest.mark.parametrize("fixtures", ["make_network, run_container", "run_container, make_network"])
def test_network_goes_after_its_containers_in_whatever_order_they_were_asked_for(
    pytester: pytest.Pytester, fixtures: str
) -> None:
    result = run(
        pytester,
        f"""
def test_it({fixtures}):
    one, two = make_network(), make_network(internal=True)
    container = run_container(BUSYBOX, SLEEP, networks=[one, two])
    assert list(container.networks) == [one.name, two.name]

def test_after(pods):
    assert (names(pods), pods.containers()) == ([], [])
""",
    )
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*fault*")


def test_container_of_a_wider_scope_loses_a_network_when_its_name_is_needed_again(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
wide = container_fixture(BUSYBOX, SLEEP, scope="module")

@pytest.mark.parametrize("n", range(2))
def test_join(wide, make_network, n):
    network = make_network("backend")
    network.connect(wide, aliases=["wide"])
    assert network.resolve("wide") == wide.networks["backend"].ips[0]
    assert list(wide.networks) == ["backend"]
""",
    )
    result.assert_outcomes(passed=2)


def test_declared_network_lives_as_long_as_its_scope(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
seen = {}

@container_fixture
def db(wide):
    return {"image": BUSYBOX, "command": SLEEP, "networks": {wide: {"aliases": ["db"]}}}

def describe(wide):
    "A network beside the wide one."
    return {"name": f"beside-{wide.name}", "labels": {"wide": wide.name}}

described = network_fixture(describe, scope="module")
by_spec = network_fixture(lambda: NetworkSpec("by-spec", internal=True))

@pytest.mark.parametrize("n", range(2))
def test_wide(wide, narrow, db, described, by_spec, n):
    assert seen.setdefault("wide", wide.id) == wide.id
    assert seen.get("narrow") != narrow.name
    seen["narrow"] = narrow.name
    assert wide.resolve("db") == db.ip
    assert (described.name, described.labels) == ("beside-wide", {"wide": "wide"})
    assert by_spec.internal

def test_after(pods):
    assert names(pods) == ["beside-wide", "wide"]
""",
        conftest="""
wide = network_fixture("wide", scope="session")
narrow = network_fixture()
""",
    )
    result.assert_outcomes(passed=3)
    result = pytester.runpytest("--fixtures", "-v")
    result.stdout.fnmatch_lines(["described*module scope*", "*A network beside the wide one."])


def test_alias_leads_to_the_container_of_this_test_only(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.parametrize("n", range(3))
def test_alias(wide, run_container, n):
    db = run_container(BUSYBOX, SLEEP, networks=[wide], aliases=["db"])
    assert wide.resolve("db") == db.ip
    assert len([line for line in db.succeed("nslookup db").splitlines() if line.startswith("Address: 10.")]) == 1
""",
        conftest='wide = network_fixture(scope="session")',
    )
    result.assert_outcomes(passed=3)


def test_mark_takes_the_default_network_and_names_of_declared_ones(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.container(BUSYBOX, SLEEP, networks=["default", "wide"], name="box")
def test_mark(wide, container):
    assert list(container.networks) == ["default", "wide"]
    assert wide.resolve("box") in container.succeed("nslookup box.")
""",
        conftest='wide = network_fixture("wide", scope="session")',
    )
    result.assert_outcomes(passed=1)


def test_wrong_input_is_an_error_of_the_test_with_its_own_line(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_subnet(make_network):
    make_network(subnet="10.99.87.0/24")
    make_network(subnet="10.99.87.128/25")

def test_name(make_network):
    make_network("backend")
    make_network("backend")

def test_unknown(run_container):
    run_container(BUSYBOX, SLEEP, networks=["nowhere"])

def test_address(make_network, run_container):
    network = make_network(subnet="10.99.87.0/24")
    run_container(BUSYBOX, SLEEP, networks={network: {"ip": "10.99.87.9"}})
    run_container(BUSYBOX, SLEEP, networks={network: {"ip": "10.99.87.9"}})

def test_full(make_network, run_container):
    network = make_network(subnet="10.99.87.0/29", ip_range="10.99.87.4/32")
    run_container(BUSYBOX, SLEEP, networks=[network])
    run_container(BUSYBOX, SLEEP, networks=[network])

def test_removal(make_network, run_container):
    network = make_network("backend")
    run_container(BUSYBOX, SLEEP, name="box", networks=[network])
    network.remove()

def test_after(pods):
    assert (names(pods), pods.containers()) == ([], [])
""",
    )
    result.assert_outcomes(passed=1, failed=6)
    result.stdout.fnmatch_lines(
        [
            '>       make_network(subnet="10.99.87.128/25")',
            "E       *.SubnetInUseError: network *: subnet 10.99.87.128/25 overlaps 10.99.87.0/24 of network *",
            '>       make_network("backend")',
            "E       *.NameInUseError: the name backend is in use by another network",
            ">       run_container(*",
            "E       *.NetworkNotFoundError: no network 'nowhere' (there are: none)",
            "E       *.AddressInUseError: address 10.99.87.9 of network * is in use by *",
            "E       *.NetworkError: network *: no address of 10.99.87.4/32 is left",
            "E       *.InUseError: network backend is in use by box",
        ]
    )


def test_declared_network_with_wrong_arguments_fails_where_it_is_declared(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_it(): ...", conftest='wide = network_fixture(subnet="nonsense")')
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*InvalidSpecError: subnet 'nonsense' is not a subnet*"])


def test_function_of_a_declared_network_is_named_in_its_error(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@network_fixture
def described():
    return ["backend"]

def test_it(described): ...
""",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["InvalidSpecError: network_fixture(described): it returned *'backend'*"])


@pytest.mark.usefixtures("kept_sessions_end")
def test_networks_of_kept_containers_are_kept(pytester: pytest.Pytester, store: Path) -> None:
    before = {session.id for session in Engine.sessions(store)}
    result = run(
        pytester,
        """
def test_failing(make_network, run_container):
    backend = make_network("backend")
    run_container(BUSYBOX, SLEEP, name="db", networks=[backend])
    make_network("nobody-is-here")
    assert False

def test_passing(make_network, run_container):
    run_container(BUSYBOX, SLEEP, networks=[make_network("other")])
""",
        "--pods-keep=failed",
    )
    result.assert_outcomes(passed=1, failed=1)
    (session,) = [one.id for one in Engine.sessions(store) if one.id not in before]
    with Engine.attach(session, root=store) as engine:
        assert [network.name for network in engine.networks()] == ["backend"]
        assert engine.container("db").ip in engine.container("db").succeed("nslookup db")


@pytest.mark.usefixtures("kept_sessions_end")
def test_kept_network_gives_way_to_a_test_that_needs_its_name(pytester: pytest.Pytester, store: Path) -> None:
    before = {session.id for session in Engine.sessions(store)}
    result = run(
        pytester,
        """
@pytest.mark.parametrize("n", range(3))
def test_failing(make_network, run_container, n):
    backend = make_network("backend", subnet="10.99.87.0/24")
    run_container(BUSYBOX, SLEEP, labels={"n": str(n)}, networks=[backend])
    assert False
""",
        "--pods-keep=failed",
    )
    result.assert_outcomes(failed=3)
    (session,) = [one.id for one in Engine.sessions(store) if one.id not in before]
    with Engine.attach(session, root=store) as engine:
        assert [network.name for network in engine.networks()] == ["backend"]
        assert [container.labels["n"] for container in engine.containers()] == ["2"]


def test_fixtures_of_networks_reach_the_engine_for_the_mark(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
wide = network_fixture()

def test_made(make_network): ...
def test_declared(wide): ...
def test_other(): ...
""",
        "-m", "pods", "--collect-only", "-q",
    )  # fmt: skip
    result.stdout.fnmatch_lines(["test_it.py::test_made", "test_it.py::test_declared", "2/3 tests collected*"])
