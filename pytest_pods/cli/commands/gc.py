"""`gc`: removes what dead sessions left behind."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "",
    OptionGroup("Options", Option("-q", "--quiet", help="only the IDs of what was removed")),
    text="""
Every session does this when it starts, so that there is seldom anything to do. A session is dead if nobody holds its
lock any more; live ones, kept ones and all images stay.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_line
    from pytest_pods.engine.api import Engine

    report = Engine.sweep(context.settings.root)
    for session in report.removed:
        print_line(session if parsed.flag("--quiet") else f"removed what session {session} left")
    if not report.removed and not report.faults and not parsed.flag("--quiet"):
        print_line("nothing to remove: no dead session left anything")
    code = 0
    for fault in report.faults:
        code = context.report(fault)
    return code
