from __future__ import annotations

import pytest

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.oci.runtime_spec import (
    Capabilities,
    LinuxConfiguration,
    Namespace,
    ProcessConfiguration,
    ProcessUser,
    ResourceLimit,
    RuntimeConfiguration,
)
from pytest_pods.engine.runtime.capabilities import build_capability_sets
from pytest_pods.engine.runtime.exec_process import ExecRequest, build_exec_process
from pytest_pods.engine.runtime.users import ResolvedUser

ALL = frozenset({"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN"})
BOUNDING = frozenset({"CAP_CHOWN", "CAP_KILL"})
CONTAINER = RuntimeConfiguration(
    process=ProcessConfiguration(
        args=("serve",),
        cwd="/srv",
        env=(("PATH", "/bin"), ("HOME", "/home/a")),
        user=ProcessUser(70, 71, (71, 90), 0o22),
        capabilities=build_capability_sets(BOUNDING, uid=70, asked=["CAP_KILL"]),
        limits=(ResourceLimit("RLIMIT_NOFILE", 10, 10),),
        no_new_privileges=True,
        oom_score=100,
    ),
    root="/merged",
    linux=LinuxConfiguration(namespaces=(Namespace("pid"), Namespace("mount"))),
)


def _build(**options: object) -> ProcessConfiguration:
    return build_exec_process(
        CONTAINER,
        ExecRequest(("id",), **options),  # type: ignore[arg-type]
        available_capabilities=ALL,
    )


def test_command_gets_what_the_container_has() -> None:
    process = _build()
    assert process.args == ("id",)
    for name in ("cwd", "env", "user", "capabilities", "limits", "no_new_privileges", "oom_score"):
        assert getattr(process, name) == getattr(CONTAINER.process, name)


def test_another_user_has_its_own_home_and_only_roots_capabilities() -> None:
    root = _build(user=ResolvedUser(0, 0, (), "/root", "root"))
    held = tuple(sorted(BOUNDING))
    assert root.user == ProcessUser(0, 0, (0,), 0o22)
    assert dict(root.env)["HOME"] == "/root"
    assert root.capabilities == Capabilities(held, held, (), held, ())
    other = _build(user=ResolvedUser(80, 80, (), "/", ""))
    assert other.capabilities == Capabilities(bounding=held)


def test_privileged_command_has_everything() -> None:
    held = tuple(sorted(ALL))
    assert _build(privileged=True).capabilities == Capabilities(held, held, held, held, held)
    root = _build(privileged=True, user=ResolvedUser())
    assert root.capabilities == Capabilities(held, held, (), held, ())


def test_what_was_asked_for_wins() -> None:
    process = _build(workdir="/tmp", env={"HOME": "/x", "NEW": "1"}, terminal=True)
    assert process.cwd == "/tmp"
    assert dict(process.env) == {"PATH": "/bin", "HOME": "/x", "NEW": "1", "TERM": "xterm"}
    assert process.terminal


@pytest.mark.parametrize("command", [(), ("",)])
def test_no_command_is_refused(command: tuple[str, ...]) -> None:
    with pytest.raises(InvalidSpecError, match="no command"):
        build_exec_process(CONTAINER, ExecRequest(command), available_capabilities=ALL)
