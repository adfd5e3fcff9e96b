"""`logs`: what a container has said; its stderr goes to stderr."""

from __future__ import annotations

import sys

from pytest_pods.cli.options import Command, Option, OptionGroup, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "CONTAINER",
    OptionGroup(
        "Options",
        Option("-f", "--follow", help="go on until the container ends"),
        Option("-n", "--tail", value="LINES", help="only the last ones (default all)"),
        Option("-t", "--timestamps", help="the time in front of each line"),
        Option("--since", value="TIME", help="only later lines: 10m, 1h30m, 2026-01-31T12:00:00"),
        Option("--until", value="TIME", help="only earlier lines"),
    ),
    least=1,
    most=1,
    examples=[("pytest-pods logs -f --tail 20 web", "the last 20 lines, and what comes")],
)


def run(parsed: Parsed, context: Context) -> int:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    tail = parse_tail(parsed.find("--tail"))
    since, until = (_parse_moment(parsed, name, now) for name in ("--since", "--until"))
    container = context.get_container(parsed.operands[0])[1]
    stamped = parsed.flag("--timestamps")
    follow = parsed.flag("--follow")
    for line in container.log_lines(follow=follow, tail=tail):
        if since is not None and line.time < since:
            continue
        if until is not None and line.time > until:
            break
        stream = sys.stdout if line.stream == "stdout" else sys.stderr
        stream.write(f"{line.timestamp} {line.output}" if stamped else line.output)
        if follow:
            stream.flush()
    sys.stdout.flush()
    return 0


def parse_tail(text: str | None) -> int | None:
    """What `--tail` says; None for all. Raises UsageError."""
    if text is None or text in ("all", "-1"):
        return None
    if not text.isdecimal():
        raise UsageError(f"option --tail: {text!r} is neither a number of lines nor all")
    return int(text)


def _parse_moment(parsed: Parsed, name: str, now: datetime) -> datetime | None:
    text = parsed.find(name)
    if text is None:
        return None
    from pytest_pods.cli.formats import parse_moment

    moment = parse_moment(text, now)
    if moment is None:
        raise UsageError(f"option {name}: {text!r} is no time", hint="write 10m, 1h30m or 2026-01-31T12:00:00")
    return moment
