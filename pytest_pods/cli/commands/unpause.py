"""`unpause`: lets frozen containers go on."""

from __future__ import annotations

from pytest_pods.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command("CONTAINER...", least=1, most=None, text="Prints the name of each container that it was done to.")


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_line

    def act(name: str) -> None:
        context.get_container(name)[1].unpause()
        print_line(name)

    return context.for_each(parsed.operands, act)
