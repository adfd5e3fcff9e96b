"""Starting a command in a running container, the fast way through the native helper or runc's own way."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SystemCallError, WrongStateError
from pytest_pods.engine.host.pipes import MemoryFile
from pytest_pods.engine.oci.runtime_configuration_reading import parse_runtime_configuration
from pytest_pods.engine.runtime import enter, exec_process, runc
from pytest_pods.engine.runtime.users import ResolvedUser, resolve_user
from pytest_pods.engine.services.creation import HostFacts, read_in_sandbox
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_pods.engine.host.channel import SandboxProcess
    from pytest_pods.engine.oci.runtime_spec import ProcessConfiguration, RuntimeConfiguration
    from pytest_pods.engine.records import ContainerRecord, ContainerState
    from pytest_pods.engine.services.execution import ExecRequest, Starter
    from pytest_pods.engine.services.sessions import Session

_MOST_KNOWN = 64


@frozen
class _Known:
    configuration: RuntimeConfiguration
    seccomp: bytes | None
    groups: tuple[Path, ...]


class ExecService:
    """Executions in the containers of one session."""

    def __init__(
        self, session: Session, *, facts: HostFacts, state: Callable[[ContainerRecord], ContainerState]
    ) -> None:
        self._session = session
        self._facts = facts
        self._state = state
        self._own_groups: str | None = None
        self._known: dict[tuple[str, int], _Known] = {}

    def find_starter(self, record: ContainerRecord, request: ExecRequest, *, through_runtime: bool) -> Starter:
        """What starts the command once it is given descriptors. Raises WrongStateError, InvalidSpecError."""
        self._session.start()
        state = self._state(record)
        if state.status != "running" or state.container_pid is None:
            raise WrongStateError(
                f"container {record.name} does not run (it is {state.status})",
                hint="start it first" if state.status != "paused" else "unpause it first",
            )
        known = self._know(record, state.container_pid)
        process = self._build_process(record, request, known.configuration, state.container_pid)
        lacks_filter = known.configuration.linux.seccomp is not None and known.seccomp is None
        if through_runtime or lacks_filter:
            return functools.partial(self._start_through_runtime, record, process)
        return functools.partial(self._start_helper, record, known, process, state.container_pid)

    def _know(self, record: ContainerRecord, pid: int) -> _Known:
        """What does not change while one start of a container runs; reading it takes longer than the execution."""
        known = self._known.get((record.id, pid))
        if known is None:
            path = self._session.layout.container(record.id).config_file
            configuration = parse_runtime_configuration(path.read_bytes(), where=str(path))
            known = _Known(configuration, self._seccomp(configuration), self._find_groups(pid))
            while len(self._known) >= _MOST_KNOWN:
                # The oldest, which is most likely a container that has ended. Another thread may be faster.
                self._known.pop(next(iter([*self._known])), None)
            self._known[record.id, pid] = known
        return known

    def _find_groups(self, pid: int) -> tuple[Path, ...]:
        sandbox = self._session.start()
        if self._own_groups is None:
            self._own_groups = read_in_sandbox(sandbox, "/proc/self/cgroup").decode()
        member = read_in_sandbox(sandbox, f"/proc/{pid}/cgroup").decode()
        return self._session.cgroups.find_exec_groups(member=member, outside=self._own_groups)

    def _build_process(
        self, record: ContainerRecord, request: ExecRequest, configuration: RuntimeConfiguration, pid: int
    ) -> ProcessConfiguration:
        user = None if request.user is None else self._resolve_user(record, request.user, pid)
        return exec_process.build_exec_process(
            configuration,
            exec_process.ExecRequest(
                command=request.argv,
                user=user,
                workdir=request.workdir,
                env=request.env or {},
                terminal=request.tty,
                privileged=request.privileged,
            ),
            available_capabilities=self._facts.capabilities,
            single_id=self._session.record.single_id,
        )

    def _resolve_user(self, record: ContainerRecord, user: str, pid: int) -> ResolvedUser:
        texts = []
        for path in ("/etc/passwd", "/etc/group"):
            try:
                texts.append(read_in_sandbox(self._session.start(), path, root=_root(pid)))
            except SystemCallError:
                texts.append(b"")
        where = f"container {record.name}"
        return self._facts.ids.restrict(
            resolve_user(user, passwd=texts[0], group=texts[1], where=where), where=f"the command in {where}"
        )

    def _seccomp(self, configuration: RuntimeConfiguration) -> bytes | None:
        if configuration.linux.seccomp is None:
            return None
        from pytest_pods.engine.runtime.seccomp_filter import ensure_filter

        return ensure_filter(configuration.linux.seccomp, directory=self._session.store.filters_dir)

    def _start_helper(
        self,
        record: ContainerRecord,
        known: _Known,
        process: ProcessConfiguration,
        pid: int,
        descriptors: Mapping[int, int],
    ) -> SandboxProcess:
        orders = enter.build_enter_orders(
            known.configuration, process, container_pid=pid, cgroups=known.groups, seccomp=known.seccomp
        )
        with MemoryFile(orders) as given:
            return self._session.start().spawn_helper(
                ["enter"],
                descriptors={**descriptors, enter.ORDERS_DESCRIPTOR: given},
                host_network=record.spec.network is NetworkMode.HOST,
                new_session=process.terminal,
                pidfd=True,
            )

    def _start_through_runtime(
        self, record: ContainerRecord, process: ProcessConfiguration, descriptors: Mapping[int, int]
    ) -> SandboxProcess:
        runtime = runc.Runtime(self._facts.runtime, self._session.layout.runtime_root)
        layout = self._session.layout.container(record.id)
        layout.exec_dir.mkdir(exist_ok=True)
        process_file = layout.exec_session(os.urandom(8).hex())
        process_file.write_text(json.dumps(process.to_document()))
        # The file stays until the container goes: runc reads it at a moment that nobody tells.
        return self._session.start().spawn(
            runc.build_exec_argv(runtime, record.id, process_file=process_file),
            env={"PATH": os.defpath},
            descriptors=descriptors,
            host_network=record.spec.network is NetworkMode.HOST,
            pidfd=True,
        )


def _root(pid: int) -> Path:
    return Path(f"/proc/{pid}/root")
