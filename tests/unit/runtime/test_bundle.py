from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.oci.descriptor import Platform
from pytest_pods.engine.oci.image_config import ImageConfig
from pytest_pods.engine.oci.runtime_configuration_reading import parse_runtime_configuration
from pytest_pods.engine.oci.runtime_spec import ResourceLimit, RuntimeConfiguration
from pytest_pods.engine.runtime.bundle import (
    BundleRequest,
    EtcFiles,
    NamespacePaths,
    build_command,
    build_runtime_configuration,
)
from pytest_pods.engine.runtime.capabilities import DEFAULT_CAPABILITIES, NUMBERS
from pytest_pods.engine.runtime.users import ResolvedUser
from pytest_pods.engine.specs.container import ContainerSpec, build_container_spec
from pytest_pods.engine.specs.mounts import BindMount, TmpfsMount

GOLDEN = Path(__file__).with_name("default_config.json")
IMAGE = ImageConfig(
    Platform("linux", "amd64"),
    (),
    env=(("PATH", "/opt/bin:/bin"), ("LANG", "C.UTF-8")),
    entrypoint=("/entry",),
    command=("serve", "--all"),
    workdir="srv",
)


def _request(image: ImageConfig = IMAGE, **options: Any) -> BundleRequest:
    return BundleRequest(
        spec=build_container_spec("shop:dev", **options),
        image=image,
        rootfs=Path("/run/s/c/merged"),
        user=ResolvedUser(0, 0, (10,), "/root", "root"),
        hostname="web",
        available_capabilities=frozenset(NUMBERS),
        architecture="x86_64",
        namespaces=NamespacePaths(network=Path("/run/s/c/ns/net")),
        etc=EtcFiles(Path("/run/s/c/hosts"), Path("/run/s/c/hostname"), Path("/run/s/c/resolv.conf")),
        cgroups_path="/pytest-pods/s/c",
        own_limits=(ResourceLimit("RLIMIT_NOFILE", 1024, 20_000), ResourceLimit("RLIMIT_NPROC", -1, -1)),
    )


def _build(**options: Any) -> RuntimeConfiguration:
    return build_runtime_configuration(_request(**options))


def _mounts(configuration: RuntimeConfiguration) -> dict[str, tuple[str, ...]]:
    return {mount.destination: mount.options for mount in configuration.mounts}


def test_default_container_is_this_document() -> None:
    document = _build().to_document()
    # The filter has tests of its own.
    assert document["linux"].pop("seccomp")["defaultAction"] == "SCMP_ACT_ERRNO"
    assert document == json.loads(GOLDEN.read_text())


def test_written_configuration_is_read_back_equal() -> None:
    configuration = _build(env={"NAME": "wörd \udcff"}, mounts=[TmpfsMount("/t"), BindMount("/a", "/b")])
    assert parse_runtime_configuration(configuration.to_bytes(), where="config.json") == configuration


@pytest.mark.parametrize(
    ("entrypoint", "command", "expected"),
    [
        (None, None, ("/entry", "serve", "--all")),
        (None, ["other"], ("/entry", "other")),
        (None, [], ("/entry",)),
        (["/mine"], None, ("/mine",)),
        (["/mine"], ["with", "this"], ("/mine", "with", "this")),
        ([], ["alone"], ("alone",)),
    ],
)
def test_entrypoint_and_command_merge_as_docker_merges_them(
    entrypoint: list[str] | None, command: list[str] | None, expected: tuple[str, ...]
) -> None:
    assert build_command(build_container_spec("shop:dev", command, entrypoint=entrypoint), IMAGE) == expected


@pytest.mark.parametrize(
    "spec", [ContainerSpec("bare"), ContainerSpec("bare", command=()), ContainerSpec("bare", ("",))]
)
def test_container_without_command_is_refused(spec: ContainerSpec) -> None:
    with pytest.raises(InvalidSpecError, match="no command for a container of bare"):
        build_command(spec, ImageConfig(Platform("linux", "amd64"), ()))


def test_variables_of_the_spec_win_over_the_images_and_those_over_defaults() -> None:
    environment = dict(_build(env={"LANG": "de", "HOME": "/mine"}, tty=True).process.env)
    assert environment == {
        "PATH": "/opt/bin:/bin",
        "container": "pytest-pods",
        "TERM": "xterm",
        "HOSTNAME": "web",
        "HOME": "/mine",
        "LANG": "de",
    }


def test_limits_are_cut_to_what_the_process_may_set() -> None:
    assert _build().process.limits == (
        ResourceLimit("RLIMIT_NOFILE", 20_000, 20_000),
        ResourceLimit("RLIMIT_NPROC", 4_194_304, 4_194_304),
    )


def test_mounts_are_ordered_by_depth_and_replace_defaults() -> None:
    mounts = [BindMount("/host/deep", "/a/b/c"), TmpfsMount("/dev/shm", size=1024), BindMount("/host/a", "/a", True)]
    configuration = _build(mounts=mounts)
    destinations = [mount.destination for mount in configuration.mounts]
    assert destinations.index("/a") < destinations.index("/a/b/c")
    assert destinations.index("/dev") < destinations.index("/dev/shm")
    assert destinations.count("/dev/shm") == 1
    assert _mounts(configuration)["/dev/shm"] == ("nosuid", "nodev", "noexec", "mode=1777", "size=1024")
    assert _mounts(configuration)["/a"] == ("rbind", "rprivate", "nosuid", "nodev", "ro")


def test_root_of_a_mount_path_cannot_climb() -> None:
    assert "/etc/x" in _mounts(_build(mounts=[BindMount("/a", "//srv/../etc/x/")]))


def test_tmpfs_options_override_the_careful_ones() -> None:
    found = _mounts(_build(mounts=[TmpfsMount("/t", mode=0o700, options=("exec", "ro"))]))["/t"]
    assert found == ("nosuid", "nodev", "ro", "mode=700")


def test_privileged_container_is_not_confined() -> None:
    configuration = _build(privileged=True)
    assert configuration.process.capabilities.effective == tuple(sorted(NUMBERS))
    assert configuration.linux.seccomp is None
    assert configuration.linux.masked_paths == configuration.linux.read_only_paths == ()
    assert configuration.linux.device_rules[0].allow
    assert "rw" in _mounts(configuration)["/sys"]


def test_cgroups_are_shown_where_the_container_has_its_own_view_of_them() -> None:
    configuration = build_runtime_configuration(replace(_request(), cgroup_namespace=True))
    assert _mounts(configuration)["/sys/fs/cgroup"][-1] == "ro"
    assert _mounts(_build(privileged=True))["/sys/fs/cgroup"][-1] == "rw"
    assert "/sys/fs/cgroup" not in _mounts(_build())


def test_host_network_has_no_namespace_and_no_sysctl() -> None:
    configuration = build_runtime_configuration(replace(_request(), namespaces=NamespacePaths()))
    assert "network" not in {namespace.kind for namespace in configuration.linux.namespaces}
    assert configuration.linux.sysctls == {}
    assert _mounts(configuration)["/sys"] == ("nosuid", "noexec", "nodev", "ro")


def test_host_network_without_root_borrows_the_hosts_sys() -> None:
    configuration = build_runtime_configuration(replace(_request(), namespaces=NamespacePaths(), rootless=True))
    assert _mounts(configuration)["/sys"] == ("rbind", "rprivate", "nosuid", "noexec", "nodev", "rro")
    assert "/sys/fs/cgroup" not in _mounts(configuration)


def test_pinned_uts_namespace_keeps_its_name() -> None:
    namespaces = NamespacePaths(network=Path("/ns/net"), ipc=Path("/ns/ipc"), uts=Path("/ns/uts"))
    configuration = build_runtime_configuration(replace(_request(), namespaces=namespaces))
    assert configuration.hostname is None
    assert {item.kind: item.path for item in configuration.linux.namespaces} == {
        "pid": None,
        "mount": None,
        "ipc": "/ns/ipc",
        "uts": "/ns/uts",
        "network": "/ns/net",
    }


def test_rootless_container_asks_for_nothing_that_it_cannot_have() -> None:
    request = replace(_request(), rootless=True, single_id=True, cgroups_path=None, cgroup_namespace=True)
    configuration = build_runtime_configuration(request)
    assert configuration.linux.device_rules == ()
    assert configuration.linux.cgroups_path is None
    assert configuration.process.user.groups == ()
    assert "gid=5" not in _mounts(configuration)["/dev/pts"]
    assert configuration.linux.sysctls["net.ipv4.ping_group_range"] == "0 0"
    assert configuration.linux.namespaces[-1].kind == "cgroup"


def test_user_is_in_its_own_group_and_holds_no_capability() -> None:
    user = ResolvedUser(70, 71, (90, 71), "/var/lib/posty", "posty")
    process = build_runtime_configuration(replace(_request(), user=user)).process
    assert (process.user.uid, process.user.gid, process.user.groups) == (70, 71, (71, 90))
    assert process.capabilities.bounding == tuple(sorted(DEFAULT_CAPABILITIES))
    assert process.capabilities.effective == ()
    assert dict(process.env)["HOME"] == "/var/lib/posty"


@pytest.mark.parametrize(("workdir", "expected"), [(None, "/srv"), ("/x/../y/", "/y"), ("/", "/")])
def test_working_directory_is_absolute(workdir: str | None, expected: str) -> None:
    assert _build(workdir=workdir).process.cwd == expected


def test_seccomp_can_be_left_out() -> None:
    assert "seccomp" not in _build(seccomp=False).to_document()["linux"]


def test_limits_become_resources_and_ulimits_never_above_the_own_ones() -> None:
    configuration = _build(
        memory="64m", memory_swap="128m", cpus=0.5, pids_limit=100, shm_size="1m", ulimits=["nofile=10:90000", "core=0"]
    )
    resources = configuration.to_document()["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert resources["cpu"] == {"quota": 50_000, "period": 100_000}
    assert resources["pids"] == {"limit": 100}
    limits = {limit.kind: (limit.soft, limit.hard) for limit in configuration.process.limits}
    assert limits["RLIMIT_NOFILE"] == (10, 20_000)
    assert limits["RLIMIT_CORE"] == (0, 0)
    assert "size=1048576" in _mounts(configuration)["/dev/shm"]
    assert parse_runtime_configuration(configuration.to_bytes(), where="config.json") == configuration
