"""`pod rm`: removes pods with their containers."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.pod import Pod

COMMAND = Command(
    "POD...",
    OptionGroup(
        "Options",
        Option("-f", "--force", help="also those whose containers run: they are killed"),
        Option("-i", "--ignore", help="one that is not there is no error"),
        Option("-a", "--all", help="all of them"),
        Option("-t", "--time", value="SECONDS", help="with --force: grace before the kill (default 0)"),
    ),
    least=0,
    most=None,
    text="Prints the name of each pod that was removed.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.container_options import parse_seconds
    from pytest_pods.cli.pod_views import act_on_pods

    force = parsed.flag("--force")
    grace = parse_seconds("--time", parsed.find("--time"), default=0.0)

    def remove(pod: Pod) -> None:
        if force and grace:
            pod.stop(grace)
        pod.remove(force=force)

    return act_on_pods(parsed, context, remove, ignore=force or parsed.flag("--ignore"))
