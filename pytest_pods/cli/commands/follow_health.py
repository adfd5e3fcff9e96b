"""`follow-health`: what is started inside a session with each start of a container that has a health check.

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
    import gc

    # Unlike other commands this one lives long.
    gc.enable()
    with attached(parsed) as (engine, container):
        engine.follow_health(container)
    return 0
