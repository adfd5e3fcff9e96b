"""`container-ended`: what a container's monitor executes when a container has ended that has a restart policy, or whose
pod is to stop with its last member.

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
    from pathlib import Path

    from pytest_pods.engine.api import Engine
    from pytest_pods.engine.state.layout import StoreLayout

    root, run_root, session_id, container_id = parsed.operands
    engine = Engine.attach(session_id, store=StoreLayout(Path(root), Path(run_root)))
    try:
        engine.follow_end(engine.container(container_id))
    finally:
        engine.close()
    return 0
