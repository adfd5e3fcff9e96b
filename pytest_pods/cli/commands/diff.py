"""`diff`: what a container has changed of its image's files."""

from __future__ import annotations

from pytest_pods.cli.options import Command, Option, OptionGroup, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "CONTAINER",
    OptionGroup("Options", Option("--format", value="FORMAT", help="json")),
    least=1,
    most=1,
    text="""
A line for each path that was added (A), changed (C) or deleted (D). A directory is changed where its mode or owner is,
and deleted for all that was in it. What is in volumes and other mounts is not looked at.
""",
    examples=[("pytest-pods diff web", "what it has written")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_json, print_lines

    form = parsed.find("--format")
    if form not in (None, "json"):
        raise UsageError(f"unknown format {form!r}", hint="it is json, or left out")
    changes = context.get_container(parsed.operands[0])[1].changed()
    if form is None:
        print_lines(f"{one.letter} {one.path}" for one in changes)
        return 0
    kinds = ("changed", "added", "deleted")
    found = {kind: [one.path for one in changes if one.kind == kind] for kind in kinds}
    print_json({kind: paths for kind, paths in found.items() if paths})
    return 0
