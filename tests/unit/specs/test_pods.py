"""What is asked of pods: members, their order, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_pods.engine.errors import InvalidInputError, InvalidSpecError
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.pods import build_pod_spec, order_members, parse_share
from pytest_pods.engine.specs.restart import RestartPolicy


def member(**options: Any) -> dict[str, Any]:
    return {"image": "shop:dev", **options}


def test_mappings_are_members_in_the_order_in_which_they_are_written() -> None:
    pod = build_pod_spec(name="shop", web=member(needs=["db"], ports=[8080]), db=member(init=False), network="none")
    assert [one.name for one in pod.members] == ["web", "db"]
    assert pod.member("web").needs == ("db",)
    assert pod.member("web").container.ports[0].container_port == 8080
    assert (pod.name, pod.network) == ("shop", NetworkMode.NONE)


def test_member_may_have_the_name_of_an_option() -> None:
    pod = build_pod_spec(containers={"ports": member(), "name": member(needs="ports")}, restart="always")
    assert [one.name for one in pod.members] == ["ports", "name"]
    assert pod.restart == RestartPolicy("always")


def test_members_stand_behind_what_they_need_and_init_members_first() -> None:
    pod = build_pod_spec(
        web=member(needs=["api", "db"]), api=member(needs=["db"]), db=member(), two=member(init=True, needs="one"),
        one=member(init=True),
    )
    assert [one.name for one in order_members(pod.members)] == ["one", "two", "db", "api", "web"]


def test_hosts_are_read_from_texts_and_mappings() -> None:
    wanted = {"db.test": "10.0.0.7", "six": "fd00::1"}
    assert build_pod_spec(add_hosts=["db.test:10.0.0.7", "six:[fd00::1]"]).add_hosts == wanted
    assert build_pod_spec(add_hosts={"db.test": "10.0.0.7", "six": "fd00::1"}).add_hosts == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        pytest.param("net,ipc", {"net", "ipc"}, id="text"),
        pytest.param(["network", "pid"], {"net", "pid"}, id="list"),
        pytest.param("+pid", {"net", "ipc", "uts", "pid"}, id="one more"),
        pytest.param("none", set(), id="none"),
        pytest.param("", set(), id="empty"),
    ],
)
def test_share_is_read(value: object, wanted: set[str]) -> None:
    assert parse_share("share", value) == wanted


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param({"a": member(needs="b"), "b": member(needs="a")}, "in a circle: a → b → a", id="circle"),
        pytest.param({"a": member(needs="a")}, "in a circle: a → a", id="needs itself"),
        pytest.param({"a": member(needs="bd"), "db": member()}, "'a' needs 'bd', which the pod does not", id="need"),
        pytest.param({"hostnme": "x"}, "unknown argument 'hostnme' of a pod", id="argument"),
        pytest.param({"a": member(imag=1)}, "member 'a': unknown argument 'imag'", id="member's argument"),
        pytest.param({"a": member(ports=["x"])}, "member 'a': invalid port 'x'", id="member's value"),
        pytest.param({"a": {}}, "member 'a': image has to be", id="no image"),
        pytest.param({"a": member(name="b")}, "unknown argument 'name'", id="member's name"),
        pytest.param({"a b": member()}, "invalid name 'a b'", id="name that cannot be one"),
        pytest.param({"containers": {"a": 3}}, "member 'a' has to be a mapping", id="no mapping"),
        pytest.param(
            {"a": member(ports=[80]), "b": member(ports=["8080:80"])},
            "member 'a' and member 'b' both publish port 80/tcp", id="port twice",
        ),
        pytest.param({"ports": [80], "b": member(ports=[80])}, "the pod and member 'b' both", id="port of the pod"),
        pytest.param({"a": member(network="none")}, "its network is the pod's", id="member's network"),
        pytest.param({"a": member(hostname="x")}, "its hostname is the pod's", id="member's hostname"),
        pytest.param({"share": "net,foo"}, "'foo' cannot be shared", id="share"),
        pytest.param({"share": "ipc", "ports": [80]}, "need a shared network", id="ports without network"),
        pytest.param({"network": "host", "ports": [80]}, "cannot be published", id="ports of the host"),
        pytest.param({"exit_policy": "never"}, "unknown exit_policy 'never'", id="exit policy"),
        pytest.param({"restart": "sometimes"}, "unknown restart policy", id="restart"),
        pytest.param({"a": member(init=True, needs="b"), "b": member()}, "starts after all init", id="init needs"),
        pytest.param({"a": member(init=True, restart="always")}, "it has to end", id="init that is restarted"),
        pytest.param({"memory": "1"}, "nothing starts in less", id="memory"),
        pytest.param({"add_hosts": ["x"]}, "is not NAME:ADDRESS", id="host"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        build_pod_spec(**options)
    assert isinstance(caught.value, InvalidSpecError) or "invalid name" in told
    assert told in str(caught.value)


def test_members_that_share_no_network_may_publish_the_same_port() -> None:
    pod = build_pod_spec(share="ipc,uts", a=member(ports=[80], network="none"), b=member(ports=[80]))
    assert len(pod.members) == 2
