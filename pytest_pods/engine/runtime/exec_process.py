"""What a command that is executed in a running container gets: what its own process has, and what was asked. Pure."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.oci.runtime_spec import Capabilities, ProcessConfiguration, RuntimeConfiguration
from pytest_pods.engine.runtime.bundle import build_process_user
from pytest_pods.engine.runtime.capabilities import build_capability_sets
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_pods.engine.runtime.users import ResolvedUser


@frozen
class ExecRequest:
    """A command for a running container; None means: as the container's own process. `user` is resolved in the
    container's files."""

    command: tuple[str, ...]
    user: ResolvedUser | None = None
    workdir: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    terminal: bool = False
    privileged: bool = False


def build_exec_process(
    configuration: RuntimeConfiguration,
    request: ExecRequest,
    *,
    available_capabilities: frozenset[str],
    single_id: bool = False,
) -> ProcessConfiguration:
    """The process to execute, for `runc exec` and for the fast way alike. Raises InvalidSpecError without a command."""
    if not request.command or not request.command[0]:
        raise InvalidSpecError("no command to execute in the container")
    own = configuration.process
    user = own.user if request.user is None else build_process_user(request.user, single_id=single_id)
    return ProcessConfiguration(
        args=request.command,
        cwd=request.workdir or own.cwd,
        env=_build_environment(own, request),
        user=user,
        terminal=request.terminal,
        capabilities=_build_capabilities(own, user.uid, request.privileged, available_capabilities),
        limits=own.limits,
        no_new_privileges=own.no_new_privileges,
        oom_score=own.oom_score,
    )


def _build_environment(own: ProcessConfiguration, request: ExecRequest) -> tuple[tuple[str, str], ...]:
    merged = dict(own.env)
    if request.terminal:
        merged.setdefault("TERM", "xterm")
    if request.user is not None and request.user.uid != own.user.uid:
        merged["HOME"] = request.user.home
    merged.update(request.env)
    return tuple(merged.items())


def _build_capabilities(
    own: ProcessConfiguration, uid: int, privileged: bool, available: frozenset[str]
) -> Capabilities:
    if privileged:
        return build_capability_sets(available, uid=uid, asked=("ALL",))
    if uid == own.user.uid:
        return own.capabilities
    return build_capability_sets(frozenset(own.capabilities.bounding), uid=uid)
