"""`stats`: shows what containers use of the machine."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.container import Container

STATS_OPTIONS = OptionGroup(
    "Options",
    Option("-a", "--all", help="all of them, also containers that do not run"),
    Option("--no-stream", help="show them once"),
    Option("--no-reset", help="show each look below the one before, also on a terminal"),
    Option("-i", "--interval", value="SECONDS", help="the time between two looks (default 5)"),
    Option("--no-trunc", help="whole IDs"),
    Option("--format", value="FORMAT", help="json, a template such as '{{.Name}} {{.MemUsage}}', or 'table …'"),
)

COMMAND = Command(
    "[CONTAINER...]",
    STATS_OPTIONS,
    most=None,
    text="""
Without names: the containers that run. It goes on until Ctrl-C, or until all that were named are removed. CPU % is
that since the look before, of one processor; at the first look, and in AVG CPU %, that since the start. Memory is
without file cache that can be dropped at once. Where an ordinary user has no control groups, as on cgroup v1, it is
estimated from the processes, and BLOCK IO is not known.

A template may have .ID .Name .CPUPerc .MemUsage .MemUsageBytes .MemPerc .MemPeak .NetIO .BlockIO .PIDS .PIDSLimit
.UpTime .AVGCPU .Pod .PodName .Member; json has the texts of Podman's and, as stats, the numbers.
""",
    examples=[
        ("pytest-pods stats", "what runs, until Ctrl-C"),
        ("pytest-pods stats --no-stream --format '{{.Name}}: {{.MemPeak}}' db", "the most memory that db had"),
    ],
)

_COLUMNS = {
    "ID": "ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET IO",
    "BlockIO": "BLOCK IO",
    "PIDS": "PIDS",
    "UpTime": "CPU TIME",
    "AVGCPU": "AVG CPU %",
}


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.listing import find_containers
    from pytest_pods.cli.stats_views import build_document, refuse_all_with_names, runs, show_stats

    refuse_all_with_names(parsed, "container")
    named: list[str] = []
    if code := context.for_each(parsed.operands, lambda name: named.append(context.get_container(name)[1].id)):
        return code

    def find() -> list[Container] | None:
        containers = [one for one, _ in find_containers(context)]
        if named:
            return sorted((one for one in containers if one.id in named), key=lambda one: named.index(one.id)) or None
        return containers if parsed.flag("--all") else [one for one in containers if runs(one)]

    return show_stats(parsed, find, columns=_COLUMNS, build_document=build_document)
