"""`pod restart`: ends the containers of pods and starts them again."""

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
        Option("-t", "--time", value="SECONDS", help="grace before the kill (default: each one's --stop-timeout)"),
        Option("-a", "--all", help="all of them"),
    ),
    least=0,
    most=None,
    text="Prints the name of each pod that it was done to.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.container_options import parse_seconds
    from pytest_pods.cli.pod_views import act_on_pods

    given = parsed.find("--time")
    timeout = None if given is None else parse_seconds("--time", given, default=0.0)
    return act_on_pods(parsed, context, lambda pod: pod.restart(timeout))
