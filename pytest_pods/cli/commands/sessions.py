"""`sessions`: lists the sessions that live, and ends those that are named."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.state.sessions import SessionRecord

COMMAND = Command(
    "[ls | end ID... | rm ID...]",
    OptionGroup(
        "Options",
        Option("-q", "--quiet", help="IDs only"),
        Option("-a", "--all", help="also those of running tests; with end: all kept ones and the command line's"),
        Option("--format", value="FORMAT", help="json, or a template such as '{{.ID}} {{.Kind}}'"),
    ),
    least=0,
    most=None,
    text="Ending a session removes its containers with all their files. Images belong to the store and stay.",
    examples=[("pytest-pods sessions end command-line", "remove all containers that were made by hand")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.options import UsageError

    verb, *names = parsed.operands or ("ls",)
    if verb in ("end", "rm"):
        return _end(names, parsed, context)
    if verb != "ls" or names:
        raise UsageError(f"unknown command 'sessions {' '.join([verb, *names])}'", hint="sessions ls, sessions end ID")
    return _list(parsed, context)


def _end(names: list[str], parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.context import get_operands
    from pytest_pods.cli.output import print_line
    from pytest_pods.engine.api import Engine

    def act(name: str) -> None:
        Engine.attach(context.get_session(name).id, root=context.settings.root).end()
        print_line(name)

    def known() -> list[str]:
        return [record.id for record in context.live_sessions()]

    return context.for_each(get_operands(names, all_of=parsed.flag("--all"), known=known, what="ID"), act)


def _list(parsed: Parsed, context: Context) -> int:
    from datetime import UTC, datetime

    from pytest_pods.cli.output import print_lines, print_table
    from pytest_pods.cli.templates import print_all_formatted
    from pytest_pods.engine.api import Engine

    records = Engine.sessions(context.settings.root) if parsed.flag("--all") else context.live_sessions()
    if parsed.flag("--quiet"):
        print_lines(record.id for record in records)
        return 0
    now = datetime.now(UTC)
    rows = [_build_row(record, now, context) for record in records]
    if (format := parsed.find("--format")) is not None:
        print_all_formatted(format, [_build_document(record, context) for record in records], rows=rows)
        return 0
    columns = ("ID", "Kind", "Containers", "Created", "Ends", "Level")
    headers = ("SESSION ID", "KIND", "CONTAINERS", "CREATED", "ENDS", "LEVEL")
    print_table(headers, [[row[column] for column in columns] for row in rows])
    return 0


def _count(record: SessionRecord, context: Context) -> int:
    import os

    from pytest_pods.engine.state.layout import build_store_layout

    directory = build_store_layout(context.settings.root).session(record.id).containers_dir
    try:
        return len(os.listdir(directory))
    except OSError:
        return 0


def _build_row(record: SessionRecord, now: datetime, context: Context) -> dict[str, str]:
    from datetime import UTC, datetime

    from pytest_pods.cli.formats import format_age, format_duration

    of_run, last = "with its test run", "with its last container"
    ends = {"owned": of_run, "shared": of_run, "command-line": last}.get(record.kind.value, "never")
    if record.expires is not None:
        ends = f"in {format_duration(max(0.0, record.expires - now.timestamp())).lower()}"
    return {
        "ID": record.id,
        "Kind": record.kind.value,
        "Containers": str(_count(record, context)),
        "Created": format_age(datetime.fromtimestamp(record.created, UTC), now),
        "Ends": ends,
        "Level": str(record.level),
    }


def _build_document(record: SessionRecord, context: Context) -> dict[str, Any]:
    return {
        "Id": record.id,
        "Kind": record.kind.value,
        "Containers": _count(record, context),
        "Created": record.created,
        "Expires": record.expires,
        "Level": record.level,
        "Rootless": record.rootless,
        "OwnerPid": record.owner_pid,
    }
