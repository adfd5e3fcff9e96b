"""`pod exists`: tells by the exit code whether there is a pod."""

from __future__ import annotations

from pytest_pods.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command("POD", least=1, most=1, text="The exit code is 0 if there is one, 1 if not, 125 after a failure.")


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.engine.errors import PodNotFoundError

    try:
        context.get_pod(parsed.operands[0])
    except PodNotFoundError:
        return 1
    return 0
