"""Values in the words that Docker's users know: ages, sizes, ports, states. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.engine.health import Health
    from pytest_pods.engine.records import ContainerState, PublishedPort

_STEPS = (
    (60.0, 1.0, "second"),
    (3600.0, 60.0, "minute"),
    (86400.0, 3600.0, "hour"),
    (14 * 86400.0, 86400.0, "day"),
    (60 * 86400.0, 7 * 86400.0, "week"),
    (730 * 86400.0, 30 * 86400.0, "month"),
    (float("inf"), 365 * 86400.0, "year"),
)


def format_duration(seconds: float) -> str:
    """`3 minutes`, `About an hour`, `Less than a second`, in Docker's words."""
    if seconds < 1:
        return "Less than a second"
    for limit, unit, name in _STEPS:
        if seconds < limit:
            count = int(seconds / unit)
            if count == 1 and name in ("minute", "hour"):
                return f"About {'an' if name == 'hour' else 'a'} {name}"
            return f"{count} {name}{'s' if count != 1 else ''}"
    raise AssertionError("the last step has no limit")


def format_age(moment: datetime | None, now: datetime) -> str:
    """`3 minutes ago`; empty for no moment."""
    if moment is None:
        return ""
    return f"{format_duration(max(0.0, (now - moment).total_seconds()))} ago"


def format_size(size: float) -> str:
    """`12.3MB`: powers of a thousand, three digits, as Docker prints sizes."""
    return _format_in_steps(size, 1000, ("B", "kB", "MB", "GB", "TB"))


def format_binary_size(size: float) -> str:
    """`11.7MiB`: powers of 1,024, three digits."""
    return _format_in_steps(size, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def _format_in_steps(size: float, step: int, units: Sequence[str]) -> str:
    *lesser, last = units
    for unit in lesser:
        # What rounds to a thousand belongs to the next unit: three digits would make 1e+03 of it.
        if size < min(step, 999.5):
            return f"{size:.3g}{unit}"
        size /= step
    return f"{size:.3g}{last}" if size < 999.5 else f"{size:.0f}{last}"


def format_processor_time(seconds: float) -> str:
    """`1.52s`, `2m3.4s`, `1h0m12s`, as Podman prints it."""
    # Rounded first: 59.999 is a minute.
    minutes, rest = divmod(round(seconds, 2), 60)
    hours, minutes = divmod(int(minutes), 60)
    before = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{before}{round(rest, 2):g}s"


def format_ports(ports: Sequence[PublishedPort]) -> str:
    """`127.0.0.1:8080->80/tcp, …`."""
    return ", ".join(
        f"{f'[{port.host_ip}]' if ':' in port.host_ip else port.host_ip}:{port.host_port}->{port.key}" for port in ports
    )


def format_status(state: ContainerState, now: datetime) -> str:
    """`Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`, `Created`."""
    if state.status == "created":
        return "Created"
    if state.running:
        since = now - state.started_at if state.started_at else timedelta()
        more = " (Paused)" if state.status == "paused" else _format_health(state.health)
        return f"Up {format_duration(max(0.0, since.total_seconds()))}{more}"
    age = f" {format_age(state.finished_at, now)}" if state.finished_at else ""
    return f"Exited ({state.exit_code}){age}"


def _format_health(health: Health | None) -> str:
    if health is None:
        return ""
    return f" ({'health: starting' if health.status == 'starting' else health.status})"


def format_command(argv: Sequence[str], *, width: int | None = 20) -> str:
    """The command in quotes, cut to `width` characters, None for all of it."""
    text = " ".join(argv)
    if width is not None and len(text) > width:
        text = text[: width - 1] + "…"
    return f'"{text}"'


def format_labels(labels: Mapping[str, str]) -> str:
    """`a=1,b=2`."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def format_moment(moment: datetime | None) -> str:
    """As Docker's tables: `2026-01-31 12:00:00 +0000 UTC`."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")


_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?\Z")


def parse_moment(text: str, now: datetime) -> datetime | None:
    """Reads what `--since` takes: `10m`, `1h30m`, seconds since the epoch, or a date; None if it is none of them."""
    if match := _DURATION.match(text):
        if not any(match.groups()):
            return None
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    # Without a zone it is the reader's own time.
    return moment.astimezone(UTC)
