"""`follow-health`: what is started inside a session with each start of a container that has a health check.

For programs: it runs inside the session's sandbox, where neither the user's environment nor user id are what they are
outside, so that all it needs is in its arguments.
"""

from __future__ import annotations

from pytest_pods.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

COMMAND = Command("ROOT RUN-ROOT SESSION CONTAINER", least=4, most=4)


def run(parsed: Parsed, context: Context) -> int:
    import gc
    from pathlib import Path

    from pytest_pods.engine.api import Engine
    from pytest_pods.engine.state.layout import StoreLayout

    # Unlike other commands this one lives long.
    gc.enable()
    root, run_root, session_id, container_id = parsed.operands
    engine = Engine.attach(session_id, store=StoreLayout(Path(root), Path(run_root)))
    try:
        engine.follow_health(engine.container(container_id))
    finally:
        engine.close()
    return 0
