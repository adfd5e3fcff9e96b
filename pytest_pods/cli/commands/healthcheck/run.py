"""`healthcheck run`: checks the health of a container once, now."""

from __future__ import annotations

from pytest_pods.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command(
    "CONTAINER",
    least=1,
    most=1,
    text="""
Executes its health check, which counts as those that are made by themselves. The exit code is 0 if it succeeded, 1 if
not, 125 if there is none or the container does not run; what it printed and the container's health are told on stderr.
""",
    examples=[("pytest-pods healthcheck run web && echo well", "whether web is well now")],
)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.output import print_note

    health = context.get_container(parsed.operands[0])[1].check_health()
    last = health.last
    assert last is not None
    if last.ok:
        return 0
    print_note(f"{health.status}: {last.describe()}")
    return 1
