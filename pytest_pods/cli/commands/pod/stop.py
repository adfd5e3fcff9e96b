"""`pod stop`: ends the containers of pods, gently at first."""

from __future__ import annotations

from pytest_pods.cli.pod_options import GRACE, build_action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = build_action(GRACE)


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.container_options import find_grace
    from pytest_pods.cli.pod_views import act_on_pods

    timeout = find_grace(parsed)
    return act_on_pods(parsed, context, lambda pod: pod.stop(timeout))
