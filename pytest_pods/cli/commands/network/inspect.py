"""`network inspect`: everything about networks, as documents in Podman's shape."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "NETWORK...",
    OptionGroup(
        "Options",
        Option("-f", "--format", value="FORMAT", help="json (default), or a template such as '{{.driver}}'"),
    ),
    least=1,
    most=None,
    examples=[("pytest-pods network inspect -f '{{json .subnets}}' backend", "its subnets")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.templates import print_inspections

    return print_inspections(parsed, context, lambda name: context.get_network(name)[1].inspect())
