"""`create`: a container that waits to be started."""

from __future__ import annotations

from pytest_pods.cli.container_options import CONTAINER_GROUPS, build_spec
from pytest_pods.cli.options import Command, Option, OptionGroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "IMAGE [COMMAND [ARGUMENT...]]",
    OptionGroup("Options", Option("--rm", help="remove it when it ends")),
    *CONTAINER_GROUPS,
    least=1,
    most=None,
    stops_at_operand=True,
    text="Prints the ID. `pytest-pods start` starts it.",
    examples=[("pytest-pods start -a $(pytest-pods create busybox echo hello)", "create, start, and see its output")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.joining import open_for_container
    from pytest_pods.cli.output import print_line

    spec = build_spec(parsed, remove=parsed.flag("--rm"))
    with open_for_container(parsed, context) as engine:
        container = engine.create_from(spec)
    print_line(container.id)
    return 0
