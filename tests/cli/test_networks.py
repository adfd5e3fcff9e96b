"""Networks on the command line: made, joined, left, listed and removed, and containers' options that name them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_pods.engine.api import Engine
from tests.support.fixtures_cli import CommandLine
from tests.support.fixtures_store import BUSYBOX


@pytest.fixture
def line(cli: CommandLine) -> Iterator[CommandLine]:
    """The command line without networks, before and after: unlike its sessions, these stay in the store."""
    assert cli.ok("network", "ls", "-q") == ""
    yield cli
    cli.ok("rm", "-fa")
    for name in cli.ok("network", "ls", "-q").splitlines():
        cli.ok("network", "rm", "-f", name)


def start(line: CommandLine, name: str, *options: str) -> str:
    return line.ok("run", "-d", "--name", name, *options, BUSYBOX, "sleep", "1000")


def sessions(line: CommandLine) -> list[str]:
    return line.ok("sessions", "-q").splitlines()


def addresses(line: CommandLine, container: str, network: str) -> str:
    found = line.json("inspect", container)[0]["NetworkSettings"]["Networks"]
    return str(found[network]["IPAddress"])


def refuse(line: CommandLine, *words: str) -> str:
    """What a command that has to fail says."""
    done = line(*words)
    assert (done.returncode, done.stdout) == (125, ""), done
    assert done.stderr.startswith("Error: ")
    return done.stderr


def test_networks_are_made_listed_and_removed_without_a_session(line: CommandLine) -> None:
    assert line.ok("network", "create", "backend") == "backend"
    made_up = line.ok("network", "create", "--internal", "--label", "app=shop")
    assert line.ok("network", "ls", "-q").splitlines() == ["backend", made_up]
    assert line("network", "exists", "backend").returncode == 0
    assert line("network", "exists", "other").returncode == 1
    assert line.json("network", "inspect", made_up)[0]["labels"] == {"app": "shop"}
    assert line.ok("network", "rm", "backend", made_up).splitlines() == ["backend", made_up]
    assert line.ok("network", "ls", "-q") == ""
    assert sessions(line) == []


def test_every_option_of_create_is_in_the_document(line: CommandLine) -> None:
    line.ok(
        "network", "create", "--subnet", "10.99.88.0/24", "--gateway", "10.99.88.254", "--ip-range", "10.99.88.128/25",
        "--subnet", "fd00:88::/64", "--internal", "--disable-dns", "--dns", "192.0.2.53", "-l", "a=b", "-o", "mtu=1400",
        "-o", "isolate=true", "-o", "no_default_route", "-o", "metric=50", "backend",
    )  # fmt: skip
    (document,) = line.json("network", "inspect", "backend")
    assert re.fullmatch("[0-9a-f]{64}", document.pop("id"))
    assert document.pop("network_interface").startswith("pods")
    assert document.pop("created")
    assert document == {
        "name": "backend",
        "driver": "bridge",
        "subnets": [
            {
                "subnet": "10.99.88.0/24",
                "gateway": "10.99.88.254",
                "lease_range": "10.99.88.128/25",
            },
            {"subnet": "fd00:88::/64", "gateway": "fd00:88::1"},
        ],
        "ipv6_enabled": True,
        "internal": True,
        "dns_enabled": False,
        "network_dns_servers": ["192.0.2.53"],
        "labels": {"a": "b"},
        "options": {"mtu": "1400", "metric": "50", "isolate": "yes", "no_default_route": "true"},
        "ipam_options": {"driver": "host-local"},
        "containers": {},
    }


def test_list_is_filtered_and_formatted(line: CommandLine) -> None:
    line.ok("network", "create", "--subnet", "10.99.88.0/24", "--label", "app=shop", "front")
    line.ok("network", "create", "--subnet", "10.99.89.0/24", "--internal", "back")
    network_id = line.ok("network", "inspect", "-f", "{{.id}}", "front")
    lines = line.ok("network", "ls").splitlines()
    assert lines[0].split("   ") == ["NETWORK ID", "  NAME", " DRIVER", "SUBNETS"]
    assert lines[1].split() == [network_id[:12], "front", "bridge", "10.99.88.0/24"]
    assert line.ok("network", "ls", "--no-trunc", "--format", "{{.ID}}", "-f", "name=fro") == network_id
    assert line.ok("network", "ls", "--format", "{{.Name}} {{.Internal}} {{.Labels}}", "-f", "internal=true") == (
        "back true"
    )
    for text in ("label=app", "label=app=shop", "internal=false", f"id={network_id[:5]}"):
        assert line.ok("network", "ls", "-q", "-f", text) == "front"
    assert line.ok("network", "ls", "-q", "-f", "driver=bridge", "-f", "label=app=other") == ""
    assert [document["name"] for document in line.json("network", "ls", "--format", "json")] == ["front", "back"]
    assert "--filter 'color=red' is not known" in refuse(line, "network", "ls", "-f", "color=red")


def test_containers_on_a_network_find_each_other_by_name(line: CommandLine) -> None:
    line.ok("network", "create", "backend")
    start(line, "db", "--network", "backend", "--network-alias", "database")
    start(line, "web", "--network", "backend")
    assert addresses(line, "db", "backend") in line.ok("exec", "web", "nslookup", "database")
    assert addresses(line, "web", "backend") in line.ok("exec", "db", "nslookup", "web")
    (document,) = line.json("network", "inspect", "backend")
    assert sorted(entry["name"] for entry in document["containers"].values()) == ["db", "web"]


def test_network_outlives_the_session_of_its_containers(line: CommandLine) -> None:
    line.ok("network", "create", "--subnet", "10.99.88.0/24", "backend")
    for _ in range(2):
        start(line, "box", "--network", "backend")
        assert addresses(line, "box", "backend") == "10.99.88.2"
        assert line.ok("network", "ls", "-q", "-f", "dangling=false") == "backend"
        line.ok("sessions", "end", "--all")
        assert line.ok("network", "ls", "-q", "-f", "dangling=true") == "backend"


def test_default_is_a_network_with_names_that_is_there_when_it_is_needed(line: CommandLine) -> None:
    start(line, "one", "--network", "default")
    start(line, "two", "--network", "default")
    assert addresses(line, "one", "default") in line.ok("exec", "two", "nslookup", "one")
    assert line.ok("network", "ls", "-q") == "default"


def test_place_on_each_network_is_said_behind_its_name(line: CommandLine) -> None:
    line.ok("network", "create", "--subnet", "10.99.88.0/24", "--subnet", "fd00:88::/64", "front")
    line.ok("network", "create", "--internal", "back")
    start(
        line, "box", "--network", "front:ip=10.99.88.7,ip6=fd00:88::7,mac=02:50:00:00:00:07,alias=one,alias=uno",
        "--network", "back:interface_name=inner0",
    )  # fmt: skip
    networks = line.json("inspect", "box")[0]["NetworkSettings"]["Networks"]
    assert list(networks) == ["front", "back"]
    front = networks["front"]
    assert (front["IPAddress"], front["GlobalIPv6Address"]) == ("10.99.88.7", "fd00:88::7")
    assert front["MacAddress"] == "02:50:00:00:00:07"
    assert front["Aliases"][-2:] == ["one", "uno"]
    assert "02:50:00:00:00:07" in line.ok("exec", "box", "ip", "link", "show", "eth0")
    assert networks["back"]["IPAddress"] in line.ok("exec", "box", "ip", "addr", "show", "inner0")
    assert line.ok("ps", "--format", "{{.Networks}}", "-f", "network=back") == "front,back"
    assert line.ok("ps", "-q", "-f", "network=other") == ""
    (document,) = line.json("inspect", "box")
    assert document["HostConfig"]["NetworkMode"] == "front"


def test_options_for_the_one_network_of_a_container(line: CommandLine) -> None:
    line.ok("network", "create", "--subnet", "10.99.88.0/24", "front")
    start(line, "box", "--network", "front", "--ip", "10.99.88.9", "--mac-address", "02:50:00:00:00:09")
    endpoint = line.json("inspect", "box")[0]["NetworkSettings"]["Networks"]["front"]
    assert (endpoint["IPAddress"], endpoint["MacAddress"]) == ("10.99.88.9", "02:50:00:00:00:09")


def test_files_of_etc_have_what_was_asked_for(line: CommandLine) -> None:
    shown = line.ok(
        "run", "--rm", "--dns", "192.0.2.53", "--dns-search", "shop.test", "--dns-option", "ndots:3", "--add-host",
        "db:10.0.0.1", "--add-host", "six:[fd00::1]", "--add-host", "me:host-gateway", BUSYBOX, "cat",
        "/etc/resolv.conf", "/etc/hosts",
    )  # fmt: skip
    lines = shown.splitlines()
    assert lines[:3] == ["nameserver 192.0.2.53", "search shop.test", "options ndots:3"]
    assert {"10.0.0.1\tdb", "fd00::1\tsix", "10.86.0.2\tme"} <= set(lines)


def test_range_of_ports_is_published_one_to_one(line: CommandLine) -> None:
    start(line, "box", "-p", "80-82", "-p", "127.0.0.1::53/udp", "-p", "80")
    published = line.ok("port", "box").splitlines()
    assert [text.split(" -> ")[0] for text in published] == ["80/tcp", "81/tcp", "82/tcp", "53/udp", "80/tcp"]
    assert len({text.split(":")[1] for text in published}) == 5
    assert len(line.ok("port", "box", "80").splitlines()) == 2


def test_container_joins_and_leaves_networks_while_it_runs(line: CommandLine) -> None:
    line.ok("network", "create", "--internal", "--subnet", "10.99.88.0/24", "front")
    start(line, "box")
    start(line, "other", "--network", "front")
    line.ok("network", "connect", "--ip", "10.99.88.7", "--mac-address", "02:50:00:00:00:07", "--alias", "joined",
            "front", "box")  # fmt: skip
    assert addresses(line, "box", "front") == "10.99.88.7"
    assert "10.99.88.7" in line.ok("exec", "other", "nslookup", "joined")
    assert line.ok("ps", "--format", "{{.Networks}}", "-f", "name=box") == "private,front"
    assert "is on network front already" in refuse(line, "network", "connect", "front", "box")
    line.ok("network", "disconnect", "front", "box")
    assert line.json("inspect", "box")[0]["NetworkSettings"]["Networks"] == {}
    assert line("exec", "other", "nslookup", "joined").returncode != 0
    assert "is not on network front" in refuse(line, "network", "disconnect", "front", "box")
    line.ok("network", "disconnect", "-f", "front", "box")


def test_pod_joins_and_leaves_a_network_by_its_name_or_that_of_a_container(line: CommandLine) -> None:
    line.ok("network", "create", "--internal", "--subnet", "10.99.88.0/24", "front")
    start(line, "other", "--network", "front")
    line.ok("pod", "create", "shop")
    start(line, "web", "--pod", "shop")
    line.ok("network", "connect", "--ip", "10.99.88.7", "--alias", "store", "front", "shop")
    start(line, "late", "--pod", "shop")
    for name in ("shop", "web", "store", "late"):
        assert "10.99.88.7" in line.ok("exec", "other", "nslookup", name)
    for name in ("web", "late"):
        assert addresses(line, name, "front") == "10.99.88.7"
    assert line.ok("pod", "ps", "--format", "{{.Networks}}") == "private,front"
    assert line.json("pod", "inspect", "shop")[0]["Networks"] == ["front"]
    line.ok("rm", "-f", "late")
    assert line("exec", "other", "nslookup", "late").returncode != 0
    assert "pod shop is on network front already" in refuse(line, "network", "connect", "front", "web")
    line.ok("network", "reload", "--all")
    assert "10.99.88.7" in line.ok("exec", "other", "nslookup", "web")
    line.ok("network", "disconnect", "front", "web")
    assert line("exec", "other", "nslookup", "web").returncode != 0
    assert line.ok("pod", "ps", "--format", "{{.Networks}}") == "private"
    assert "no container or pod 'nobody'" in refuse(line, "network", "connect", "front", "nobody")


def test_container_in_the_network_of_another(line: CommandLine) -> None:
    line.ok("network", "create", "--internal", "front")
    start(line, "db", "--network", "front")
    start(line, "sidecar", "--network", "container:db")
    namespaces = {line.ok("exec", name, "readlink", "/proc/self/ns/net") for name in ("db", "sidecar")}
    assert len(namespaces) == 1
    assert addresses(line, "sidecar", "front") == addresses(line, "db", "front")
    assert line.ok("ps", "--format", "{{.Names}}", "-f", "network=front").split() == ["sidecar", "db"]
    for words, said in (
        (("--network", "container:nobody"), "no container 'nobody'"),
        (("--network", "container:"), "names no container"),
        (("--network", "container:db", "--network", "front"), "cannot be combined"),
        (("--network", "container:db", "--ip", "10.89.0.9"), "belong to a network with names"),
        (("--network", "container:db", "--pod", "shop"), "were both given"),
        (("--network", "ns:/proc/1/ns/net"), "is not joined by its path"),
    ):
        assert said in refuse(line, "run", "-d", *words, BUSYBOX, "sleep", "1")
    line.ok("stop", "-t", "0", "sidecar", "db")
    assert "network of container db is also that of sidecar" in refuse(line, "rm", "db")
    assert len(line.ok("rm", "--all").split()) == 2


def test_container_with_its_own_resolv_conf_has_none_where_the_image_has_none(line: CommandLine) -> None:
    assert line("run", "--rm", "--dns", "none", BUSYBOX, "cat", "/etc/resolv.conf").returncode == 1
    assert "cannot be combined with dns_search" in refuse(
        line, "run", "--rm", "--dns", "none", "--dns-search", "a.test", BUSYBOX, "true"
    )


def test_reload_brings_lost_interfaces_back(line: CommandLine) -> None:
    line.ok("network", "create", "front")
    start(line, "box", "--cap-add", "NET_ADMIN", "--network", "front")
    start(line, "other", "--cap-add", "NET_ADMIN")
    for name in ("box", "other"):
        line.ok("exec", name, "ip", "link", "delete", "eth0")
    ids = line.ok("network", "reload", "--all").splitlines()
    assert sorted(ids) == sorted(line.ok("ps", "-q", "--no-trunc").splitlines())
    assert addresses(line, "box", "front") in line.ok("exec", "box", "ip", "addr", "show", "eth0")
    assert "Name:\tbox" in line.ok("exec", "box", "nslookup", "box")
    assert "default via 10.86.0.2" in line.ok("exec", "other", "ip", "route")


def test_network_in_use_is_removed_by_force_only(line: CommandLine) -> None:
    line.ok("network", "create", "front")
    start(line, "box", "--network", "front")
    assert "network front is in use by box" in refuse(line, "network", "rm", "front")
    assert line.ok("network", "rm", "-f", "front", "missing") == "front"
    assert line.ok("ps", "-aq") == ""


def test_prune_takes_what_nobody_is_on_and_leaves_the_default(line: CommandLine) -> None:
    for name in ("used", "unused", "shop"):
        line.ok("network", "create", "--label", f"name={name}", name)
    start(line, "box", "--network", "used", "--network", "default")
    assert line.ok("network", "prune", "-f", "--filter", "label=name=shop") == "shop"
    assert line.ok("network", "prune") == "unused"
    line.ok("rm", "-f", "box")
    assert line.ok("network", "prune", "--force") == "used"
    assert line.ok("network", "ls", "-q") == "default"


def test_prune_asks_on_a_terminal(line: CommandLine) -> None:
    line.ok("network", "create", "unused")
    for answer, code, left in (("n\r", 1, "unused"), ("y\r", 0, "")):
        with line.terminal("network", "prune") as typist:
            typist.expect(r"Go on\? \[y/N\]")
            typist.type(answer)
            assert typist.wait() == code
        assert line.ok("network", "ls", "-q") == left


def test_inspect_finds_networks_by_name_and_id(line: CommandLine) -> None:
    line.ok("network", "create", "front")
    network_id = line.ok("inspect", "-f", "{{.id}}", "front")
    assert line.ok("inspect", "--type", "network", "-f", "{{.name}}", network_id[:8]) == "front"
    assert "no network 'box'" in line("inspect", "--type", "network", "box").stderr
    assert "no container, pod, image, volume or network 'box'" in line("inspect", "box").stderr


def test_name_that_is_taken_is_refused_unless_that_is_to_be_ignored(line: CommandLine) -> None:
    line.ok("network", "create", "front")
    assert "the name front is in use by another network" in refuse(line, "network", "create", "front")
    assert line.ok("network", "create", "--ignore", "front") == "front"


def test_wrong_networks_are_refused(line: CommandLine) -> None:
    line.ok("network", "create", "--subnet", "10.99.88.0/29", "--ip-range", "10.99.88.4/31", "front")
    wrong_networks: tuple[tuple[tuple[str, ...], str], ...] = (
        (("--subnet", "10.99.88.0/24", "x"), "subnet 10.99.88.0/24 overlaps 10.99.88.0/29 of network front"),
        (("--subnet", "10.86.7.0/24", "x"), "overlaps 10.86.0.0/16 of the session's way out"),
        (("--subnet", "10.99.88.1/24", "x"), "is not a subnet"),
        (("host",), "a network cannot be named 'host'"),
        (("-o", "color=red", "x"), "--opt 'color=red' is not known"),
        (("-o", "mtu=big", "x"), "'big' is not a number"),
        (("-d", "overlay", "x"), "'overlay' is none of bridge, macvlan, ipvlan"),
        (("-d", "macvlan", "x"), "macvlan needs parent"),
    )
    for options, message in wrong_networks:
        assert message in refuse(line, "network", "create", *options)
    wrong_places: tuple[tuple[tuple[str, ...], str], ...] = (
        (("--network", "nowhere"), "no network 'nowhere' (there are: front)"),
        (("--network", "front", "-p", "80/sctp"), "SCTP cannot be published"),
        (("--network", "front:ip=10.98.0.1"), "address 10.98.0.1 is in no subnet of network front"),
        (("--network", "front:ip=10.99.88.1"), "is reserved"),
        (("--network", "front:mac=01:00:5e:00:00:01"), "is no MAC address of one station"),
    )
    for options, message in wrong_places:
        assert message in refuse(line, "run", "-d", *options, BUSYBOX, "sleep", "1000")
    start(line, "box", "--network", "front:ip=10.99.88.5")
    assert "address 10.99.88.5 of network front is in use" in refuse(
        line, "run", "-d", "--network", "front:ip=10.99.88.5", BUSYBOX, "true"
    )
    start(line, "second", "--network", "front")
    assert "no address of 10.99.88.4/31 is left" in refuse(line, "run", "-d", "--network", "front", BUSYBOX, "true")
    start(line, "lonely", "--network", "none")
    assert "can join no other" in refuse(line, "network", "connect", "front", "lonely")


def test_networks_of_kept_sessions_are_shown_with_their_session(line: CommandLine, image_store: Path) -> None:
    with Engine.open(root=image_store) as engine:
        engine.create_network("kept")
        engine.run(BUSYBOX, ["sleep", "1000"], networks=["kept"])
        session = engine.keep(600)
    line.ok("network", "create", "own")
    assert line.ok("network", "ls", "--format", "{{.Name}}:{{.Session}}").splitlines() == ["own:", f"kept:{session}"]
    assert line.ok("--session", session, "network", "ls", "-q") == "kept"
    assert line.ok("network", "prune") == "own"
    assert line.ok("network", "rm", "-f", "kept") == "kept"
    line.ok("sessions", "end", session)
