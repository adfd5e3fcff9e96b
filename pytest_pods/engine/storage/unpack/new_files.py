"""Files that get their name once they are whole, in a directory that others may change meanwhile."""

from __future__ import annotations

import errno
import os

_UNNAMED = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
_HIDDEN = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# From kernels and file systems that know no files without a name.
_LACKS_UNNAMED = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})


class NewFile:
    """A file on its way into the directory `parent`; `descriptor` is open for writing until `close`."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._name: bytes | None = None
        try:
            self.descriptor = os.open(b".", _UNNAMED, 0o600, dir_fd=parent)
        except OSError as error:
            if error.errno not in _LACKS_UNNAMED:
                raise
            name = _make_name()
            self.descriptor = os.open(name, _HIDDEN, 0o600, dir_fd=parent)
            self._name = name

    def publish(self, name: bytes) -> None:
        """Takes the place of what has the name. Raises IsADirectoryError for a directory, and OSError."""
        if self._name is None:
            try:
                self._link(name)
            except FileExistsError:
                # Nothing replaces a name but a rename, which has to have one already.
                temporary = _make_name()
                self._link(temporary)
                self._name = temporary
        if self._name is not None:
            os.rename(self._name, name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
            self._name = None

    def _link(self, name: bytes) -> None:
        os.link(f"/proc/self/fd/{self.descriptor}".encode(), name, dst_dir_fd=self._parent, follow_symlinks=True)

    def close(self) -> None:
        """Without `publish` nothing stays of it."""
        os.close(self.descriptor)
        if self._name is not None:
            os.unlink(self._name, dir_fd=self._parent)
            self._name = None


def _make_name() -> bytes:
    return b".pytest-pods-" + os.urandom(8).hex().encode() + b".part"
