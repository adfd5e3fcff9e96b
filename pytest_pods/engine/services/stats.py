"""What containers and pods use: their control groups' counts, or what their processes say where no group counts it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ContainerNotFoundError, SystemCallError, UnsupportedHostError, WrongStateError
from pytest_pods.engine.network.counters import parse_interface_counters
from pytest_pods.engine.runtime.group_usage import GroupUsage, read_group_usage
from pytest_pods.engine.services.creation import read_in_sandbox
from pytest_pods.engine.services.placement import find_cgroup
from pytest_pods.engine.services.processes import read_processes, read_proportional_memory
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.engine.stats import InterfaceCounters, PodStats, Stats
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.pod_records import PodRecord
    from pytest_pods.engine.records import ContainerRecord, ContainerState
    from pytest_pods.engine.services.sessions import Session

_UNCOUNTED = GroupUsage(cpu_ns=None, memory=None, pids=None, pids_limit=None, blocks=None)


@frozen
class Sums:
    """Over processes, or members: what stands in for the counts that no group makes."""

    cpu_ns: int = 0
    memory: int = 0
    pids: int = 0


@frozen
class Subject:
    """Whose stats they are, when, and what no control group knows of it."""

    id: str
    name: str
    running: bool
    running_s: float
    taken_at: datetime
    monotonic_ns: int
    interfaces: Mapping[str, InterfaceCounters]


class StatsReader:
    """Of the containers and pods of one session. `find_state` raises ContainerNotFoundError for one that is gone."""

    def __init__(self, session: Session, *, find_state: Callable[[ContainerRecord], ContainerState]) -> None:
        self._session = session
        self._find_state = find_state

    def read(self, record: ContainerRecord) -> Stats:
        """Raises WrongStateError before the first start, and after the end where nothing has counted."""
        sandbox = self._session.start()
        state = self._find_state(record)
        if state.status == "created":
            raise WrongStateError(f"container {record.name} is not started: it uses nothing", hint="start it first")
        taken_at, monotonic_ns = datetime.now(UTC), time.monotonic_ns()
        usage = self._read_group(find_cgroup(self._session, record))
        if usage is None:
            state = self._find_state(record)
            if not state.running:
                raise WrongStateError(
                    f"container {record.name} has ended, and no control group has counted what it used",
                    hint="ask while it runs; pytest-pods doctor tells why there are no control groups",
                )
        subject = Subject(
            id=record.id,
            name=record.name,
            running=state.running,
            running_s=_find_duration(state, taken_at),
            taken_at=taken_at,
            monotonic_ns=monotonic_ns,
            interfaces=_read_interfaces(sandbox, record, state),
        )
        return build_stats(
            subject,
            usage or _UNCOUNTED,
            machine_memory=_find_machine_memory(),
            sum_up=lambda: _sum_processes(sandbox, record, state) if state.running else Sums(),
        )

    def read_peak(self, record: ContainerRecord) -> int | None:
        """The most memory that the container has had since its last start; None where nothing has kept it, and for one
        that was removed."""
        usage = self._read_group(find_cgroup(self._session, record))
        return None if usage is None or usage.memory is None else usage.memory.peak

    def require_peak(self, record: ContainerRecord) -> None:
        """Raises UnsupportedHostError where nothing keeps the most memory that the container, which is there, has."""
        if self.read_peak(record) is None:
            raise UnsupportedHostError(
                f"container {record.name}: max_memory cannot be looked after here: nothing keeps the most memory that a"
                f" control group has had (kernel {os.uname().release})",
                hint="cgroup v2 does since Linux 5.19 (memory.peak), where the memory controller is handed on",
            )

    def read_pod(self, record: PodRecord, members: Mapping[str, ContainerRecord]) -> PodStats:
        """Of the members of which there is something to tell, and of all together."""
        found: dict[str, Stats] = {}
        for name, member in members.items():
            with suppress(WrongStateError, ContainerNotFoundError):
                found[name] = self.read(member)
        subject = Subject(
            id=record.id,
            name=record.name,
            running=any(one.running for one in found.values()),
            running_s=max((one.running_s for one in found.values()), default=0.0),
            taken_at=datetime.now(UTC),
            monotonic_ns=time.monotonic_ns(),
            interfaces=merge_interfaces(found, shared="net" in record.shares),
        )
        total = build_stats(
            subject,
            self._read_group(self._session.cgroups.pod(record.id)) or _UNCOUNTED,
            machine_memory=_find_machine_memory(),
            sum_up=lambda: _sum_members(found.values()),
        )
        return PodStats(found, total)

    def _read_group(self, path: str | None) -> GroupUsage | None:
        return None if path is None else read_group_usage(self._session.cgroups.layout, path)


def build_stats(subject: Subject, usage: GroupUsage, *, machine_memory: int, sum_up: Callable[[], Sums]) -> Stats:
    """The counts of a group; for those that it has not, `sum_up` is asked."""
    memory, blocks = usage.memory, usage.blocks
    counts = (("cpu_ns", usage.cpu_ns), ("memory", memory), ("pids", usage.pids))
    estimated = frozenset(name for name, count in counts if count is None)
    sums = sum_up() if estimated else Sums()
    limit = None if memory is None else memory.limit
    return Stats(
        id=subject.id,
        name=subject.name,
        running=subject.running,
        taken_at=subject.taken_at,
        monotonic_ns=subject.monotonic_ns,
        running_s=subject.running_s,
        cpu_ns=sums.cpu_ns if usage.cpu_ns is None else usage.cpu_ns,
        memory=sums.memory if memory is None else memory.used,
        memory_with_cache=None if memory is None else memory.with_cache,
        memory_limit=machine_memory if limit is None else min(limit, machine_memory),
        memory_peak=None if memory is None else memory.peak,
        pids=sums.pids if usage.pids is None else usage.pids,
        pids_limit=usage.pids_limit,
        interfaces=subject.interfaces,
        block_read=None if blocks is None else blocks.read,
        block_written=None if blocks is None else blocks.written,
        estimated=estimated,
    )


def merge_interfaces(members: Mapping[str, Stats], *, shared: bool) -> dict[str, InterfaceCounters]:
    """The interfaces of a whole pod, each once. Pure."""
    if shared:
        # An ended member tells none.
        return dict(next((one.interfaces for one in members.values() if one.interfaces), {}))
    return {
        f"{member}:{name}": counters for member, one in members.items() for name, counters in one.interfaces.items()
    }


def _sum_members(members: Iterable[Stats]) -> Sums:
    found = [*members]
    return Sums(sum(one.cpu_ns for one in found), sum(one.memory for one in found), sum(one.pids for one in found))


def _sum_processes(sandbox: Sandbox, record: ContainerRecord, state: ContainerState) -> Sums:
    cpu_ns = memory = threads = 0
    for pid, process in read_processes(sandbox, record.id, container_pid=state.container_pid):
        cpu_ns += process.cpu_ns + process.waited_cpu_ns
        share = read_proportional_memory(sandbox, pid)
        memory += process.memory if share is None else share
        threads += process.threads
    return Sums(cpu_ns, memory, threads)


def _read_interfaces(
    sandbox: Sandbox, record: ContainerRecord, state: ContainerState
) -> Mapping[str, InterfaceCounters]:
    if record.spec.network is NetworkMode.HOST or not state.running or state.container_pid is None:
        return {}
    try:
        text = read_in_sandbox(sandbox, f"/proc/{state.container_pid}/net/dev")
    except (SystemCallError, OSError):
        # It ended meanwhile.
        return {}
    return parse_interface_counters(text.decode("utf-8", "replace"))


def _find_duration(state: ContainerState, now: datetime) -> float:
    if state.started_at is None:
        return 0.0
    return max(0.0, ((state.finished_at or now) - state.started_at).total_seconds())


def _find_machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
