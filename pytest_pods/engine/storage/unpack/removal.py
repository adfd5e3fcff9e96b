"""Removes a tree of any depth and shape with two open directories: no recursion, no long path, no link followed."""

from __future__ import annotations

import errno
import os

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(name: bytes, parent: int) -> bool:
    """Removes `name` in the directory `parent`: a file, or a directory with all below it (then the answer is True).

    Raises OSError, FileNotFoundError if there is none.
    """
    if _unlink(name, parent):
        return False
    top = os.open(name, _FLAGS, dir_fd=parent)
    try:
        while children := os.listdir(top):
            for child in children:
                _empty(os.fsencode(child), top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)
    return True


def _empty(name: bytes, top: int) -> None:
    """Removes what has nothing below it; directories that have are emptied into `top`, whose turn comes again."""
    if _unlink(name, top):
        return
    inner = os.open(name, _FLAGS, dir_fd=top)
    try:
        for child in os.listdir(inner):
            child_name = os.fsencode(child)
            if not _unlink(child_name, inner):
                _lift(child_name, inner, top)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)


def _lift(name: bytes, inner: int, top: int) -> None:
    try:
        os.rmdir(name, dir_fd=inner)
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    while True:
        try:
            os.rename(name, b"lifted-" + os.urandom(8).hex().encode(), src_dir_fd=inner, dst_dir_fd=top)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise


def _unlink(name: bytes, parent: int) -> bool:
    """False for a directory."""
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        return False
    return True
