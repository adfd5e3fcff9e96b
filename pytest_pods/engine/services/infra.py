"""The container that holds a pod's PID namespace, where the pod shares one: nobody can pin an empty one.

Its only program is the native helper as `pause`. Members see it as process 1 and may look into its root: that has
nothing in it but the helper, read-only, and the process has no capabilities at all.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_pods.engine.host.sandbox import helper_path
from pytest_pods.engine.oci.image_config import ImageConfig
from pytest_pods.engine.oci.platforms import host_platform
from pytest_pods.engine.records import ContainerRecord, Membership
from pytest_pods.engine.services.creation import Creation
from pytest_pods.engine.services.placement import infra_id
from pytest_pods.engine.specs.container import ContainerSpec
from pytest_pods.engine.specs.mounts import BindMount

if TYPE_CHECKING:
    from pytest_pods.engine.host.channel import SandboxProcess
    from pytest_pods.engine.pod_records import PodRecord
    from pytest_pods.engine.services.creation import HostFacts
    from pytest_pods.engine.services.lifecycle import Lifecycle
    from pytest_pods.engine.services.sessions import Session

_PROGRAM = "/pause"


def build_infra_record(pod: PodRecord) -> ContainerRecord:
    """Pure."""
    command = (_PROGRAM, "pause")
    spec = ContainerSpec(
        image="pause",
        command=command,
        name=f"{pod.name}-infra",
        network=pod.network,
        mounts=(BindMount(str(helper_path()), _PROGRAM, read_only=True),),
        cap_drop=("ALL",),
        read_only=True,
        no_new_privileges=True,
    )
    return ContainerRecord(
        id=infra_id(pod.id),
        name=f"{pod.name}-infra",
        session_id=pod.session_id,
        image="pause",
        image_id="",
        spec=spec,
        argv=command,
        stop_signal="SIGTERM",
        hostname=pod.hostname,
        ip=pod.ip,
        ports=(),
        created=time.time(),
        layers=(),
        mounts=spec.mounts,
        membership=Membership(pod.id, pod.name, "", pod.shares, infra=True),
    )


def create_infra(session: Session, pod: PodRecord, *, facts: HostFacts, lifecycle: Lifecycle) -> None:
    """Creates and starts it; what is half made goes with the pod."""
    record = build_infra_record(pod)
    session.layout.container(record.id).directory.mkdir(mode=0o711)
    creation = Creation(session, record, facts=facts)
    creation.make_files()
    creation.pin_namespaces()
    lifecycle.watch(record, create_again(creation))
    lifecycle.start(record)


def create_again(creation: Creation) -> SandboxProcess:
    """A monitor for it, also after it has ended."""
    image = ImageConfig(host_platform(), ())
    return creation.start_monitor(creation.write_configuration(image))
