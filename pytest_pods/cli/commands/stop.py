"""`stop`: ends containers, gently at first."""

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
        Option("-a", "--all", help="all that run"),
    ),
    least=0,
    most=None,
    text="Prints the name of each container that it was done to.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.container_options import find_grace
    from pytest_pods.cli.context import get_operands
    from pytest_pods.cli.output import print_line

    timeout = find_grace(parsed)

    def act(name: str) -> None:
        context.get_container(name)[1].stop(timeout)
        print_line(name)

    def running() -> list[str]:
        return [container.id for _, container in context.find_containers() if container.running]

    names = get_operands(parsed.operands, all_of=parsed.flag("--all"), known=running, what="CONTAINER")
    return context.for_each(names, act)
