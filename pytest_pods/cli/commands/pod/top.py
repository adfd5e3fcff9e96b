"""`pod top`: shows the processes of a pod."""

from __future__ import annotations

from pytest_pods.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "POD",
    least=1,
    most=1,
    text="""
CPU is the time in seconds that a process has had, MEMORY what of it is resident; USER and PID count in its container.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_table
    from pytest_pods.cli.processes import PROCESS_COLUMNS, build_process_rows
    from pytest_pods.engine.errors import ContainerNotFoundError, WrongStateError

    pod = context.get_pod(parsed.operands[0])[1]
    rows: list[list[str]] = []
    for name, container in pod.containers.items():
        try:
            rows += [[name, *row] for row in build_process_rows(container)]
        except (WrongStateError, ContainerNotFoundError):
            continue
    print_table(["CONTAINER", *PROCESS_COLUMNS], rows)
    return 0
