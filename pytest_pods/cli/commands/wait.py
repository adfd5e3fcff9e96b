"""`wait`: until containers have ended; prints their exit codes."""

from __future__ import annotations

from pytest_pods.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command("CONTAINER...", least=1, most=None, text="Waits for one after the other, and prints a line for each.")


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_line

    def act(name: str) -> None:
        print_line(str(context.get_container(name)[1].wait()))

    return context.for_each(parsed.operands, act)
