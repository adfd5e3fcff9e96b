"""`pod stats`: shows what the containers of pods use of the machine."""

from __future__ import annotations

from pytest_pods.cli.commands.stats import STATS_OPTIONS
from pytest_pods.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.pod import Pod

COMMAND = Command(
    "[POD...]",
    STATS_OPTIONS,
    most=None,
    text="""
Without names: the containers of all pods that run. It goes on until Ctrl-C, or until all pods that were named are
removed. Containers that share their pod's network have the same NET IO.

A template may have .Pod .PodName .CID .Name .Member .CPU .MemUsage .MemUsageBytes .Mem .MemPeak .NetIO .BlockIO .PIDS
and what `pytest-pods stats` has; json has the texts of Podman's and, as Stats, the numbers.
""",
    examples=[("pytest-pods pod stats --no-stream shop", "what the containers of shop use now")],
)

_COLUMNS = {
    "Pod": "POD",
    "CID": "CID",
    "Name": "NAME",
    "CPU": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "Mem": "MEM %",
    "NetIO": "NET IO",
    "BlockIO": "BLOCK IO",
    "PIDS": "PIDS",
}


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.listing import find_containers
    from pytest_pods.cli.stats_views import build_pod_document, exists, refuse_all_with_names, runs, show_stats

    refuse_all_with_names(parsed, "pod")
    named: list[Pod] = []
    if code := context.for_each(parsed.operands, lambda name: named.append(context.get_pod(name)[1])):
        return code

    def find() -> list[Container] | None:
        members = [(one.record.membership.pod_id, one) for one, _ in find_containers(context) if one.record.membership]
        if not named:
            return [one for _, one in members if parsed.flag("--all") or runs(one)]
        left = [pod.id for pod in named if exists(pod)]
        return [one for pod_id in left for of, one in members if of == pod_id] if left else None

    return show_stats(parsed, find, columns=_COLUMNS, build_document=build_pod_document)
