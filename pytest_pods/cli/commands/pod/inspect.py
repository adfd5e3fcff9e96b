"""`pod inspect`: everything about pods, as documents in Podman's shape."""

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
        Option("-f", "--format", value="FORMAT", help="json (default), or a template such as '{{.State}}'"),
    ),
    least=1,
    most=None,
    examples=[("pytest-pods pod inspect -f '{{json .Containers}}' shop", "its containers")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.templates import print_inspections

    return print_inspections(parsed, context, lambda name: context.get_pod(name)[1].inspect())
