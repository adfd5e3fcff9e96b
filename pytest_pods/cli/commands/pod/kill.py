"""`pod kill`: sends a signal to the containers of pods."""

from __future__ import annotations

from pytest_pods.cli.options import Option
from pytest_pods.cli.pod_options import build_action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = build_action(Option("-s", "--signal", value="SIGNAL", help="which (default KILL)"))


def run(parsed: Parsed, context: Context) -> int:
    from pytest_pods.cli.pod_views import act_on_pods

    signal = parsed.find("--signal") or "KILL"
    return act_on_pods(parsed, context, lambda pod: pod.kill(signal))
