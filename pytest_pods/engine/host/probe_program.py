"""A child program that tries out kernel features in namespaces of its own, which end with it, and prints what worked.

Run by `host/probing.py`. A line a feature: its name, and `ok` or the reason why not. Only the standard library's own.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
# The same numbers on every architecture.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_ATTR_IDMAP = 0x00100000

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def _system_call(name: str, number: int, *arguments: object) -> int:
    return _check(_libc.syscall(number, *arguments), name)


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    _check(_libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), f"mount {kind or ''}")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _unshare(_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")


def _make_places(directory: str) -> None:
    _unshare(_NEWNS)
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE, None)
    _mount("tmpfs", directory, "tmpfs", 0, "size=1m")
    os.chdir(directory)
    for name in ("a", "b"):
        os.mkdir(name)


def _try_overlay(*flags: str, stacked: bool = False) -> None:
    # Fresh ones: a volatile mount marks its own as not to be mounted again.
    upper, work = tempfile.mkdtemp(dir="."), tempfile.mkdtemp(dir=".")
    context = _system_call("fsopen", _FSOPEN, b"overlay", 0)

    def configure(command: int, key: str | None, value: str | None) -> None:
        arguments = (None if key is None else key.encode(), None if value is None else value.encode())
        _system_call(f"fsconfig {key or ''}".rstrip(), _FSCONFIG, context, command, *arguments, 0)

    try:
        for flag in flags:
            configure(_SET_FLAG, flag, None)
        if stacked:
            for lower in ("a", "b"):
                configure(_SET_STRING, "lowerdir+", os.path.abspath(lower))
        else:
            configure(_SET_STRING, "lowerdir", "a:b")
        configure(_SET_STRING, "upperdir", upper)
        configure(_SET_STRING, "workdir", work)
        configure(_CREATE, None, None)
        os.close(_system_call("fsmount", _FSMOUNT, context, 0, 0))
    finally:
        os.close(context)


def _try_id_mapping(directory: str) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        _unshare(_NEWUSER)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    namespace = -1
    tree = -1
    try:
        while os.stat(f"/proc/{child}/ns/user").st_ino == os.stat("/proc/self/ns/user").st_ino:
            os.sched_yield()
        _write(f"/proc/{child}/uid_map", "0 100000 65536")
        _write(f"/proc/{child}/gid_map", "0 100000 65536")
        namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
        tree = _system_call("open_tree", _OPEN_TREE, _AT_FDCWD, directory.encode(), _OPEN_TREE_CLONE)
        attributes = _MountAttributes(attr_set=_ATTR_IDMAP, userns_fd=namespace)
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        _system_call(
            "mount_setattr", _MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size
        )
    finally:
        os.close(writing)
        os.waitpid(child, 0)
        for descriptor in (namespace, tree):
            if descriptor >= 0:
                os.close(descriptor)


def _try_tun() -> None:
    os.close(os.open("/dev/net/tun", os.O_RDWR))


def _report(name: str, attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except OSError as error:
        _say(f"{name} {error.strerror or error}")
        return False
    _say(f"{name} ok")
    return True


def _say(line: str) -> None:
    os.write(1, line.replace("\n", " ").encode() + b"\n")


def main(directory: str, store: str) -> None:
    """Tries everything; `directory` is an empty one to mount on, `store` lies on the file system of the store."""
    rootless = os.geteuid() != 0
    _report("tun", _try_tun)
    if not rootless:
        _report("id-mapped mounts", lambda: _try_id_mapping(store))
    elif not _report("user namespace", _enter_user_namespace):
        return
    if not _report("mount namespace", lambda: _make_places(directory)):
        return
    options = ["userxattr"] if rootless else []
    _report("overlay", lambda: _try_overlay(*options))
    _report("overlay volatile", lambda: _try_overlay("volatile", *options))
    _report("overlay lowerdir+", lambda: _try_overlay(*options, stacked=True))
    _report("overlay userxattr", lambda: _try_overlay("userxattr"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
