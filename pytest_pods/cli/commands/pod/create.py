"""`pod create`: makes a pod for containers to join."""

from __future__ import annotations

from pytest_pods.cli.options import Command
from pytest_pods.cli.pod_options import POD_GROUPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "[NAME]",
    *POD_GROUPS,
    least=0,
    most=1,
    text="Prints the ID. `pytest-pods run --pod NAME …` puts a container into it.",
    examples=[("pytest-pods pod create --name shop -p 8080:80", "a pod whose port 80 is port 8080 of this machine")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_line
    from pytest_pods.cli.pod_options import read_pod_options

    options = read_pod_options(parsed)
    if parsed.operands:
        options["name"] = parsed.operands[0]
    if parsed.flag("--replace") and "name" in options:
        from contextlib import suppress

        from pytest_pods.engine.errors import PodNotFoundError

        with suppress(PodNotFoundError):
            context.get_pod(options["name"])[1].remove(force=True)
    print_line(context.open_for_containers().create_pod(**options).id)
    return 0
