"""`kube generate`: writes pods or containers down for Kubernetes."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "POD|CONTAINER...",
    OptionGroup(
        "Options",
        Option("-f", "--filename", value="FILE", help="where to (default: stdout)"),
        Option("-t", "--type", value="KIND", help="accepted for others' sake", choices=("pod",)),
    ),
    least=1,
    most=None,
    text="""
A container becomes a pod of its own, its health check a liveness probe. What Kubernetes has no words for is told and
left out; so are waits that are no probes, which only the process that has started a pod knows.
""",
    examples=[("pytest-pods kube generate shop > shop.yaml", "a pod as a file")],
)


def run(parsed: Parsed, context: Context) -> int:
    import sys

    from pytest_pods.cli.kube_files import build_documents

    text = "---\n".join(build_documents(context, name) for name in parsed.operands)
    output = parsed.find("--filename")
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return 0
    from pytest_pods.cli.files import replacing

    with replacing(output) as file:
        file.write(text.encode())
    return 0
