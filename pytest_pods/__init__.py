"""Containers for pytest: a complete engine without a daemon, which leaves nothing behind.

The public names. They are imported when they are first asked for: pytest loads this package in every run.
"""

from __future__ import annotations

# Not from typing: importing that takes as long as Python's start, and each command line comes through here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_pods import waits
    from pytest_pods.engine.api import Engine
    from pytest_pods.engine.container import Container
    from pytest_pods.engine.errors import (
        AddressInUseError,
        AuthenticationError,
        CleanupError,
        CommandError,
        CommandNotExecutableError,
        CommandNotFoundError,
        ConflictError,
        ContainerNotFoundError,
        ContentError,
        DeadlineExceededError,
        ExitedEarlyError,
        HostError,
        ImageNotFoundError,
        InUseError,
        InvalidInputError,
        InvalidMarkerError,
        InvalidSpecError,
        KubeDocumentError,
        MissingProgramError,
        NameInUseError,
        NetworkError,
        NetworkNotFoundError,
        NoHealthCheckError,
        NotFoundError,
        NotReadyError,
        OCIRuntimeError,
        PodFailedError,
        PodNotFoundError,
        PodsError,
        PodsWarning,
        PortInUseError,
        RegistryError,
        RegistryUnreachableError,
        SandboxLostError,
        SessionNotFoundError,
        StorageError,
        SubnetInUseError,
        UnsupportedHostError,
        VolumeNotFoundError,
        WrongStateError,
    )
    from pytest_pods.engine.health import CheckResult, Health
    from pytest_pods.engine.network_handle import Network
    from pytest_pods.engine.pod import Pod
    from pytest_pods.engine.records import Change, ContainerState
    from pytest_pods.engine.services.execution import ExecResult
    from pytest_pods.engine.services.images import Image
    from pytest_pods.engine.specs.container import ContainerSpec, PullPolicy
    from pytest_pods.engine.specs.health import HealthCheck
    from pytest_pods.engine.specs.mounts import BindMount, ImageMount, TmpfsMount, VolumeMount
    from pytest_pods.engine.specs.networks import Attachment, NetworkMode, NetworkSpec, SubnetSpec
    from pytest_pods.engine.specs.pods import PodSpec
    from pytest_pods.engine.specs.ports import PortSpec
    from pytest_pods.engine.stats import PodStats, Stats
    from pytest_pods.engine.volume import Volume
    from pytest_pods.engine.waiting import Readiness, Wait
    from pytest_pods.fixtures.containers import RunContainer
    from pytest_pods.fixtures.declared import container_fixture, pod_fixture
    from pytest_pods.fixtures.images import image_fixture
    from pytest_pods.fixtures.networks import MakeNetwork, network_fixture
    from pytest_pods.fixtures.pods import RunPod
    from pytest_pods.fixtures.volumes import MakeVolume, volume_fixture

__all__ = [
    "AddressInUseError",
    "Attachment",
    "AuthenticationError",
    "BindMount",
    "Change",
    "CheckResult",
    "CleanupError",
    "CommandError",
    "CommandNotExecutableError",
    "CommandNotFoundError",
    "ConflictError",
    "Container",
    "ContainerNotFoundError",
    "ContainerSpec",
    "ContainerState",
    "ContentError",
    "DeadlineExceededError",
    "Engine",
    "ExecResult",
    "ExitedEarlyError",
    "Health",
    "HealthCheck",
    "HostError",
    "Image",
    "ImageMount",
    "ImageNotFoundError",
    "InUseError",
    "InvalidInputError",
    "InvalidMarkerError",
    "InvalidSpecError",
    "KubeDocumentError",
    "MakeNetwork",
    "MakeVolume",
    "MissingProgramError",
    "NameInUseError",
    "Network",
    "NetworkError",
    "NetworkMode",
    "NetworkNotFoundError",
    "NetworkSpec",
    "NoHealthCheckError",
    "NotFoundError",
    "NotReadyError",
    "OCIRuntimeError",
    "Pod",
    "PodFailedError",
    "PodNotFoundError",
    "PodSpec",
    "PodStats",
    "PodsError",
    "PodsWarning",
    "PortInUseError",
    "PortSpec",
    "PullPolicy",
    "Readiness",
    "RegistryError",
    "RegistryUnreachableError",
    "RunContainer",
    "RunPod",
    "SandboxLostError",
    "SessionNotFoundError",
    "Stats",
    "StorageError",
    "SubnetInUseError",
    "SubnetSpec",
    "TmpfsMount",
    "UnsupportedHostError",
    "Volume",
    "VolumeMount",
    "VolumeNotFoundError",
    "Wait",
    "WrongStateError",
    "container_fixture",
    "image_fixture",
    "network_fixture",
    "pod_fixture",
    "volume_fixture",
    "waits",
]

_HOMES = {
    "Attachment": "engine.specs.networks",
    "BindMount": "engine.specs.mounts",
    "Change": "engine.records",
    "CheckResult": "engine.health",
    "Container": "engine.container",
    "ContainerSpec": "engine.specs.container",
    "ContainerState": "engine.records",
    "Engine": "engine.api",
    "ExecResult": "engine.services.execution",
    "Health": "engine.health",
    "HealthCheck": "engine.specs.health",
    "Image": "engine.services.images",
    "ImageMount": "engine.specs.mounts",
    "MakeNetwork": "fixtures.networks",
    "MakeVolume": "fixtures.volumes",
    "Network": "engine.network_handle",
    "NetworkMode": "engine.specs.networks",
    "NetworkSpec": "engine.specs.networks",
    "Pod": "engine.pod",
    "PodSpec": "engine.specs.pods",
    "PodStats": "engine.stats",
    "PortSpec": "engine.specs.ports",
    "PullPolicy": "engine.specs.container",
    "Readiness": "engine.waiting",
    "RunContainer": "fixtures.containers",
    "RunPod": "fixtures.pods",
    "Stats": "engine.stats",
    "SubnetSpec": "engine.specs.networks",
    "TmpfsMount": "engine.specs.mounts",
    "Volume": "engine.volume",
    "VolumeMount": "engine.specs.mounts",
    "Wait": "engine.waiting",
    "container_fixture": "fixtures.declared",
    "image_fixture": "fixtures.images",
    "network_fixture": "fixtures.networks",
    "pod_fixture": "fixtures.declared",
    "volume_fixture": "fixtures.volumes",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    if name == "waits":
        return import_module(f"{__name__}.waits")
    # Not kept here: a test that runs pytest inside pytest may import the modules anew.
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'engine.errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
