"""`pod prune`: removes the pods in which nothing runs."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "",
    OptionGroup("Options", Option("-f", "--force", help="do not ask")),
    text="""
A pod that has not been started stays. So do the pods of kept sessions, unless --session names one. Asks first if it is
called from a terminal. Prints the name of each pod that was removed.
""",
)


def run(parsed: Parsed, context: Context) -> int:
    import sys

    from pytest_pods.cli.output import print_line, print_note

    if not parsed.flag("--force") and sys.stdin.isatty():
        print_note("This removes all pods in which nothing runs. Go on? [y/N]")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 1
    named = parsed.find("--session") is not None
    pods = {
        pod.id: pod
        for engine, pod in context.find_pods()
        if (named or not engine.session_record.kind.leased) and pod.status == "exited"
    }

    def act(pod_id: str) -> None:
        pods[pod_id].remove(force=False)
        print_line(pods[pod_id].name)

    return context.for_each(pods, act)
