"""`kube down`: removes the pods of a file for Kubernetes."""

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
        Option("--force", help="also the volumes of its claims"),
        Option("--configmap", value="FILE", repeats=True, help="as it was given to `kube play`"),
    ),
    least=1,
    most=1,
    text="FILE may be - for stdin. Prints the name of each pod that was removed; one that is not there is no error.",
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.kube_files import read_content, remove_pods

    content = read_content(parsed.operands[0], parsed.all("--configmap"))
    return remove_pods(context, content, claims=parsed.flag("--force"))
