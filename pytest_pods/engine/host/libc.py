"""Thin wrappers of system calls that Python's standard library lacks; each failure is a SystemCallError."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from typing import NoReturn

from pytest_pods.engine.errors import SystemCallError


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _fail(call: str, subject: str) -> NoReturn:
    number = ctypes.get_errno()
    raise SystemCallError(
        f"{call} {subject}: {os.strerror(number)}".replace("  ", " "), call=call, errno=number, subject=subject
    )


def inotify_init(flags: int) -> int:
    """A new inotify descriptor."""
    descriptor: int = _library().inotify_init1(flags)
    if descriptor < 0:
        _fail("inotify_init1", "")
    return descriptor


def inotify_add_watch(descriptor: int, path: bytes, mask: int) -> int:
    """The number of the watch."""
    watch: int = _library().inotify_add_watch(descriptor, path, mask)
    if watch < 0:
        _fail("inotify_add_watch", os.fsdecode(path))
    return watch
