from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.host.protocol import Kind, Tag, parse_answer
from pytest_pods.engine.oci.runtime_spec import (
    Capabilities,
    LinuxConfiguration,
    Namespace,
    ProcessConfiguration,
    ProcessUser,
    ResourceLimit,
    RuntimeConfiguration,
)
from pytest_pods.engine.runtime.enter import build_enter_orders

PROCESS = ProcessConfiguration(
    args=("sh", "-c", "echo ü"),
    cwd="/srv",
    env=(("A", "1"), ("B", "2=3")),
    user=ProcessUser(70, 71, (71, 90), 0o27),
    capabilities=Capabilities(("CAP_CHOWN", "CAP_KILL"), ("CAP_KILL",), (), ("CAP_KILL",), ()),
    limits=(ResourceLimit("RLIMIT_NOFILE", 1024, -1),),
    no_new_privileges=True,
    oom_score=-17,
)
CONTAINER = RuntimeConfiguration(
    process=PROCESS,
    root="/merged",
    linux=LinuxConfiguration(namespaces=(Namespace("pid"), Namespace("mount"), Namespace("network", "/ns/net"))),
)


def _fields(process: ProcessConfiguration = PROCESS, seccomp: bytes | None = None) -> dict[Tag, list[bytes]]:
    orders = build_enter_orders(
        CONTAINER, process, container_pid=42, cgroups=[Path("/cg/a"), Path("/cg/b")], seccomp=seccomp
    )
    message = parse_answer(orders)
    assert message.kind == Kind.ENTER
    fields: dict[Tag, list[bytes]] = defaultdict(list)
    for tag, content in message.fields:
        fields[Tag(tag)].append(content)
    return fields


def _u32(number: int) -> list[bytes]:
    return [struct.pack("<I", number)]


def test_orders_say_all_that_the_helper_needs() -> None:
    assert dict(_fields()) == {
        Tag.PID: _u32(42),
        Tag.JOIN: _u32(0x20000000 | 0x00020000 | 0x40000000),
        Tag.ARGUMENT: [b"sh", b"-c", "echo ü".encode()],
        Tag.ENVIRONMENT: [b"A=1", b"B=2=3"],
        Tag.DIRECTORY: [b"/srv"],
        Tag.CGROUP: [b"/cg/a", b"/cg/b"],
        Tag.UID: _u32(70),
        Tag.GID: _u32(71),
        Tag.GROUP: [*_u32(71), *_u32(90)],
        Tag.CAPABILITIES: [struct.pack("<5Q", 0b100001, 0b100000, 0, 0b100000, 0)],
        Tag.NO_NEW_PRIVILEGES: _u32(1),
        Tag.UMASK: _u32(0o27),
        Tag.RLIMIT: [struct.pack("<IQQ", 7, 1024, 2**64 - 1)],
        Tag.OOM_SCORE: [b"-17"],
    }


def test_filter_and_terminal_are_said_where_there_are_some() -> None:
    fields = _fields(replace(PROCESS, terminal=True), seccomp=b"12345678")
    assert fields[Tag.SECCOMP] == [b"12345678"]
    assert fields[Tag.TERMINAL] == _u32(1)


def test_what_is_not_set_is_not_said() -> None:
    fields = _fields(ProcessConfiguration(args=("true",)))
    assert not {Tag.OOM_SCORE, Tag.RLIMIT, Tag.SECCOMP, Tag.TERMINAL, Tag.GROUP} & set(fields)
    assert fields[Tag.UMASK] == _u32(0o22)


def test_unknown_limit_is_named() -> None:
    with pytest.raises(InvalidSpecError, match="RLIMIT_COFFEE"):
        _fields(replace(PROCESS, limits=(ResourceLimit("RLIMIT_COFFEE", 1, 1),)))
