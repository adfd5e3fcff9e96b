"""macvlan and ipvlan: containers on an interface of the host; and what only root, or only some kernels, can have."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from pytest_pods.engine.api import Engine
from pytest_pods.engine.errors import InvalidSpecError, NetworkError, UnsupportedHostError, UnsupportedVersionError
from pytest_pods.engine.host.programs import Version, get_program, get_version
from tests.support.fixtures_store import BUSYBOX

SLEEP = ["sleep", "1000"]


def ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(get_program("ip")), *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def parent() -> Iterator[str]:
    """An interface of the host, up, that is gone after the test."""
    name = f"pp{os.getpid()}"
    assert ip("link", "add", "name", name, "type", "veth", "peer", "name", f"{name}o").returncode == 0
    try:
        for one in (name, f"{name}o"):
            assert ip("link", "set", one, "up").returncode == 0
        yield name
    finally:
        ip("link", "delete", name)


def has_driver(parent: str, driver: str) -> bool:
    tried = ip("link", "add", "link", parent, "name", f"{parent}t", "type", driver)
    ip("link", "delete", f"{parent}t")
    return tried.returncode == 0


@pytest.mark.root
@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_containers_on_an_interface_of_the_host_reach_each_other(engine: Engine, parent: str, driver: str) -> None:
    if driver == "ipvlan" and get_version(get_program("netavark")) < Version((1, 5)):
        with pytest.raises(UnsupportedVersionError, match=r"ipvlan needs netavark 1\.5 or newer"):
            engine.create_network("lan", driver=driver, parent=parent, subnet="10.66.0.0/24")
        assert engine.networks() == []
        return
    if not has_driver(parent, driver):
        pytest.skip(f"this kernel has no {driver}")
    network = engine.create_network("lan", driver=driver, parent=parent, subnet="10.66.0.0/24")
    db = engine.run(
        BUSYBOX, ["nc", "-ll", "-p", "7000", "-e", "echo", "tables"], networks={"lan": {"ip": "10.66.0.50"}},
        wait=lambda container: 7000 in container.listening(),
    )  # fmt: skip
    web = engine.run(BUSYBOX, SLEEP, networks=[network])
    assert db.ip == "10.66.0.50"
    assert web.succeed("nc -w 5 10.66.0.50 7000 </dev/null") == "tables\n"
    assert "default via 10.66.0.1" in web.exec(["ip", "route"]).stdout
    with pytest.raises(NetworkError, match="the host's own"), network.direct():
        pass
    network.remove(force=True)
    assert engine.networks() == []


@pytest.mark.root
def test_parent_that_is_not_there_is_named_and_nothing_is_left(engine: Engine) -> None:
    engine.create_network("lan", driver="macvlan", parent="nosuch0", subnet="10.66.0.0/24")
    with pytest.raises(NetworkError, match="setting up network lan: netavark failed"):
        engine.run(BUSYBOX, SLEEP, networks=["lan"])
    assert engine.containers() == []


def test_interface_of_the_host_needs_root_and_a_subnet(engine: Engine) -> None:
    if os.geteuid() != 0:
        with pytest.raises(UnsupportedHostError, match="needs root"):
            engine.create_network("lan", driver="macvlan", parent="eth0", subnet="10.66.0.0/24")
        assert engine.networks() == []
    with pytest.raises(InvalidSpecError, match="needs a subnet"):
        engine.create_network("lan", driver="macvlan", parent="eth0")


def test_containers_in_a_vlan_reach_each_other_or_it_is_refused_for_an_old_netavark(engine: Engine) -> None:
    version = get_version(get_program("netavark"))
    if version < Version((1, 14)):
        with pytest.raises(UnsupportedVersionError, match=r"vlan needs netavark 1\.14 or newer"):
            engine.create_network("tagged", vlan=7)
        assert engine.networks() == []
        return
    engine.create_network("tagged", vlan=7)
    one = engine.run(
        BUSYBOX, ["nc", "-ll", "-p", "7000", "-e", "echo", "tables"], networks=["tagged"],
        wait=lambda container: 7000 in container.listening(),
    )  # fmt: skip
    two = engine.run(BUSYBOX, SLEEP, networks=["tagged"])
    assert one.ip in two.exec(["nslookup", f"{one.name}."]).stdout
    assert two.succeed(f"nc -w 5 {one.ip} 7000 </dev/null") == "tables\n"
