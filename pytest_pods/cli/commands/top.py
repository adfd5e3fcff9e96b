"""`top`: shows the processes of a container."""

from __future__ import annotations

from pytest_pods.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "CONTAINER",
    least=1,
    most=1,
    text="""
CPU is the time in seconds that a process has had, MEMORY what of it is resident; USER and PID count in the container.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_table
    from pytest_pods.cli.processes import PROCESS_COLUMNS, build_process_rows

    container = context.get_container(parsed.operands[0])[1]
    print_table(PROCESS_COLUMNS, build_process_rows(container))
    return 0
