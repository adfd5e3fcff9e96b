"""Which parts of two descriptions come together, and which take the place of others."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs.container import ContainerSpec, build_container_spec
from pytest_pods.engine.specs.extending import build_extended_container_spec, build_extended_pod_spec
from pytest_pods.engine.specs.pods import build_pod_spec

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "env": ({"env": {"A": "1", "B": "1"}}, {"env": ["B=2"]}, {"env": {"A": "1", "B": "2"}}),
    "labels": ({"labels": {"a": "1"}}, {"labels": {"b": "2"}}, {"labels": {"a": "1", "b": "2"}}),
    "add_hosts": (
        {"add_hosts": {"a.test": "10.0.0.1"}},
        {"add_hosts": {"b.test": "10.0.0.2"}},
        {"add_hosts": {"a.test": "10.0.0.1", "b.test": "10.0.0.2"}},
    ),
    "ports": ({"ports": [80, "81:81", "53/udp"]}, {"ports": ["8081:81", 53]}, {"ports": [80, "53/udp", "8081:81", 53]}),
    "mounts of every kind": (
        {"volumes": ["data:/data", "/host:/srv"], "tmpfs": ["/tmp"]},
        {"tmpfs": {"/data/": "1m"}, "volumes": ["more:/more"]},
        {"volumes": ["/host:/srv", "more:/more"], "tmpfs": ["/tmp", "/data/:size=1m"]},
    ),
    "networks": (
        {"networks": {"a": {"aliases": ["x"]}, "b": {}}},
        {"networks": {"a": {"aliases": ["y"]}, "c": {}}},
        {"networks": {"b": {}, "a": {"aliases": ["y"]}, "c": {}}},
    ),
    "a network to none": ({"networks": ["a"], "aliases": ["x"]}, {"network": "none"}, {"network": "none"}),
    "none to a network": ({"network": "none"}, {"networks": ["a"]}, {"networks": ["a"]}),
    "a network to a container's": ({"networks": ["a"]}, {"network": "container:x"}, {"network": "container:x"}),
    "a container's to a network": ({"network": "container:x"}, {"networks": ["a"]}, {"networks": ["a"]}),
    "aliases": ({"networks": ["a"], "aliases": ["x"]}, {"aliases": ["y"]}, {"networks": ["a"], "aliases": ["x", "y"]}),
    "name servers": ({"dns": ["10.0.0.1"]}, {"dns": ["10.0.0.2"]}, {"dns": ["10.0.0.2"]}),
    "name servers to the image's": ({"dns": ["10.0.0.1"]}, {"dns": "none"}, {"dns": "none"}),
    "the image's to name servers": ({"dns": "none"}, {"dns": ["10.0.0.1"]}, {"dns": ["10.0.0.1"]}),
    "capabilities": (
        {"cap_add": ["NET_ADMIN", "SYS_TIME"], "cap_drop": ["CHOWN"]},
        {"cap_drop": ["SYS_TIME", "KILL"], "cap_add": ["CHOWN"]},
        {"cap_add": ["NET_ADMIN", "CHOWN"], "cap_drop": ["SYS_TIME", "KILL"]},
    ),
    "ulimits": (
        {"ulimits": {"nofile": 10, "nproc": 10}}, {"ulimits": {"nofile": 20}}, {"ulimits": {"nproc": 10, "nofile": 20}}
    ),
    "artifacts": ({"artifacts": ["/a", "/b"]}, {"artifacts": ["/b", "/c"]}, {"artifacts": ["/a", "/b", "/c"]}),
    "command": ({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
    "command to the image's": ({"command": ["a"]}, {"command": None}, {}),
    "memory": ({"memory": "1g", "cpus": 1}, {"memory": "2g"}, {"memory": "2g", "cpus": 1}),
    "health": ({"health": "true"}, {"health": False}, {"health": False}),
    "wait": ({"wait": "far"}, {"wait": "near"}, {"wait": "near"}),
    "image": ({}, {"image": "near"}, {"image": "near"}),
}


@pytest.mark.parametrize(("far", "near", "both"), CASES.values(), ids=CASES.keys())
def test_two_descriptions_say_together(far: dict[str, Any], near: dict[str, Any], both: dict[str, Any]) -> None:
    extended = build_extended_container_spec([{"image": "far", **far}, near])
    expected = build_container_spec(both.pop("image", "far"), **both)
    assert set(extended.mounts) == set(expected.mounts)
    assert extended.with_changes(mounts=expected.mounts) == expected


def test_every_option_with_parts_is_joined_but_for_name_servers() -> None:
    plain = ContainerSpec(image="x")
    with_parts = {one.name for one in fields(plain) if isinstance(getattr(plain, one.name), tuple | dict)}
    tried = {name for far, near, _ in CASES.values() if far.keys() & near.keys() for name in far.keys() & near.keys()}
    assert with_parts - tried == {"mounts", "dns_search", "dns_options"}


def test_one_description_is_what_it_is_alone() -> None:
    options: dict[str, Any] = {"env": {"A": "b"}, "networks": ["a"], "aliases": ["x"], "cap_add": ["KILL"]}
    assert build_extended_container_spec([{"image": "x", **options}]) == build_container_spec("x", **options)


def test_pods_join_as_containers_do() -> None:
    far = {"ports": [80], "networks": ["a"], "memory": "1g", "share": "net", "web": {"image": "x", "ports": [1]}}
    near = {"ports": [81], "networks": ["b"], "memory": None, "containers": {"web": {"ports": [2], "init": True}}}
    both = {"ports": [80, 81], "networks": ["a", "b"], "share": "net"}
    web = {"image": "x", "ports": [1, 2], "init": True}
    assert build_extended_pod_spec([far, near]) == build_pod_spec(**both, web=web)


def test_member_that_is_a_spec_takes_the_place_of_what_was_said() -> None:
    whole = build_container_spec("whole")
    pod = build_extended_pod_spec([{"web": {"image": "x", "env": {"A": "b"}, "init": True}}, {"web": whole}])
    assert (pod.member("web").container, pod.member("web").init) == (whole, True)


@pytest.mark.parametrize(
    ("near", "told"),
    [
        ({"db": {"needs": ["web"]}, "web": {"needs": ["db"]}}, "need each other in a circle"),
        ({"db": {"ports": [1]}, "web": {"ports": [1]}}, "both publish port 1/tcp"),
        ({"wbe": {"env": {}}}, "member 'wbe': names no image"),
        ({"db": {"prots": []}}, "member 'db': unknown argument 'prots'"),
    ],
)
def test_what_cannot_be_in_one_pod_is_refused(near: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidSpecError, match=told):
        build_extended_pod_spec([{"db": {"image": "x"}, "web": {"image": "y"}}, near])
