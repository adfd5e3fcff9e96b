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
    from pytest_pods.cli.output import print_json, print_line
    from pytest_pods.cli.templates import parse_template, render

    format = parsed.find("--format") or "json"
    template = None if format == "json" else parse_template(format)
    documents = []

    def act(name: str) -> None:
        documents.append(context.get_network(name)[1].inspect())

    code = context.for_each(parsed.operands, act)
    if template is None:
        print_json(documents)
        return code
    for document in documents:
        print_line(render(template, document))
    return code
