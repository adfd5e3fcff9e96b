"""`pod unpause`: lets frozen containers of pods go on."""

from __future__ import annotations

from pytest_pods.cli.pod_options import build_action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = build_action()


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.pod_views import act_on_pods

    return act_on_pods(parsed, context, lambda pod: pod.unpause())
