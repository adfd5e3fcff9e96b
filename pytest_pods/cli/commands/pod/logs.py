"""`pod logs`: what the containers of a pod have said; their stderr goes to stderr."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "POD",
    OptionGroup(
        "Options",
        Option("-f", "--follow", help="go on until all containers have ended"),
        Option("-c", "--container", value="NAME", help="only of this container"),
        Option("--tail", value="LINES", help="only the last ones (default all)"),
        Option("-t", "--timestamps", help="the time in front of each line"),
        Option("-n", "--names", help="accepted: the container's name stands in front of each line anyway"),
    ),
    least=1,
    most=1,
    examples=[("pytest-pods pod logs -f -c web shop", "what web says in the pod shop")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.commands.logs import parse_tail
    from pytest_pods.cli.pod_views import follow_lines, get_member, print_log_line

    pod = context.get_pod(parsed.operands[0])[1]
    tail, stamped, chosen = parse_tail(parsed.find("--tail")), parsed.flag("--timestamps"), parsed.find("--container")
    members = dict(pod.containers) if chosen is None else {"": get_member(pod, chosen)}
    width = max(map(len, members), default=0)
    if parsed.flag("--follow"):
        lines = follow_lines(members, tail=tail)
    else:
        pairs = [(name, line) for name, one in members.items() for line in one.log_lines(tail=tail)]
        pairs.sort(key=lambda pair: pair[1].time)
        lines = iter(pairs if tail is None else pairs[max(0, len(pairs) - tail) :])
    for name, line in lines:
        print_log_line(f"{name:<{width}} | " if name else "", line, stamped=stamped, flush=parsed.flag("--follow"))
    return 0
