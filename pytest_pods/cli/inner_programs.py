"""What commands have in common that programs of ours execute inside a session's sandbox (`services.inner_programs`)."""

from __future__ import annotations

from contextlib import contextmanager

from pytest_pods.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.api import Engine
    from pytest_pods.engine.container import Container

INNER_COMMAND = Command("ROOT RUN-ROOT SESSION CONTAINER", least=4, most=4)


@contextmanager
def attached(parsed: Parsed) -> Iterator[tuple[Engine, Container]]:
    """The session and the container that the arguments name. Raises SessionNotFoundError, ContainerNotFoundError."""
    from pathlib import Path

    from pytest_pods.engine.api import Engine
    from pytest_pods.engine.state.layout import StoreLayout

    root, run_root, session_id, container_id = parsed.operands
    engine = Engine.attach(session_id, store=StoreLayout(Path(root), Path(run_root)))
    try:
        yield engine, engine.container(container_id)
    finally:
        engine.close()
