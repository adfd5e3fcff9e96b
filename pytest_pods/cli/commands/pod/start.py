"""`pod start`: starts the containers of pods, in the order of their needs."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "POD...",
    OptionGroup(
        "Options",
        Option("-a", "--all", help="all of them"),
    ),
    least=0,
    most=None,
    text="Prints the name of each pod that it was done to.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.pod_views import act_on_pods

    return act_on_pods(parsed, context, lambda pod: pod.start())
