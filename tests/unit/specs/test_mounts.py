"""Mounts as people write them, and the values that they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_pods.engine.errors import InvalidInputError, InvalidSpecError
from pytest_pods.engine.records import ContainerRecord
from pytest_pods.engine.runtime.mounts import build_mount
from pytest_pods.engine.specs.container import build_container_spec
from pytest_pods.engine.specs.mount_texts import parse_mount, parse_volume
from pytest_pods.engine.specs.mounts import BindMount, ImageMount, MountSpec, TmpfsMount, VolumeMount
from pytest_pods.engine.specs.volumes import build_volume_spec


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/s:/t", BindMount("/s", "/t")),
        ("/s:/t:ro,z,bind", BindMount("/s", "/t", read_only=True, recursive=False, relabel="z")),
        ("/s:/t:U,Z,rslave", BindMount("/s", "/t", chown=True, relabel="Z", propagation="rslave")),
        ("/s:/t:noexec,cached", BindMount("/s", "/t", options=("noexec",))),
        ("data:/t", VolumeMount("data", "/t")),
        ("data:/t:nocopy,ro", VolumeMount("data", "/t", read_only=True, copy=False)),
        ("data:/t:rbind,suid,dev", VolumeMount("data", "/t", options=("suid", "dev"))),
        ("/t", VolumeMount(None, "/t")),
    ],
)
def test_volume_text(text: str, mount: MountSpec) -> None:
    assert parse_volume(text) == mount


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid volume"),
        (":/t", "invalid volume"),
        ("a:", "invalid volume"),
        ("a:/b:ro:rw", "invalid volume"),
        ("data", "not 'data'"),
        ("data:t", "not 't'"),
        ("./x:/t", "is not an absolute path of the host"),
        ("..:/t", "is not an absolute path of the host"),
        ("-x:/t", "invalid name '-x'"),
        ("a:/t:rw,quick", "unknown option 'quick'"),
        ("a:/t:O", "unknown option 'O'"),
        ("/s:/t:nocopy", "is not filled from an image"),
        ("a:/", "nothing can be mounted at '/'"),
        ("a:/x/..", "nothing can be mounted at '/'"),
        ("a\0b:/t", "NUL"),
    ],
)
def test_wrong_volume_text_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_volume(text)


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("type=bind,source=/s,target=/t", BindMount("/s", "/t")),
        ("type=bind,src=/s,dst=/t,readonly", BindMount("/s", "/t", read_only=True)),
        ("type=bind,src=/s,destination=/t,ro=false,relabel=shared", BindMount("/s", "/t", relabel="z")),
        ("type=bind,src=/s,target=/t,bind-nonrecursive,U=true", BindMount("/s", "/t", recursive=False, chown=True)),
        ("type=bind,src=/s,target=/t,bind-propagation=rshared", BindMount("/s", "/t", propagation="rshared")),
        ('type=bind,"src=/a,b",target=/t', BindMount("/a,b", "/t")),
        ("source=data,target=/t", VolumeMount("data", "/t")),
        ("type=volume,target=/t", VolumeMount(None, "/t")),
        ("type=volume,src=d,target=/t,volume-subpath=a/b,readonly=true", VolumeMount("d", "/t", True, "a/b")),
        ("type=volume,src=d,target=/t,volume-nocopy,noexec", VolumeMount("d", "/t", copy=False, options=("noexec",))),
        ("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700", TmpfsMount("/t", 1 << 20, 0o700)),
        ("type=tmpfs,target=/t,size=64k,ro", TmpfsMount("/t", 65536, options=("ro",))),
        ("type=image,source=redis:7,target=/t", ImageMount("redis:7", "/t")),
        ("type=image,source=redis:7,target=/t,rw=true,subpath=/etc", ImageMount("redis:7", "/t", False, "etc")),
    ],
)
def test_mount_text(text: str, mount: MountSpec) -> None:
    assert parse_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "says no target"),
        ("type=bind,target=/t", "'' is not an absolute path"),
        ("type=nfs,source=a,target=/t", "unknown type 'nfs'"),
        ("type=volume,source=a", "says no target"),
        ("type=volume,source=a,target=t", "absolute path in the container"),
        ("type=volume,source=a,target=/t,size=1m", "takes no 'size'"),
        ("type=volume,source=a,target=/t,subpath=../x", "invalid sub-path"),
        ("type=volume,source=a,target=/t,subpath=/x", "invalid sub-path"),
        ("type=volume,source=a/b,target=/t", "invalid name 'a/b'"),
        ("type=volume,source=a,target=/t,volume-driver=nfs", "no volume driver 'nfs'"),
        ("type=volume,source=a,target=/t,ro=maybe", "neither true nor false"),
        ("type=volume,source=a,target=/t,what", "not KEY=VALUE"),
        ("type=tmpfs,target=/t,source=/x", "takes no 'source'"),
        ("type=tmpfs,target=/t,mode=9", "is no mode"),
        ("type=tmpfs,target=/t,size=big", "invalid size"),
        ("type=image,target=/t", "says no image"),
        ("type=bind,source=/s,target=/t,bind-propagation=x", "unknown propagation 'x'"),
        ("type=bind,source=/s,target=/t,relabel=x", "relabel is shared or private"),
        ('type=bind,"source=/s,target=/t', "cannot be read"),
    ],
)
def test_wrong_mount_text_is_named(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_mount(text)


class Handle:
    """Says itself how it is mounted, as a volume does."""

    def at(self, target: str, /, *, read_only: bool = False) -> VolumeMount:
        return VolumeMount("handle", target, read_only)


@pytest.mark.parametrize(
    ("volumes", "mounts"),
    [
        (["data:/t"], (VolumeMount("data", "/t"),)),
        ([Handle().at("/t", read_only=True)], (VolumeMount("handle", "/t", True),)),
        ([(Handle(), "/t"), ("data", "/u"), (None, "/w")],
         (VolumeMount("handle", "/t"), VolumeMount("data", "/u"), VolumeMount(None, "/w"))),
        ({"/t": Handle(), "/u": "/s", "/v": Path("/p"), "/w": "data", "/x": None},
         (VolumeMount("handle", "/t"), BindMount("/s", "/u"), BindMount("/p", "/v"), VolumeMount("data", "/w"),
          VolumeMount(None, "/x"))),
    ],
)  # fmt: skip
def test_volumes_of_python(volumes: Any, mounts: tuple[MountSpec, ...]) -> None:
    assert build_container_spec("i", volumes=volumes).mounts == mounts


@pytest.mark.parametrize(
    "volumes", ["data:/t", [3], [Handle()], {"/t": 3}, {"t": "data"}, {"/t": "./s"}, {"/t": Path("s")}, {3: "data"}]
)
def test_wrong_volumes_of_python_are_named(volumes: Any) -> None:
    with pytest.raises(InvalidInputError, match="volumes"):
        build_container_spec("i", volumes=volumes)


@pytest.mark.parametrize("volumes", [["a:/t", "b:/t/"], ["a:/t", "/x/../t"]])
def test_two_mounts_at_one_place_are_refused(volumes: list[str]) -> None:
    with pytest.raises(InvalidSpecError, match="two mounts at"):
        build_container_spec("i", volumes=volumes)


def test_mounts_survive_being_written_down() -> None:
    mounts: tuple[MountSpec, ...] = (
        BindMount("/s", "/a", options=("exec",), subpath="x"),
        VolumeMount("n", "/b", anonymous=True),
        ImageMount("i", "/c"),
        TmpfsMount("/d", 5, options=("ro",)),
    )
    spec = build_container_spec("i", mounts=mounts)
    record = ContainerRecord(
        "c", "n", "s", "i", "x", spec, ("a",), "SIGTERM", "h", "", (), 0.0, (), mounts, ("sha256:1",)
    )  # fmt: skip
    assert ContainerRecord.from_bytes(record.to_bytes(), where="here") == record


@pytest.mark.parametrize(
    ("mount", "options"),
    [
        (BindMount("/s", "/t"), ("rbind", "rprivate", "nosuid", "nodev", "rw")),
        (BindMount("/s", "/t", True, False), ("bind", "rprivate", "nosuid", "nodev", "ro")),
        (VolumeMount("v", "/t", options=("suid", "noexec")), ("rbind", "rprivate", "nodev", "noexec", "rw")),
        (VolumeMount("v", "/t", propagation="rslave"), ("rbind", "rslave", "nosuid", "nodev", "rw")),
        (ImageMount("i", "/t"), ("bind", "rprivate", "nosuid", "nodev", "ro")),
    ],
)
def test_mount_of_the_runtime_configuration(mount: MountSpec, options: tuple[str, ...]) -> None:
    built = build_mount(mount, "/where")
    assert (built.destination, built.kind, built.source, built.options) == ("/t", "bind", "/where", options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "a/b"}, "invalid name"),
        ({"name": 3}, "has to be a text"),
        ({"labels": {"a": 1}}, "has to be a text"),
        ({"content": 3}, "content has to be"),
        ({"content": "/no/such/directory"}, "is not a directory"),
        ({"content": {"/abs": "x"}}, "is not a relative path"),
        ({"content": {"a/../../b": "x"}}, "is not a plain relative path"),
        ({"content": {"": "x"}}, "is not a relative path"),
        ({"content": {"a": 3}}, "has to be a text, bytes or a path"),
        ({"content": {"a": Path("/no/such/file")}}, "does not exist"),
    ],
)
def test_wrong_volume_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        build_volume_spec(**arguments)
