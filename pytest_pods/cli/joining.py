"""`--pod` and `--network container:NAME` of `run` and `create`: the session of what is joined, and the pod itself where
it is to be made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_pods.cli.container_options import NEW_POD, container_progress
from pytest_pods.cli.network_options import CONTAINER
from pytest_pods.engine.errors import PodsError

if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.api import Engine
    from pytest_pods.engine.events import Progress


@contextmanager
def open_for_container(parsed: Parsed, context: Context) -> Iterator[Engine]:
    """The engine that a new container is made by. A pod that was made for it goes if the block fails.

    Raises ContainerNotFoundError, PodNotFoundError, NameInUseError.
    """
    name, network = parsed.find("--pod"), parsed.find("--network") or ""
    progress = container_progress(parsed)
    if name is None and not network.startswith(CONTAINER):
        yield context.open_for_containers(progress=progress)
    elif name is None:
        yield _choose(context, context.get_container(network.removeprefix(CONTAINER))[0], progress)
    elif not name.startswith(NEW_POD):
        yield _choose(context, context.get_pod(name)[0], progress)
    else:
        engine = context.open_for_containers(progress=progress)
        pod = engine.create_pod(name=name.removeprefix(NEW_POD))
        try:
            yield engine
        except PodsError:
            if not pod.containers:
                pod.remove(force=True)
            raise


def _choose(context: Context, engine: Engine, progress: Progress) -> Engine:
    # That of a kept session is asked for by its own engine, which shows no progress.
    own = context.open_for_containers(progress=progress)
    return own if own.session_id == engine.session_id else engine
