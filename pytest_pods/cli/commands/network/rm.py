"""`network rm`: removes networks."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "NETWORK...",
    OptionGroup(
        "Options",
        Option("-f", "--force", help="remove the containers that are on it first; one that is not there is no error"),
    ),
    least=1,
    most=None,
    text="Prints the name of each network that was removed. One that containers are on is not, unless with -f.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_line
    from pytest_pods.engine.errors import NetworkNotFoundError

    force = parsed.flag("--force")

    def act(name: str) -> None:
        try:
            network = context.get_network(name)[1]
        except NetworkNotFoundError:
            if force:
                return
            raise
        network.remove(force=force)
        print_line(name)

    return context.for_each(parsed.operands, act)
