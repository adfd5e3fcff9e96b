"""What the states of members add up to, and what a member has from its pod."""

from __future__ import annotations

import pytest

from pytest_pods.engine.services.pods import build_effective, judge_status
from pytest_pods.engine.specs.mounts import TmpfsMount
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.specs.pods import build_pod_spec
from pytest_pods.engine.specs.restart import RestartPolicy


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        ([], "created"),
        (["created"], "created"),
        (["running", "running"], "running"),
        (["running", "paused"], "running"),
        (["paused", "paused"], "paused"),
        (["running", "exited"], "degraded"),
        (["created", "running"], "degraded"),
        (["exited", "exited"], "exited"),
    ],
)
def test_states_of_members_add_up(states: list[str], wanted: str) -> None:
    assert judge_status(states) == wanted


def test_member_has_from_its_pod_what_it_does_not_say_itself() -> None:
    pod = build_pod_spec(
        network="none", restart="always", timeout=7, tmpfs=["/a", "/b"],
        plain={"image": "x"},
        own={"image": "x", "restart": "no", "timeout": 3, "tmpfs": ["/b:size=1m"]},
        first={"image": "x", "init": True},
    )
    plain, own, first = (build_effective(pod, one, pod_name="p").container for one in pod.members)
    assert (plain.name, plain.network, plain.timeout) == ("p-plain", NetworkMode.NONE, 7.0)
    assert plain.restart == RestartPolicy("always")
    assert (own.restart, own.timeout) == (RestartPolicy("no"), 3.0)
    assert own.mounts == (TmpfsMount("/a"), TmpfsMount("/b", 1 << 20))
    assert first.restart is None
