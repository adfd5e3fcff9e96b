"""What a container, or a whole pod, uses of the machine: values of one moment, and what two moments say together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from pytest_pods.engine.errors import InvalidInputError
from pytest_pods.frozen import frozen


@frozen
class InterfaceCounters:
    """What has gone through a network interface since it was made."""

    received_bytes: int
    received_packets: int
    sent_bytes: int
    sent_packets: int


@frozen
class Stats:
    """What a container, or a pod as a whole, uses at one moment and has used since its start; sizes are bytes.

    `cpu_ns` is the processor time of all its processes, also of those that have ended. `memory` is counted as Docker
    and Podman count it: without file cache that the kernel could drop at once (inactive_file), which
    `memory_with_cache` includes. `memory_limit` is the lowest that holds for it, its own or its pod's, or what the
    machine has. `memory_peak` is the most that `memory_with_cache` has been, not less than the few megabytes in which
    runc starts a container; None where the kernel does not keep it: on cgroup v2 before Linux 5.19, and without a
    control group. `pids` counts threads, as `pids_limit` does; None is no limit. `interfaces` are those of its network
    namespace while it runs, without loopback; none with network="host", since those are the machine's. `block_read` and
    `block_written` are what went from and to disks, None where nothing counts it: on cgroup v2 where the io controller
    is not handed on, and on v1 with many kernels; what the cache writes later no kernel counts there.

    `estimated` names those of `cpu_ns`, `memory` and `pids` that no control group counts (for an ordinary user on
    cgroup v1 all three). They are sums over the processes that there are at the moment: the time of processes that
    nobody in the container has waited for is missing, memory is the share of what is mapped, without file cache.

    After a container's end its group tells what it has used altogether, until it is started again or removed.
    """

    id: str
    name: str
    running: bool
    taken_at: datetime
    monotonic_ns: int
    """The moment by the machine's monotonic clock, for intervals."""
    running_s: float
    """How long it has run since its last start."""
    cpu_ns: int
    memory: int
    memory_with_cache: int | None
    memory_limit: int
    memory_peak: int | None
    pids: int
    pids_limit: int | None
    interfaces: Mapping[str, InterfaceCounters]
    block_read: int | None
    block_written: int | None
    estimated: frozenset[str] = frozenset()

    @property
    def cpu_s(self) -> float:
        """The processor time in seconds."""
        return self.cpu_ns / 1e9

    @property
    def average_cpu_percent(self) -> float:
        """Over the time that it has run; 100 is one processor, busy all the time."""
        return self.cpu_s / self.running_s * 100 if self.running_s > 0 else 0.0

    @property
    def memory_percent(self) -> float:
        """Of the limit."""
        return self.memory / self.memory_limit * 100 if self.memory_limit else 0.0

    @property
    def received_bytes(self) -> int:
        """By all interfaces."""
        return sum(one.received_bytes for one in self.interfaces.values())

    @property
    def sent_bytes(self) -> int:
        """By all interfaces."""
        return sum(one.sent_bytes for one in self.interfaces.values())

    def cpu_percent_since(self, earlier: Stats) -> float:
        """Over the time between the two; 100 is one processor, busy all the time.

        If it was started again in between, only its time since then counts. Raises InvalidInputError for stats of
        something else, or of a later moment.
        """
        if earlier.id != self.id:
            raise InvalidInputError(f"these are stats of {self.name}, and what came before is of {earlier.name}")
        elapsed_ns = self.monotonic_ns - earlier.monotonic_ns
        if elapsed_ns < 0:
            raise InvalidInputError(f"the stats of {self.name} to compare with are later ones", hint="swap the two")
        if elapsed_ns == 0:
            return 0.0
        began = earlier.cpu_ns if earlier.cpu_ns <= self.cpu_ns else 0
        return (self.cpu_ns - began) / elapsed_ns * 100


@frozen
class PodStats(Mapping[str, Stats]):
    """A mapping of a pod's members to their stats, without those of which nothing is counted: never started, or ended
    without a control group.

    `total` is the pod's own count, not a sum, where it has a control group: its `memory_peak` is the most that all
    members had at one time, and what members that have gone had used is in it. Members that share the pod's network
    have the same `interfaces`, which count once in `total`; where each has its own they are named MEMBER:INTERFACE.
    """

    members: Mapping[str, Stats]
    total: Stats

    def __getitem__(self, member: str) -> Stats:
        return self.members[member]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)
