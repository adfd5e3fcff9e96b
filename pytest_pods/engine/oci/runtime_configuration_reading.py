"""Reads a config.json that the engine wrote back into a `RuntimeConfiguration`: another process may have written it.

Only the engine's own documents are meant; anything else is an InvalidDocumentError that names the file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.errors import InvalidDocumentError
from pytest_pods.engine.oci.runtime_spec import (
    Capabilities,
    DeviceRule,
    LinuxConfiguration,
    Mount,
    Namespace,
    ProcessConfiguration,
    ProcessUser,
    ResourceLimit,
    Resources,
    RuntimeConfiguration,
    SeccompArgument,
    SeccompConfiguration,
    SeccompRule,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def parse_runtime_configuration(content: bytes, *, where: str) -> RuntimeConfiguration:
    """Reads config.json; `where` names the file in messages. Raises InvalidDocumentError."""
    try:
        return _configuration(json.loads(content.decode("utf-8", "surrogateescape")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidDocumentError(
            f"{where} is not a runtime configuration of this engine: {type(error).__name__}: {error}"
        ) from error


def _configuration(document: Mapping[str, Any]) -> RuntimeConfiguration:
    return RuntimeConfiguration(
        process=_process(document["process"]),
        root=document["root"]["path"],
        root_read_only=document["root"]["readonly"],
        hostname=document.get("hostname"),
        mounts=tuple(
            Mount(mount["destination"], mount["type"], mount["source"], tuple(mount["options"]))
            for mount in document["mounts"]
        ),
        linux=_linux(document["linux"]),
        annotations=document.get("annotations", {}),
    )


def _process(document: Mapping[str, Any]) -> ProcessConfiguration:
    user = document["user"]
    return ProcessConfiguration(
        args=tuple(document["args"]),
        cwd=document["cwd"],
        env=tuple(_pair(text) for text in document["env"]),
        user=ProcessUser(user["uid"], user["gid"], tuple(user.get("additionalGids", ())), user.get("umask")),
        terminal=document["terminal"],
        capabilities=Capabilities(**{name: tuple(names) for name, names in document["capabilities"].items()}),
        limits=tuple(
            ResourceLimit(limit["type"], _signed(limit["soft"]), _signed(limit["hard"]))
            for limit in document.get("rlimits", ())
        ),
        no_new_privileges=document["noNewPrivileges"],
        oom_score=document.get("oomScoreAdj"),
    )


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _signed(limit: int) -> int:
    return -1 if limit == 2**64 - 1 else limit


def _linux(document: Mapping[str, Any]) -> LinuxConfiguration:
    return LinuxConfiguration(
        namespaces=tuple(Namespace(item["type"], item.get("path")) for item in document["namespaces"]),
        cgroups_path=document.get("cgroupsPath"),
        masked_paths=tuple(document.get("maskedPaths", ())),
        read_only_paths=tuple(document.get("readonlyPaths", ())),
        sysctls=document.get("sysctl", {}),
        device_rules=tuple(
            DeviceRule(rule["allow"], rule["access"], rule.get("type"), rule.get("major"), rule.get("minor"))
            for rule in document.get("resources", {}).get("devices", ())
        ),
        resources=_resources(document.get("resources", {})),
        seccomp=_seccomp(document["seccomp"]) if "seccomp" in document else None,
        rootfs_propagation=document.get("rootfsPropagation", ""),
    )


def _resources(document: Mapping[str, Any]) -> Resources:
    memory, cpu = document.get("memory", {}), document.get("cpu", {})
    return Resources(
        memory=memory.get("limit"),
        memory_swap=memory.get("swap"),
        cpu_quota=cpu.get("quota"),
        cpu_period=cpu.get("period"),
        pids=document.get("pids", {}).get("limit"),
    )


def _seccomp(document: Mapping[str, Any]) -> SeccompConfiguration:
    return SeccompConfiguration(
        default_action=document["defaultAction"],
        default_errno=document.get("defaultErrnoRet"),
        architectures=tuple(document["architectures"]),
        rules=tuple(
            SeccompRule(
                names=tuple(rule["names"]),
                action=rule["action"],
                errno=rule.get("errnoRet"),
                arguments=tuple(
                    SeccompArgument(item["index"], item["value"], item["op"]) for item in rule.get("args", ())
                ),
            )
            for rule in document["syscalls"]
        ),
    )
