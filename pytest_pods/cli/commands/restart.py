"""`restart`: stops containers, where they run, and starts them again on the same files."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "CONTAINER...",
    OptionGroup(
        "Options",
        Option("-t", "--time", value="SECONDS", help="grace before the kill (default: the container's --stop-timeout)"),

    ),
    least=1,
    most=None,
    text="Prints the name of each container that it was done to.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.container_options import find_grace
    from pytest_pods.cli.output import print_line

    timeout = find_grace(parsed)

    def act(name: str) -> None:
        context.get_container(name)[1].restart(timeout)
        print_line(name)

    return context.for_each(parsed.operands, act)
