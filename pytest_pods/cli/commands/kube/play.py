"""`kube play`: runs the pods of a file for Kubernetes."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "FILE",
    OptionGroup(
        "Options",
        Option("--configmap", value="FILE", repeats=True, help="another file, with config maps and secrets"),
        Option("--net", "--network", value="NETWORK", repeats=True,
               help="private, none, host, or a network (default: private for one pod, else the network `default`)"),
        Option("--start", help="start them (default true)"),
        Option("--replace", help="remove the pods of the file first"),
        Option("--down", help="the same as `kube down`"),
        Option("-q", "--quiet", help="do not show the progress of a pull"),
    ),
    least=1,
    most=1,
    text="""
FILE may be - for stdin. It may have Pods, Deployments of one replica, ConfigMaps, Secrets, PersistentVolumeClaims
(which become volumes with names) and Services (which become names of the pods that they select). Prints the IDs.
Returns when all pods are ready, as their probes say; if one does not get there, none of the file is left.
""",
    examples=[("pytest-pods kube play shop.yaml", "the pods of shop.yaml")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.container_options import container_progress
    from pytest_pods.cli.kube_files import read_content, remove_pods
    from pytest_pods.cli.network_options import read_container_networks
    from pytest_pods.cli.output import print_lines

    content = read_content(parsed.operands[0], parsed.all("--configmap"))
    if parsed.flag("--down"):
        return remove_pods(context, content)
    if parsed.flag("--replace"):
        remove_pods(context, content, quiet=True)
    asked = read_container_networks(parsed) if parsed.find("--network") is not None else {}
    options = {name: value for name, value in asked.items() if name in ("network", "networks")}
    engine = context.open_for_containers(progress=container_progress(parsed))
    for pod in engine.play_kube_content(content, start=parsed.find("--start") != "false", **options):
        containers = [one.id for one in pod.values()]
        print_lines(["Pod:", pod.id, "Containers:" if len(containers) > 1 else "Container:", *containers, ""])
    return 0
