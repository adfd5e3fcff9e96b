"""What `stats` and `pod stats` show: containers looked at again and again, as rows and as documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_pods.cli.formats import format_binary_size, format_processor_time, format_size
from pytest_pods.cli.options import UsageError
from pytest_pods.engine.errors import NotFoundError, SandboxLostError, WrongStateError
from pytest_pods.engine.specs.networks import NetworkMode
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.pod import Pod
    from pytest_pods.engine.records import ContainerRecord
    from pytest_pods.engine.stats import Stats

_LONGEST_INTERVAL_S = 86400.0
_NOTHING = "--"
"""What stands for a value that there is not."""
_PAIR_OF_NOTHING = f"{_NOTHING} / {_NOTHING}"
_NOTHING_NOW = {
    **dict.fromkeys(("CPUPerc", "MemPerc", "PIDS"), _NOTHING),
    **dict.fromkeys(("MemUsage", "MemUsageBytes", "NetIO"), _PAIR_OF_NOTHING),
}
_NOTHING_EVER = {
    **_NOTHING_NOW,
    **dict.fromkeys(("MemPeak", "PIDSLimit", "UpTime", "AVGCPU"), _NOTHING),
    "BlockIO": _PAIR_OF_NOTHING,
}


@frozen
class SeenStats:
    """What a container used when it was looked at; `stats` is None where there is nothing to tell."""

    record: ContainerRecord
    stats: Stats | None
    cpu_percent: float


class Sampler:
    """Looks at containers, and remembers what it saw for the next time."""

    def __init__(self) -> None:
        self._before: dict[str, Stats] = {}

    def look(self, containers: Iterable[Container]) -> list[SeenStats]:
        """One that goes meanwhile is passed over."""
        found = []
        for container in containers:
            try:
                found.append(self._look_at(container))
            except (NotFoundError, SandboxLostError):
                continue
        self._before = {one.record.id: one.stats for one in found if one.stats is not None and one.stats.running}
        return found

    def _look_at(self, container: Container) -> SeenStats:
        try:
            stats = container.stats()
        except WrongStateError:
            return SeenStats(container.record, None, 0.0)
        before = self._before.get(stats.id)
        # At the first look, which waits for nothing, it is that of its whole life.
        percent = stats.average_cpu_percent if before is None else stats.cpu_percent_since(before)
        return SeenStats(container.record, stats, percent)


def show_stats(
    parsed: Parsed,
    find: Callable[[], Sequence[Container] | None],
    *,
    columns: Mapping[str, str],
    build_document: Callable[[SeenStats], dict[str, Any]],
) -> int:
    """Shows what `find` finds, again and again unless `--no-stream` is given, until it answers None."""
    from pytest_pods.cli.live import show_repeatedly
    from pytest_pods.cli.templates import print_listing

    sampler = Sampler()
    interval_s = parse_interval(parsed.find("--interval"))
    once, truncate = parsed.flag("--no-stream"), not parsed.flag("--no-trunc")

    def print_block() -> bool:
        containers = find()
        if containers is None:
            return False
        seen = sampler.look(containers)
        rows = [build_row(one, truncate=truncate) for one in seen]
        print_listing(parsed, columns, rows, documents=lambda: [build_document(one) for one in seen])
        return not once

    show_repeatedly(print_block, interval_s=interval_s, redraw=not once and not parsed.flag("--no-reset"))
    return 0


def runs(container: Container) -> bool:
    """Whether it is still there, and runs."""
    try:
        return container.running
    except (NotFoundError, SandboxLostError):
        return False


def exists(pod: Pod) -> bool:
    """Whether it is still there, in whatever state."""
    try:
        return bool(pod.status)
    except (NotFoundError, SandboxLostError):
        return False


def refuse_all_with_names(parsed: Parsed, what: str) -> None:
    """Raises UsageError."""
    if parsed.operands and parsed.flag("--all"):
        raise UsageError(f"--all shows every {what}: it does not go with names")


def parse_interval(text: str | None) -> float:
    """Seconds. Raises UsageError."""
    try:
        seconds = 5.0 if text is None else float(text)
    except ValueError:
        seconds = 0.0
    # No number is below or above what is none, such as nan.
    if not 0 < seconds <= _LONGEST_INTERVAL_S:
        raise UsageError(f"option --interval: {text!r} is no number of seconds")
    return seconds


def build_row(seen: SeenStats, *, truncate: bool) -> dict[str, str]:
    """What a table or a template shows, in the names of Podman and Docker; those about the pod, the peak and the limit
    of processes are ours."""
    record, stats, membership = seen.record, seen.stats, seen.record.membership
    shown_id = record.id[:12] if truncate else record.id
    pod_id = "" if membership is None else membership.pod_id
    values = _NOTHING_EVER if stats is None else _build_values(seen, stats)
    return {
        "ID": shown_id,
        "CID": shown_id,
        "Container": shown_id,
        "ContainerID": record.id,
        "Name": record.name,
        "Pod": pod_id[:12] if truncate else pod_id,
        "PodName": "" if membership is None else membership.pod_name,
        "Member": "" if membership is None else membership.member,
        **values,
        "CPU": values["CPUPerc"],
        "Mem": values["MemPerc"],
        "PIDs": values["PIDS"],
    }


def _build_values(seen: SeenStats, stats: Stats) -> dict[str, str]:
    # The interfaces of the host are everybody's.
    counted = seen.record.spec.network is not NetworkMode.HOST
    values = {
        "CPUPerc": f"{seen.cpu_percent:.2f}%",
        "MemUsage": _pair(stats.memory, stats.memory_limit),
        "MemUsageBytes": _pair(stats.memory, stats.memory_limit, format_binary_size),
        "MemPerc": f"{stats.memory_percent:.2f}%",
        "MemPeak": _one(stats.memory_peak),
        "NetIO": _pair(stats.received_bytes, stats.sent_bytes) if counted else _PAIR_OF_NOTHING,
        "BlockIO": _pair(stats.block_read, stats.block_written),
        "PIDS": str(stats.pids),
        "PIDSLimit": _NOTHING if stats.pids_limit is None else str(stats.pids_limit),
        "UpTime": format_processor_time(stats.cpu_s),
        "AVGCPU": f"{stats.average_cpu_percent:.2f}%",
    }
    return values if stats.running else values | _NOTHING_NOW


def build_document(seen: SeenStats) -> dict[str, Any]:
    """What programs get of a container: the texts of Podman's document, and the numbers behind them."""
    row = build_row(seen, truncate=True)
    return {
        "id": row["ID"],
        "name": row["Name"],
        "cpu_time": row["UpTime"],
        "cpu_percent": row["CPUPerc"],
        "avg_cpu": row["AVGCPU"],
        "mem_usage": row["MemUsage"],
        "mem_percent": row["MemPerc"],
        "net_io": row["NetIO"],
        "block_io": row["BlockIO"],
        "pids": row["PIDS"],
        "stats": build_numbers(seen.stats),
    }


def build_pod_document(seen: SeenStats) -> dict[str, Any]:
    """The same of a member of a pod."""
    row = build_row(seen, truncate=True)
    names = ("Pod", "PodName", "CID", "Name", "Member", "CPU", "MemUsage", "MemUsageBytes", "Mem", "NetIO", "BlockIO")
    return {**{name: row[name] for name in (*names, "PIDS")}, "Stats": build_numbers(seen.stats)}


def build_numbers(stats: Stats | None) -> dict[str, Any] | None:
    """The value itself, for programs; None where there is none."""
    if stats is None:
        return None
    document = asdict(stats)
    document["taken_at"] = stats.taken_at.isoformat()
    document["estimated"] = sorted(stats.estimated)
    return document


def _one(size: int | None, format: Callable[[float], str] = format_size) -> str:
    return _NOTHING if size is None else format(size)


def _pair(left: int | None, right: int | None, format: Callable[[float], str] = format_size) -> str:
    return f"{_one(left, format)} / {_one(right, format)}"
