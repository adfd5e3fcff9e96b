"""`rm`: removes containers with all their files."""

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
        Option("-f", "--force", help="also those that run, which are killed, and before one those that are in its "
               "network (--network container:NAME); one that is not there is no error"),
        Option("-a", "--all", help="all of them"),
        Option("-v", "--volumes", help="accepted: volumes without a name go with their container anyway"),
    ),
    least=0,
    most=None,
    text="Prints the name of each container that was removed.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.context import get_operands
    from pytest_pods.cli.output import print_line
    from pytest_pods.engine.errors import ContainerNotFoundError

    force = parsed.flag("--force")

    def act(name: str) -> None:
        try:
            container = context.get_container(name)[1]
        except ContainerNotFoundError:
            if force:
                return
            raise
        container.remove(force=force)
        print_line(name)

    def known() -> list[str]:
        found = [container for _, container in context.find_containers()]
        # Who is in the network of another goes before that one.
        return [container.id for container in sorted(found, key=lambda one: one.record.network_of is None)]

    names = get_operands(parsed.operands, all_of=parsed.flag("--all"), known=known, what="CONTAINER")
    return context.for_each(names, act)
