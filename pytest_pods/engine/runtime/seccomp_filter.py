"""The same filter as a BPF program, for the fast exec: compiled by libseccomp, kept in a file by what went into it."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import SystemCallError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_pods.engine.oci.runtime_spec import SeccompConfiguration, SeccompRule

_FORMAT = 1
_INSTRUCTION_BYTES = 8
_MOST_INSTRUCTIONS = 4096

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_OPTIMISE = 8
_AS_BINARY_TREE = 2
_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
}
_NATIVE = {"SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_AARCH64": "aarch64"}
_UNKNOWN_CALL = -1


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def filter_key(configuration: SeccompConfiguration) -> str:
    """The name under which a compiled filter is kept."""
    content = json.dumps([_FORMAT, os.uname().machine, configuration.to_document()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


@lru_cache(maxsize=8)
def compile_filter(configuration: SeccompConfiguration) -> bytes | None:
    """The filter as an array of `struct sock_filter`; None where libseccomp is missing or the filter is for another
    machine. Raises SystemCallError if libseccomp refuses."""
    library = _load_library()
    if library is None or {_NATIVE.get(name) for name in configuration.architectures} != {os.uname().machine}:
        return None
    context = library.seccomp_init(ctypes.c_uint32(_action(configuration.default_action, configuration.default_errno)))
    if not context:
        raise SystemCallError("libseccomp makes no filter", call="seccomp_init", errno=0)
    try:
        # A search in a tree instead of hundreds of comparisons; older libraries do not know it and need not.
        library.seccomp_attr_set(context, _OPTIMISE, _AS_BINARY_TREE)
        for rule in configuration.rules:
            _add_rule(library, context, rule)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def ensure_filter(configuration: SeccompConfiguration, *, directory: Path) -> bytes | None:
    """The compiled filter from `directory`, where it is put if it is not there; None as `compile_filter`."""
    path = directory / filter_key(configuration)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    if content and len(content) % _INSTRUCTION_BYTES == 0:
        return content
    compiled = compile_filter(configuration)
    if compiled is not None:
        _keep(path, compiled)
    return compiled


def _keep(path: Path, content: bytes) -> None:
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".filter-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(temporary, path)


def library_is_there() -> bool:
    """Whether filters can be compiled on this machine."""
    return _load_library() is not None


@lru_cache(maxsize=1)
def _load_library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_release.restype = None
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    )
    return library


def _action(name: str, number: int | None) -> int:
    return _ALLOW if name == "SCMP_ACT_ALLOW" else _ERRNO | (number if number is not None else 1)


def _add_rule(library: ctypes.CDLL, context: int, rule: SeccompRule) -> None:
    comparisons = (_Comparison * len(rule.arguments))(
        *(_Comparison(item.index, _OPERATORS[item.operator], item.value, 0) for item in rule.arguments)
    )
    for name in rule.names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        # A call that this library does not know yet stays with the default action, as in runc.
        if number == _UNKNOWN_CALL:
            continue
        result = library.seccomp_rule_add_array(
            context, _action(rule.action, rule.errno), number, len(rule.arguments), comparisons
        )
        if result < 0:
            raise SystemCallError(
                f"libseccomp refuses a rule for {name}: {os.strerror(-result)}",
                call="seccomp_rule_add_array",
                errno=-result,
                subject=name,
            )


def _export(library: ctypes.CDLL, context: int) -> bytes:
    descriptor = os.memfd_create("filter", os.MFD_CLOEXEC)
    try:
        result = library.seccomp_export_bpf(context, descriptor)
        if result < 0:
            raise SystemCallError(
                f"libseccomp exports no filter: {os.strerror(-result)}", call="seccomp_export_bpf", errno=-result
            )
        return os.pread(descriptor, _MOST_INSTRUCTIONS * _INSTRUCTION_BYTES, 0)
    finally:
        os.close(descriptor)
