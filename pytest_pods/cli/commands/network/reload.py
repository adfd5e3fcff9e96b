"""`network reload`: makes the interfaces of containers anew."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "CONTAINER...",
    OptionGroup("Options", Option("-a", "--all", help="all that run")),
    least=0,
    most=None,
    text="""
With the same addresses and names; those of a pod's containers are the pod's. What a container itself changed of its
interfaces is lost, and open connections may break. Prints the ID of each container.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.context import get_operands
    from pytest_pods.cli.output import print_line

    done: set[str] = set()

    def act(name: str) -> None:
        container = context.get_container(name)[1]
        whose = container.record.shared_network or container
        if whose.id not in done:
            container.reload_networks()
            done.add(whose.id)
        print_line(container.id)

    def known() -> list[str]:
        return [container.id for _, container in context.find_containers() if container.running]

    names = get_operands(parsed.operands, all_of=parsed.flag("--all"), known=known, what="CONTAINER")
    return context.for_each(names, act)
