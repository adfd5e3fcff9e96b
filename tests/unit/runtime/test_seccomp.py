from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from pytest_pods.engine.errors import UnsupportedHostError
from pytest_pods.engine.oci.runtime_spec import SeccompConfiguration
from pytest_pods.engine.runtime.capabilities import DEFAULT_CAPABILITIES
from pytest_pods.engine.runtime.seccomp import ARCHITECTURES, build_seccomp_document
from pytest_pods.engine.runtime.seccomp_filter import compile_filter, ensure_filter, filter_key


def _plain(document: SeccompConfiguration, action: str) -> set[str]:
    return {name for rule in document.rules if rule.action == action and not rule.arguments for name in rule.names}


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_profile_names_one_architecture_and_each_call_once(architecture: str) -> None:
    document = build_seccomp_document(DEFAULT_CAPABILITIES, architecture)
    assert document.architectures == (ARCHITECTURES[architecture],)
    names = [name for rule in document.rules if not rule.arguments for name in rule.names]
    assert len(names) == len(set(names))
    assert {"read", "execve", "clone3", "openat"} <= _plain(document, "SCMP_ACT_ALLOW")
    assert document.default_errno == 38


def test_older_calls_are_those_of_the_architecture() -> None:
    allowed = {name: _plain(build_seccomp_document(frozenset(), name), "SCMP_ACT_ALLOW") for name in ARCHITECTURES}
    assert "fork" in allowed["x86_64"]
    assert "fork" not in allowed["aarch64"]


@pytest.mark.parametrize(
    ("capability", "call"),
    [
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_ADMIN", "bpf"),
        ("CAP_BPF", "bpf"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_SYS_MODULE", "init_module"),
    ],
)
def test_call_comes_with_its_capability(capability: str, call: str) -> None:
    without = build_seccomp_document(frozenset(), "x86_64")
    given = build_seccomp_document(frozenset({capability}), "x86_64")
    assert call in _plain(without, "SCMP_ACT_ERRNO")
    assert call in _plain(given, "SCMP_ACT_ALLOW")
    assert call not in _plain(given, "SCMP_ACT_ERRNO")


def test_unknown_architecture_is_refused_with_a_way_out() -> None:
    with pytest.raises(UnsupportedHostError, match="seccomp=False"):
        build_seccomp_document(frozenset(), "riscv64")


def _compile() -> tuple[SeccompConfiguration, bytes]:
    document = build_seccomp_document(DEFAULT_CAPABILITIES, os.uname().machine)
    content = compile_filter(document)
    if content is None:
        pytest.skip("needs libseccomp.so.2")
    return document, content


def test_compiled_filter_is_a_whole_program() -> None:
    _, content = _compile()
    codes = [code for code, _, _, _ in struct.iter_unpack("<HBBI", content)]
    assert 10 < len(codes) <= 4096
    # BPF_RET: nothing falls out of the end.
    assert codes[-1] & 0x7 == 0x6


def test_filter_is_kept_under_its_key(tmp_path: Path) -> None:
    document, content = _compile()
    assert ensure_filter(document, directory=tmp_path / "filters") == content
    kept = tmp_path / "filters" / filter_key(document)
    assert kept.read_bytes() == content
    kept.write_bytes(content[:8])
    assert ensure_filter(document, directory=tmp_path / "filters") == content[:8]


def test_torn_filter_is_made_again(tmp_path: Path) -> None:
    document, content = _compile()
    (tmp_path / filter_key(document)).write_bytes(content[:13])
    assert ensure_filter(document, directory=tmp_path) == content


def test_filter_for_another_machine_is_not_compiled() -> None:
    other = "aarch64" if os.uname().machine == "x86_64" else "x86_64"
    assert compile_filter(build_seccomp_document(frozenset(), other)) is None
