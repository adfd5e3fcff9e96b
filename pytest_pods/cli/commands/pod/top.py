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
CPU is the time that a process has had, MEMORY what of it is resident; PID counts in its container. As an ordinary user
processes that run as another user of their container cannot be seen.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_table
    from pytest_pods.cli.processes import read_processes

    pod = context.get_pod(parsed.operands[0])[1]
    rows = [
        [name, str(one.user), str(one.pid), str(one.parent), f"{one.cpu_seconds:.2f}", one.memory, one.command]
        for name, container in pod.containers.items()
        if container.running
        for one in read_processes(container.id)
    ]
    print_table(["CONTAINER", "USER", "PID", "PPID", "CPU", "MEMORY", "COMMAND"], rows)
    return 0
