"""Tries system calls and prints what each answers; run by the tests under a filter. Needs only Python.

With the name of a file as argument it installs the BPF program in it first.
"""

import ctypes
import errno
import json
import socket
import sys

_ADDR_NO_RANDOMIZE = 0x0040000
_SECCOMP_SET_MODE_FILTER = 1
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_IO_URING_SETUP = 425
_NONSENSE = 9999

libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(path: str) -> None:
    import os

    with open(path, "rb") as file:
        content = file.read()
    program = Program(len(content) // 8, content)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(_SECCOMP[os.uname().machine], _SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "seccomp")


def answer(result: int) -> str:
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "done"


def open_socket(family: int, kind: int, protocol: int) -> str:
    try:
        socket.socket(family, kind, protocol).close()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def main() -> None:
    if len(sys.argv) > 1:
        install(sys.argv[1])
    answers = {
        "acct": answer(libc.acct(b"/nowhere")),
        "swapon": answer(libc.swapon(b"/nowhere", 0)),
        "io_uring_setup": answer(libc.syscall(_IO_URING_SETUP, 1, None)),
        "nonsense": answer(libc.syscall(_NONSENSE)),
        "personality asked": answer(libc.personality(ctypes.c_ulong(0xFFFFFFFF))),
        "personality changed": answer(libc.personality(_ADDR_NO_RANDOMIZE)),
        "audit socket": open_socket(socket.AF_NETLINK, socket.SOCK_RAW, 9),
        "route socket": open_socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
        "stream socket": open_socket(socket.AF_INET, socket.SOCK_STREAM, 0),
        "datagram socket": open_socket(socket.AF_INET, socket.SOCK_DGRAM, 0),
        "chroot": answer(libc.chroot(b"/")),
    }
    print(json.dumps(answers))


main()
