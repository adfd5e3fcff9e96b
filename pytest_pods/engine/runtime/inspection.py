"""The document that `docker inspect` users expect, from what is known of a container. Pure.

Docker has more keys; those that are here mean what they mean there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_pods.engine.runtime.defaults import SHARED_MEMORY_BYTES
from pytest_pods.engine.specs.mounts import BindMount, ImageMount, MountSpec, TmpfsMount, VolumeMount
from pytest_pods.engine.specs.networks import NetworkMode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_pods.engine.health import Health
    from pytest_pods.engine.oci.runtime_spec import RuntimeConfiguration
    from pytest_pods.engine.pod_records import PodRecord
    from pytest_pods.engine.records import ContainerRecord, ContainerState
    from pytest_pods.engine.specs.container import ContainerSpec
    from pytest_pods.engine.specs.health import HealthPlan
    from pytest_pods.engine.state.layout import ContainerLayout

_NEVER = "0001-01-01T00:00:00Z"


def build_inspection(
    record: ContainerRecord,
    state: ContainerState,
    layout: ContainerLayout,
    configuration: RuntimeConfiguration | None = None,
    *,
    sources: Mapping[str, str] | None = None,
    endpoints: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One container's document. Without its `configuration` the environment, user and working directory are those that
    were asked for, not those that the image added. `sources` are, by target, where the files of its mounts are;
    `endpoints` has one for each network that it is on now."""
    return {
        "Id": record.id,
        "Name": record.name,
        "Created": _moment(datetime.fromtimestamp(record.created, UTC)),
        "Path": record.argv[0] if record.argv else "",
        "Args": list(record.argv[1:]),
        "State": _build_state(state),
        "Image": record.image_id,
        "ImageName": record.image,
        "HostnamePath": str(layout.hostname_file),
        "HostsPath": str(layout.hosts_file),
        "ResolvConfPath": str(layout.resolv_file),
        "LogPath": str(layout.log_file),
        "OCIConfigPath": str(layout.config_file),
        "Driver": "overlay",
        "GraphDriver": {
            "Name": "overlay",
            "Data": {
                "MergedDir": str(layout.merged_dir),
                "UpperDir": str(layout.upper_dir),
                "WorkDir": str(layout.work_dir),
            },
        },
        "Mounts": [_build_mount(mount, (sources or {}).get(mount.target, "")) for mount in record.mounts],
        "Config": _build_config(record, configuration),
        "HostConfig": _build_host_config(record),
        "NetworkSettings": _build_network(record, endpoints or {}),
        "Session": record.session_id,
        "Pod": record.membership.pod_id if record.membership is not None else "",
        "RestartCount": state.restarts,
    }


def build_pod_inspection(
    record: PodRecord,
    status: str,
    members: Sequence[tuple[str, str, str]],
    *,
    networks: Sequence[str],
    cgroup: str | None,
) -> dict[str, Any]:
    """One pod's document, in the shape of `podman pod inspect`; `members` are name, ID and state, `networks` those that
    it is on now."""
    return {
        "Id": record.id,
        "Name": record.name,
        "Created": _moment(datetime.fromtimestamp(record.created, UTC)),
        "State": status.capitalize(),
        "Hostname": record.hostname,
        "Labels": dict(record.labels),
        "CgroupPath": cgroup or "",
        "SharedNamespaces": list(record.shares),
        "NetworkMode": record.network.value,
        "IPAddress": record.ip if record.network is NetworkMode.PRIVATE else "",
        "Networks": list(networks),
        "PortBindings": _build_ports(record),
        "ShmSize": record.shared_memory,
        "Limits": dict(record.limits),
        "ExitPolicy": record.exit_policy,
        "RestartPolicy": str(record.restart or "no"),
        "NumContainers": len(members),
        "Containers": [{"Id": member_id, "Name": name, "State": state} for name, member_id, state in members],
        "Session": record.session_id,
    }


def _moment(value: datetime | None) -> str:
    if value is None:
        return _NEVER
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _build_state(state: ContainerState) -> dict[str, Any]:
    return {
        "Status": state.status,
        "Running": state.running,
        "Paused": state.status == "paused",
        "Restarting": state.restarting,
        "OOMKilled": state.oom_killed,
        "Dead": False,
        "Pid": state.container_pid or 0,
        "ConmonPid": state.monitor_pid or 0,
        "ExitCode": state.exit_code or 0,
        "Error": state.fault or "",
        "StartedAt": _moment(state.started_at),
        "FinishedAt": _moment(state.finished_at),
        # As Docker's: there is none of a container without a health check.
        **({} if state.health is None else {"Health": _build_health(state.health)}),
    }


def _build_health(health: Health) -> dict[str, Any]:
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {
                "Start": _moment(check.start),
                "End": _moment(check.end),
                "ExitCode": check.exit_code,
                "Output": check.output,
            }
            for check in health.log
        ],
    }


def _build_health_check(plan: HealthPlan) -> dict[str, Any]:
    """In Docker's words, times in nanoseconds; what is not a command is named in the manner of one."""
    target = plan.target
    if target.kind != "exec":
        test = [target.kind.upper(), target.describe()]
    elif target.command[:2] == ("/bin/sh", "-c") and len(target.command) == 3:
        test = ["CMD-SHELL", target.command[2]]
    else:
        test = ["CMD", *target.command]
    times = {
        "Interval": plan.interval,
        "Timeout": plan.timeout,
        "StartPeriod": plan.start_period,
        "StartInterval": plan.start_interval,
    }
    return {"Test": test, **{key: round(value * 1e9) for key, value in times.items()}, "Retries": plan.retries}


def _build_mount(mount: MountSpec, source: str) -> dict[str, Any]:
    if isinstance(mount, TmpfsMount):
        return {"Type": "tmpfs", "Source": "", "Destination": mount.target, "Mode": "", "RW": "ro" not in mount.options}
    document: dict[str, Any] = {"Source": source, "Destination": mount.target, "RW": not mount.read_only}
    if mount.subpath:
        document["SubPath"] = mount.subpath
    if isinstance(mount, ImageMount):
        return {"Type": "image", "Name": mount.image, **document, "Mode": "", "Propagation": "rprivate"}
    # As Docker says it: what was asked for beside reading and writing has its place in other keys.
    document |= {"Mode": mount.relabel or "", "Propagation": mount.propagation, "Options": list(mount.options)}
    if isinstance(mount, BindMount):
        return {"Type": "bind", **document, "Source": mount.source}
    return {"Type": "volume", "Name": mount.name, **document, "Driver": "local"}


def _build_config(record: ContainerRecord, configuration: RuntimeConfiguration | None) -> dict[str, Any]:
    spec = record.spec
    process = configuration.process if configuration is not None else None
    environment = process.env if process is not None else tuple(spec.env.items())
    return {
        "Hostname": record.hostname,
        "User": spec.user or "",
        "Tty": spec.tty,
        "OpenStdin": spec.interactive,
        "Env": [f"{name}={value}" for name, value in environment],
        "Cmd": None if spec.command is None else list(spec.command),
        "Entrypoint": None if spec.entrypoint is None else list(spec.entrypoint),
        "Image": record.image,
        "WorkingDir": process.cwd if process is not None else (spec.workdir or ""),
        "Labels": dict(spec.labels),
        "StopSignal": record.stop_signal,
        "StopTimeout": spec.stop_timeout,
        "ExposedPorts": {port.key: {} for port in record.ports},
        **_build_health_options(record.health),
    }


def _build_health_options(plan: HealthPlan | None) -> dict[str, Any]:
    if plan is None:
        return {}
    return {"Healthcheck": _build_health_check(plan), "HealthcheckOnFailureAction": plan.on_failure}


def _build_host_config(record: ContainerRecord) -> dict[str, Any]:
    spec = record.spec
    return {
        "Binds": [
            f"{mount.source if isinstance(mount, BindMount) else mount.name}:{mount.target}:"
            f"{'ro' if mount.read_only else 'rw'}"
            for mount in record.mounts
            if isinstance(mount, BindMount) or (isinstance(mount, VolumeMount) and not mount.anonymous)
        ],
        "Tmpfs": {
            mount.target: ",".join(_tmpfs_options(mount)) for mount in spec.mounts if isinstance(mount, TmpfsMount)
        },
        "NetworkMode": _find_mode(record),
        "PortBindings": _build_ports(record),
        "AutoRemove": spec.remove,
        "CapAdd": list(spec.cap_add),
        "CapDrop": list(spec.cap_drop),
        "Privileged": spec.privileged,
        "ReadonlyRootfs": spec.read_only,
        "SecurityOpt": _security_options(spec),
        "Dns": ["none"] if spec.image_resolv_conf else list(spec.dns),
        "DnsSearch": list(spec.dns_search),
        "DnsOptions": list(spec.dns_options),
        "ExtraHosts": [f"{name}:{address}" for name, address in spec.add_hosts.items()],
        "RestartPolicy": {
            "Name": spec.restart.condition if spec.restart is not None else "no",
            "MaximumRetryCount": spec.restart.most if spec.restart is not None else 0,
        },
        "Memory": spec.memory or 0,
        "MemorySwap": spec.memory_swap or 0,
        "NanoCpus": round((spec.cpus or 0) * 1e9),
        "PidsLimit": spec.pids_limit or 0,
        "ShmSize": spec.shm_size or SHARED_MEMORY_BYTES,
        "Ulimits": [{"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in spec.ulimits],
    }


def _tmpfs_options(mount: TmpfsMount) -> list[str]:
    size = [f"size={mount.size}"] if mount.size is not None else []
    return [*mount.options, f"mode={mount.mode:o}", *size]


def _security_options(spec: ContainerSpec) -> list[str]:
    options = ["no-new-privileges"] if spec.no_new_privileges else []
    return options if spec.seccomp and not spec.privileged else [*options, "seccomp=unconfined"]


def _build_ports(record: ContainerRecord | PodRecord) -> dict[str, list[dict[str, str]]]:
    ports: dict[str, list[dict[str, str]]] = {}
    for port in record.ports:
        ports.setdefault(port.key, []).append({"HostIp": port.host_ip, "HostPort": str(port.host_port)})
    return ports


def _build_network(record: ContainerRecord, endpoints: Mapping[str, Any]) -> dict[str, Any]:
    ip = record.ip if record.spec.network is NetworkMode.PRIVATE else ""
    return {"IPAddress": ip, "Ports": _build_ports(record), "Networks": dict(endpoints)}


def _find_mode(record: ContainerRecord) -> str:
    if record.network_of is not None and not record.network_of.pod:
        return f"container:{record.network_of.id}"
    spec = record.spec
    return spec.networks[0].network if spec.networks else spec.network.value
