"""What a process that was killed has left half made in a session that goes on: found by its name, and removed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import ContainerNotFoundError, PodNotFoundError
from pytest_pods.engine.services.container_records import find_container_record
from pytest_pods.engine.services.planning import find_owner, release_name
from pytest_pods.engine.services.pod_records import find_pod_record
from pytest_pods.engine.services.sessions import remove_trees

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_pods.engine.services.containers import ContainerService
    from pytest_pods.engine.services.pods import PodService
    from pytest_pods.engine.services.sessions import Session


def remove_remains(
    session: Session, name: str, *, owner: str = "", containers: ContainerService, pods: Callable[[], PodService]
) -> None:
    """Removes the container or pod of that name, and of the ID `owner` if that is given. Of one without a record there
    is no more than its directory."""
    layout = session.layout
    found = find_owner(layout.names_dir / name)
    if found is None or owner not in ("", found):
        return
    with suppress(ContainerNotFoundError, PodNotFoundError):
        if find_pod_record(session, found) is not None:
            pods().get(name).remove(force=True)
        elif (record := find_container_record(layout, found)) is not None:
            containers.lifecycle.remove(record, force=True)
        else:
            container, pod = layout.container(found), layout.pod(found)
            remove_trees(
                session.start(), [container.scratch_dir, container.directory, pod.scratch_dir, pod.directory]
            )
            release_name(layout, name, owner=found)
