"""Limits and restart policies, as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs.container import build_container_spec
from pytest_pods.engine.specs.limits import Limits, Ulimit
from pytest_pods.engine.specs.restart import RestartPolicy, parse_restart


def test_limits_are_read_from_numbers_and_texts() -> None:
    spec = build_container_spec("x", memory="64m", memory_swap=-1, cpus="1.5", pids_limit="100", shm_size="1m")
    assert spec.limits == Limits(64 << 20, -1, 1.5, 100)
    assert spec.limits.names == ("memory", "memory_swap", "cpus", "pids_limit")
    assert spec.shm_size == 1 << 20


def test_no_limit_is_no_limit() -> None:
    assert not build_container_spec("x", pids_limit=-1).limits
    assert not build_container_spec("x").limits


def test_ulimits_are_read_from_texts_and_mappings() -> None:
    wanted = (Ulimit("nofile", 10, 20), Ulimit("core", 0, 0), Ulimit("nproc", -1, -1))
    assert build_container_spec("x", ulimits=["nofile=10:20", "core=0", "nproc=unlimited"]).ulimits == wanted
    assert build_container_spec("x", ulimits={"nofile": (10, 20), "core": 0, "nproc": -1}).ulimits == wanted
    assert wanted[0].kind == "RLIMIT_NOFILE"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param({"memory": "x"}, "invalid size 'x'", id="no size"),
        pytest.param({"memory": 64}, "nothing starts in less than 512k", id="forgotten unit"),
        pytest.param({"memory_swap": "64m"}, "memory_swap without memory", id="swap alone"),
        pytest.param({"memory": "64m", "memory_swap": "32m"}, "is less than memory", id="less swap than memory"),
        pytest.param({"cpus": 0}, "cpus has to be a number of processors", id="no processor"),
        pytest.param({"cpus": "many"}, "cpus has to be", id="cpus"),
        pytest.param({"pids_limit": -2}, "pids_limit has to be", id="pids"),
        pytest.param({"ulimits": ["nofiles=1"]}, "unknown limit 'nofiles'", id="ulimit"),
        pytest.param({"ulimits": ["nofile"]}, "is not NAME=SOFT", id="ulimit without value"),
        pytest.param({"ulimits": {"nofile": (3, 2)}}, "above the hard one", id="soft above hard"),
        pytest.param({"ulimits": {"nofile": "x"}}, "is not a number", id="ulimit that is no number"),
        pytest.param({"restart": "on-failure:x"}, "unknown restart policy", id="restart"),
        pytest.param({"restart": "always:3"}, "unknown restart policy", id="number behind always"),
        pytest.param({"restart": "always", "remove": True}, "contradict each other", id="removed and restarted"),
        pytest.param({"capture": True, "network": "host"}, "capture=True cannot be given", id="capture of the host"),
        pytest.param({"artifacts": ["data"]}, "artifacts has to be an absolute path", id="relative artifacts"),
        pytest.param({"artifacts": 3}, "artifacts has to be a list of paths", id="artifacts that are no paths"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        build_container_spec("x", **options)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "exit_code", "restarts", "wanted"),
    [
        pytest.param("no", 1, 0, False, id="no"),
        pytest.param("on-failure", 0, 0, False, id="success"),
        pytest.param("on-failure", 1, 99, True, id="failure"),
        pytest.param("on-failure:2", 1, 1, True, id="failure, once more"),
        pytest.param("on-failure:2", 1, 2, False, id="failure, too often"),
        pytest.param("always", 0, 99, True, id="always"),
        pytest.param("unless-stopped", 0, 99, True, id="unless stopped"),
    ],
)
def test_policy_decides_over_a_restart(text: str, exit_code: int, restarts: int, wanted: bool) -> None:
    policy = parse_restart("restart", text)
    assert isinstance(policy, RestartPolicy)
    assert str(policy) == text
    assert policy.wants(exit_code=exit_code, restarts=restarts) is wanted
