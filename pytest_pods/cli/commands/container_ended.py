"""`container-ended`: what a container's monitor executes when a container has ended that has a restart policy, or whose
pod is to stop with its last member.

For programs: it runs inside the session's sandbox.
"""

from __future__ import annotations

from pytest_pods.cli.inner_programs import INNER_COMMAND, attached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = INNER_COMMAND


def run(parsed: Parsed, context: Context) -> int:
    with attached(parsed) as (engine, container):
        engine.follow_end(container)
    return 0
