"""Containers of `run --rm`: removed by the command line that has them in the foreground, or else by the next one.

There is no daemon that could do it at the moment a detached container ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pytest_pods.engine.errors import ContainerNotFoundError, PodsError, SandboxLostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.engine.api import Engine
    from pytest_pods.engine.container import Container


def _client_lock(engine: Engine, container: Container) -> Path:
    return engine.store.session(engine.session_id).container(container.id).client_lock_file


@contextmanager
def as_client(engine: Engine, container: Container) -> Iterator[None]:
    """Says, for the `with` block and for as long as this process lives, that it will remove the container."""
    lock = os.open(_client_lock(engine, container), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


def remove_ended(engine: Engine) -> None:
    """Removes containers of `--rm` that have ended and have no client any more."""
    for container in engine.containers():
        with suppress(PodsError):
            if container.spec.remove and container.status == "exited" and not _has_client(engine, container):
                container.remove(force=True)


def _has_client(engine: Engine, container: Container) -> bool:
    try:
        lock = os.open(_client_lock(engine, container), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def remove_own(container: Container) -> PodsError | None:
    """Removes a container that may be gone already; answers the fault, if there is one."""
    try:
        container.remove(force=True)
    except (ContainerNotFoundError, SandboxLostError):
        return None
    except PodsError as error:
        return error
    return None
