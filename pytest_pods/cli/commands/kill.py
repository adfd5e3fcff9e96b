"""`kill`: sends a signal to the first process of containers."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "CONTAINER...",
    OptionGroup("Options", Option("-s", "--signal", value="SIGNAL", help="name or number (default KILL)")),
    least=1,
    most=None,
    text="Prints the name of each container that it was sent to.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_line

    signal = parsed.find("--signal") or "KILL"

    def act(name: str) -> None:
        context.get_container(name)[1].kill(signal)
        print_line(name)

    return context.for_each(parsed.operands, act)
