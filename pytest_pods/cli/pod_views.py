"""Pods as rows for people and documents for programs, and what the verbs of `pod` have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_pods.cli.formats import format_age, format_labels
from pytest_pods.cli.listing import find_networks
from pytest_pods.cli.options import UsageError
from pytest_pods.engine.errors import NotFoundError, PodNotFoundError, SandboxLostError
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.pod import Pod
    from pytest_pods.engine.pod_records import PodRecord
    from pytest_pods.engine.runtime.logs import LogLine

_KEYS = ("id", "name", "status", "label", "session", "ctr-names", "ctr-ids", "ctr-number")


def act_on_pods(parsed: Parsed, context: Context, act: Callable[[Pod], None], *, ignore: bool = False) -> int:
    """Does something with the pods that were named, or all, past the faults; prints the name of each.

    With `ignore` one that is not there is no fault.
    """
    from pytest_pods.cli.context import get_operands
    from pytest_pods.cli.output import print_line

    def act_on(name: str) -> None:
        try:
            pod = context.get_pod(name)[1]
        except PodNotFoundError:
            if ignore:
                return
            raise
        act(pod)
        print_line(name)

    def known() -> list[str]:
        return [pod.id for _, pod in context.find_pods()]

    names = get_operands(parsed.operands, all_of=parsed.flag("--all"), known=known, what="POD")
    return context.for_each(names, act_on)


@frozen
class SeenPod:
    """A pod as it was when it was looked at; `members` are name, ID and state, `networks` names, or what stands for
    one."""

    record: PodRecord
    status: str
    members: tuple[tuple[str, str, str], ...]
    kept: bool
    networks: tuple[str, ...]


def read_pods(context: Context) -> list[SeenPod]:
    """All pods of the live sessions; what goes away meanwhile is passed over."""
    found = []
    for engine in context.live_engines():
        try:
            kept = engine.session_record.kind.leased
            pods = engine.pods()
        except SandboxLostError:
            continue
        for pod in pods:
            try:
                members = tuple((one.name, one.id, one.status) for one in pod.containers.values())
                found.append(SeenPod(pod.record, pod.status, members, kept, find_networks(pod.record.network, pod)))
            except (NotFoundError, SandboxLostError):
                continue
    return found


def parse_pod_filters(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Raises UsageError."""
    filters = []
    for text in texts:
        key, separator, value = text.partition("=")
        if key not in _KEYS or not separator:
            raise UsageError(f"--filter {text!r} is not known", hint=f"KEY=VALUE with one of {', '.join(_KEYS)}")
        filters.append((key, value))
    return filters


def matches(seen: SeenPod, filters: Sequence[tuple[str, str]]) -> bool:
    """Of several values of one key one has to fit, and each key has to."""
    return all(any(_fits(seen, key, value) for key, value in filters if key == wanted) for wanted, _ in filters)


def _fits(seen: SeenPod, key: str, value: str) -> bool:
    record = seen.record
    if key == "label":
        name, separator, text = value.partition("=")
        return name in record.labels and (not separator or record.labels[name] == text)
    if key == "ctr-names":
        return any(value in name for name, _, _ in seen.members)
    if key == "ctr-ids":
        return any(member_id.startswith(value) for _, member_id, _ in seen.members)
    if key == "ctr-number":
        return str(len(seen.members)) == value
    if key == "id":
        return record.id.startswith(value)
    if key == "name":
        return value in record.name
    return seen.status == value.lower() if key == "status" else record.session_id == value


def build_pod_row(seen: SeenPod, now: datetime, *, truncate: bool) -> dict[str, str]:
    """What a table or a template shows, in Podman's names."""
    record = seen.record
    return {
        "ID": record.id[:12] if truncate else record.id,
        "Name": record.name,
        "Status": seen.status.capitalize(),
        "Created": format_age(datetime.fromtimestamp(record.created, UTC), now),
        "NumberOfContainers": str(len(seen.members)),
        "ContainerNames": ",".join(name for name, _, _ in seen.members),
        "ContainerIds": ",".join(one[:12] if truncate else one for _, one, _ in seen.members),
        "ContainerStatuses": ",".join(status for _, _, status in seen.members),
        "Labels": format_labels(record.labels),
        "Networks": ",".join(seen.networks),
        "Session": record.session_id,
    }


def build_pod_document(seen: SeenPod) -> dict[str, Any]:
    """What programs get, in Podman's names; `Session` is ours."""
    record = seen.record
    return {
        "Id": record.id,
        "Name": record.name,
        "Status": seen.status.capitalize(),
        "Created": datetime.fromtimestamp(record.created, UTC).isoformat(),
        "Labels": dict(record.labels),
        "Networks": list(seen.networks),
        "Containers": [{"Id": one, "Names": name, "Status": status} for name, one, status in seen.members],
        "Session": record.session_id,
    }


def get_member(pod: Pod, name: str) -> Container:
    """A container by what its pod calls it, its name, ID or the ID's beginning. Raises ContainerNotFoundError."""
    from pytest_pods.engine.errors import ContainerNotFoundError

    members = pod.containers
    for member, container in members.items():
        if name in (member, container.name, container.id) or (len(name) >= 2 and container.id.startswith(name)):
            return container
    raise ContainerNotFoundError(
        f"pod {pod.name} has no container {name!r}", hint=f"it has: {', '.join(members) or 'none'}"
    )


def follow_lines(members: Mapping[str, Container], *, tail: int | None) -> Iterator[tuple[str, LogLine]]:
    """The lines of all members as they come, until all have ended."""
    import queue
    import threading

    lines: queue.SimpleQueue[tuple[str, LogLine] | None] = queue.SimpleQueue()

    def read(name: str, container: Container) -> None:
        try:
            for line in container.log_lines(follow=True, tail=tail):
                lines.put((name, line))
        except (NotFoundError, SandboxLostError):
            # Removed while it was followed.
            pass
        finally:
            lines.put(None)

    for name, container in members.items():
        threading.Thread(target=read, args=(name, container), name="pods-logs", daemon=True).start()
    left = len(members)
    while left:
        found = lines.get()
        if found is None:
            left -= 1
        else:
            yield found


def print_log_line(prefix: str, line: LogLine, *, stamped: bool, flush: bool) -> None:
    """A line with what stands in front of it, on the stream that it came from."""
    stream = sys.stdout if line.stream == "stdout" else sys.stderr
    text = line.output if not prefix or line.output.endswith("\n") else f"{line.output}\n"
    stream.write(f"{prefix}{f'{line.timestamp} ' if stamped else ''}{text}")
    if flush:
        stream.flush()
