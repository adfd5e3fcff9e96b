"""Writes entries below the current root directory, which is the layer's own: nothing can be named that lies outside.

Directories get their mode, owner and times last, so that they stay writable and unchanged while they are filled.
Links that the archive made are followed where they stand for a directory: they lead to somewhere in the layer.

Entries can also go into a directory of somebody else, which need not be the root, and which others may change at the
same time. No link is followed there, and no directory gives way.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from pytest_pods.engine.storage.unpack import tar
from pytest_pods.engine.storage.unpack.names import (
    OPAQUE,
    WHITEOUT,
    check_whiteout_place,
    is_ignored,
    parse_whiteout,
    split_name,
)
from pytest_pods.engine.storage.unpack.new_files import NewFile
from pytest_pods.engine.storage.unpack.refusal import Refusal, show
from pytest_pods.engine.storage.unpack.removal import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.engine.storage.unpack.stream import Source
    from pytest_pods.engine.storage.unpack.tar import Entry

Parts = tuple[bytes, ...]

_MOST_OPEN = 200
# Each costs a look at all that is known; no image that is meant to be used does it often.
_MOST_REPLACED = 2000
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
# The attribute is lost or refused by the file system or to us; a layer is worth having without it.
_TOLERATED = frozenset({errno.EOPNOTSUPP, errno.EPERM, errno.EINVAL, errno.ERANGE, errno.E2BIG, errno.ENODATA})


class TreeWriter:
    """One layer's tree. `records` has a line for every path, `notes` counts what could not be kept.

    Without `whiteouts`, names that hide something in a layer are names like others. `into` is a descriptor of a
    directory of somebody else; with `tame` that is on the host: devices, set-id bits and what the kernel reads from
    attributes are left out, and an ordinary user owns all of it.
    """

    def __init__(
        self, source: Source, *, rootless: bool, whiteouts: bool = True, into: int | None = None, tame: bool = False
    ) -> None:
        self._source = source
        self._foreign = into is not None
        self._tame = tame
        self._hides = whiteouts
        self._rootless = rootless
        self._opaque = "user.overlay.opaque" if rootless else "trusted.overlay.opaque"
        self._root = os.open("/", _DIRECTORY) if into is None else os.open(".", _DIRECTORY, dir_fd=into)
        self._descent = _DIRECTORY | (os.O_NOFOLLOW if self._foreign else 0)
        self._open: dict[Parts, int] = {}
        self._directories: dict[Parts, Entry | None] = {}
        self._whiteouts: set[Parts] = set()
        self.records: dict[Parts, str] = {}
        self.notes: dict[str, int] = {}
        self.opaque_root = False
        self._links_exist = False
        self._replaced_directories = 0

    def write(self, entry: Entry) -> None:
        """Makes what the entry says and takes its content from the source. Raises Refusal and OSError."""
        try:
            taken = self._write(entry)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
                raise Refusal("unsafe", f"entry {show(entry.name)}: {os.strerror(error.errno)}") from None
            error.filename = error.filename2 = None
            error.strerror = f"{os.strerror(error.errno or 0)}: entry {show(entry.name)}"
            raise
        if entry.size and not taken:
            self._source.skip(entry.size)

    def finish(self) -> None:
        """Gives the directories what was kept back."""
        for parts, entry in self._directories.items():
            if entry is not None:
                self._finish_directory(parts, entry)
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _note(self, what: str) -> None:
        self.notes[what] = self.notes.get(what, 0) + 1

    def _write(self, entry: Entry) -> bool:
        parts = split_name(entry.name)
        if not parts:
            if entry.kind is not tar.DIRECTORY:
                raise Refusal("unsafe", f"entry {show(entry.name)} would replace the layer's root")
            if not self._foreign:
                self._directories[parts] = entry
            return False
        if self._tame:
            self._tame_entry(entry)
        name = parts[-1]
        if self._hides and WHITEOUT in entry.name:
            if is_ignored(parts):
                return False
            check_whiteout_place(parts)
            if name.startswith(WHITEOUT):
                self._hide(parts)
                return False
        kind = entry.kind
        if kind is tar.FILE:
            self._file(entry, parts, self._parent(parts))
            return True
        if kind is tar.DIRECTORY:
            self._directory(entry, parts, self._parent(parts))
        elif kind is tar.SYMLINK:
            self._symlink(entry, parts, self._parent(parts))
        elif kind is tar.LINK:
            self._link(entry, parts, self._parent(parts))
        else:
            self._node(entry, parts, self._parent(parts))
        return False

    def _tame_entry(self, entry: Entry) -> None:
        entry.mode &= 0o1777
        entry.xattrs = {key: value for key, value in entry.xattrs.items() if key.startswith(b"user.")}
        if self._rootless:
            entry.uid = entry.gid = 0
            # What was the container's is the user's, who wants to read it, and to remove it.
            entry.mode |= 0o700 if entry.kind is tar.DIRECTORY else 0o400

    # -- directories on the way

    def _parent(self, parts: Parts) -> int:
        return self._descend(parts[:-1])

    def _descend(self, parts: Parts, *, make: bool = True) -> int:
        """A descriptor of a directory; with `make` it is made with its parents if it is missing."""
        if not parts:
            return self._root
        descriptor = self._open.get(parts)
        if descriptor is not None:
            return descriptor
        parent, name = self._descend(parts[:-1], make=make), parts[-1]
        try:
            descriptor = os.open(name, self._descent, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
            self._make_missing(parts, parent)
            descriptor = os.open(name, self._descent, dir_fd=parent)
        except NotADirectoryError:
            if not make or parts not in self._whiteouts:
                raise
            # The archive hid the name of the layers below and now puts something new there.
            self._remove(parts, parent)
            self._make_missing(parts, parent)
            self._set_opaque(parts)
            descriptor = os.open(name, self._descent, dir_fd=parent)
        if len(self._open) >= _MOST_OPEN:
            self._close(next(iter(self._open)))
        self._open[parts] = descriptor
        return descriptor

    def _make_missing(self, parts: Parts, parent: int) -> None:
        try:
            os.mkdir(parts[-1], 0o755, dir_fd=parent)
        except FileExistsError:
            raise Refusal("unsafe", f"{show(b'/'.join(parts))} is a link to nothing and has entries below it") from None
        self._directories[parts] = None
        self.records[parts] = "directory 755 0 0"

    def _close(self, parts: Parts) -> None:
        os.close(self._open.pop(parts))

    def _remove(self, parts: Parts, parent: int) -> None:
        """Removes what an earlier entry made, to make place for another. Descriptors got before are stale after."""
        if self._foreign:
            self._unlink_foreign(parts, parent)
        elif remove_tree(parts[-1], parent):
            self._replaced_directories += 1
            if self._replaced_directories > _MOST_REPLACED:
                raise Refusal("unsafe", f"the layer replaces more than {_MOST_REPLACED} of its own directories")
            self._forget_below(parts)
        for known in list(self._open) if self._links_exist else ():
            # An open directory may have been reached through the link that is gone now.
            self._close(known)
        self.records.pop(parts, None)
        self._directories.pop(parts, None)
        self._whiteouts.discard(parts)

    def _unlink_foreign(self, parts: Parts, parent: int) -> None:
        try:
            os.unlink(parts[-1], dir_fd=parent)
        except IsADirectoryError:
            raise _refuse_directory(parts) from None

    def _forget_below(self, parts: Parts) -> None:
        depth = len(parts)
        for known in [key for key in self._open if key[:depth] == parts]:
            self._close(known)
        for table in (self._directories, self.records):
            for known in [key for key in table if key[:depth] == parts]:
                del table[known]
        self._whiteouts = {key for key in self._whiteouts if key[:depth] != parts}

    # -- kinds

    def _file(self, entry: Entry, parts: Parts, parent: int) -> None:
        if self._foreign:
            self._foreign_file(entry, parts, parent)
            return
        name, mode = parts[-1], entry.mode
        try:
            descriptor = os.open(name, _CREATE, mode & 0o777, dir_fd=parent)
        except FileExistsError:
            self._remove(parts, parent)
            descriptor = os.open(name, _CREATE, mode & 0o777, dir_fd=self._parent(parts))
        try:
            digest = self._fill(descriptor, entry)
            owned = self._dress(descriptor, entry)
            if mode & _SPECIAL and owned:
                os.fchmod(descriptor, mode)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)
        self.records[parts] = f"file {mode:o} {entry.uid} {entry.gid} {entry.size} {digest}"

    def _foreign_file(self, entry: Entry, parts: Parts, parent: int) -> None:
        new = NewFile(parent)
        try:
            self._fill(new.descriptor, entry)
            self._dress(new.descriptor, entry)
            os.fchmod(new.descriptor, entry.mode)
            os.utime(new.descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
            new.publish(parts[-1])
        except IsADirectoryError:
            raise _refuse_directory(parts) from None
        finally:
            new.close()

    def _fill(self, descriptor: int, entry: Entry) -> str:
        """Writes the entry's content; its digest."""
        content = hashlib.sha256()
        left = entry.size
        if left:
            for piece in self._source.pieces(left):
                content.update(piece)
                left -= len(piece)
                written = os.write(descriptor, piece)
                while written < len(piece):
                    written += os.write(descriptor, piece[written:])
            if left:
                raise Refusal("document", "the archive ends in the middle of an entry")
        return content.hexdigest()

    def _dress(self, descriptor: int, entry: Entry) -> bool:
        """Gives it its owner and attributes; False if the owner could not be."""
        owned = self._own(descriptor, entry) if self._has_owner(entry) else True
        if entry.xattrs:
            self._set_xattrs(descriptor, entry)
        return owned

    def _has_owner(self, entry: Entry) -> bool:
        """Whether it has to be given to somebody: where all of it is new, root has it already."""
        return bool(entry.uid or entry.gid) or self._foreign

    def _own(self, target: int | bytes, entry: Entry, parent: int | None = None) -> bool:
        try:
            if isinstance(target, int):
                os.fchown(target, entry.uid, entry.gid)
            else:
                os.chown(target, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            # A user namespace without subordinate ids has one owner only.
            if error.errno != errno.EINVAL or not self._rootless:
                raise
            self._note("owners")
            entry.uid = entry.gid = 0
            entry.mode &= 0o1777
            return False
        return True

    def _directory(self, entry: Entry, parts: Parts, parent: int) -> None:
        name = parts[-1]
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                if self._foreign:
                    raise Refusal("occupied", f"{show(b'/'.join(parts))} is there, and is no directory") from None
                hidden = parts in self._whiteouts
                self._remove(parts, parent)
                parent = self._parent(parts)
                os.mkdir(name, 0o700, dir_fd=parent)
                if hidden:
                    self._set_opaque(parts)
        self._directories[parts] = entry
        self.records[parts] = f"directory {entry.mode:o} {entry.uid} {entry.gid}"

    def _finish_directory(self, parts: Parts, entry: Entry) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(parts[-1] if parts else b".", flags, dir_fd=self._existing(parts))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return
            raise
        try:
            self._dress(descriptor, entry)
            os.fchmod(descriptor, entry.mode)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)
        self.records[parts] = f"directory {entry.mode:o} {entry.uid} {entry.gid}"

    def _symlink(self, entry: Entry, parts: Parts, parent: int) -> None:
        name = parts[-1]
        if not entry.link or b"\0" in entry.link or len(entry.link) > 4095:
            raise Refusal("document", f"entry {show(entry.name)} is a link to nothing that can be")
        self._links_exist = True
        try:
            os.symlink(entry.link, name, dir_fd=parent)
        except FileExistsError:
            self._remove(parts, parent)
            parent = self._parent(parts)
            os.symlink(entry.link, name, dir_fd=parent)
        if self._has_owner(entry):
            self._own(name, entry, parent)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)
        self.records[parts] = f"symlink 777 {entry.uid} {entry.gid} {entry.link.hex()}"

    def _link(self, entry: Entry, parts: Parts, parent: int) -> None:
        target = split_name(entry.link)
        if not target:
            raise Refusal("unsafe", f"entry {show(entry.name)} is a hard link to the layer's root")
        name = parts[-1]
        try:
            source = os.stat(target[-1], dir_fd=self._existing(target), follow_symlinks=False)
            if stat.S_ISDIR(source.st_mode):
                raise Refusal("unsafe", f"entry {show(entry.name)} is a hard link to the directory {show(entry.link)}")
            try:
                self._hard_link(target, name, parent)
            except FileExistsError:
                there = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if (there.st_dev, there.st_ino) != (source.st_dev, source.st_ino):
                    self._remove(parts, parent)
                    self._hard_link(target, name, self._parent(parts))
        except FileNotFoundError:
            raise Refusal(
                "document", f"entry {show(entry.name)} is a hard link to {show(entry.link)}, which the layer has not"
            ) from None
        self.records[parts] = self.records.get(target, "unknown")

    def _existing(self, parts: Parts) -> int:
        """The parent of something that has to exist: no directory is made for it."""
        return self._descend(parts[:-1], make=False)

    def _hard_link(self, target: Parts, name: bytes, parent: int) -> None:
        os.link(target[-1], name, src_dir_fd=self._parent(target), dst_dir_fd=parent, follow_symlinks=False)

    def _node(self, entry: Entry, parts: Parts, parent: int) -> None:
        name = parts[-1]
        if entry.kind is tar.FIFO:
            kind = stat.S_IFIFO
        elif self._rootless or self._tame:
            # The kernel makes no device for a user namespace; containers get theirs in /dev from the runtime.
            self._note("devices")
            return
        else:
            kind = stat.S_IFCHR if entry.kind is tar.CHARACTER else stat.S_IFBLK
        device = os.makedev(entry.major, entry.minor)
        try:
            os.mknod(name, kind | entry.mode & 0o777, device, dir_fd=parent)
        except FileExistsError:
            self._remove(parts, parent)
            parent = self._parent(parts)
            os.mknod(name, kind | entry.mode & 0o777, device, dir_fd=parent)
        if self._has_owner(entry):
            self._own(name, entry, parent)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)
        self.records[parts] = f"{entry.kind} {entry.mode & 0o777:o} {entry.uid} {entry.gid} {entry.major}:{entry.minor}"

    # -- whiteouts

    def _hide(self, parts: Parts) -> None:
        if parts[-1] == OPAQUE:
            if len(parts) == 1:
                # overlayfs ignores the attribute on a layer's root: the store leaves out the layers below instead.
                self.opaque_root = True
                return
            self._parent(parts)
            self._set_opaque(parts[:-1])
            return
        hidden = (*parts[:-1], parse_whiteout(parts))
        parent = self._parent(parts)
        try:
            os.mknod(hidden[-1], stat.S_IFCHR | 0o600, 0, dir_fd=parent)
        except FileExistsError:
            # A whiteout speaks of the layers below. A file of this layer hides them anyway, a directory has to be told.
            if stat.S_ISDIR(os.stat(hidden[-1], dir_fd=parent, follow_symlinks=False).st_mode):
                self._set_opaque(hidden)
            return
        self._whiteouts.add(hidden)
        self.records[hidden] = "character 600 0 0 0:0"

    def _set_opaque(self, parts: Parts) -> None:
        descriptor = os.open(b"/" + b"/".join(parts), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.setxattr(descriptor, self._opaque, b"y")
        finally:
            os.close(descriptor)

    def _set_xattrs(self, descriptor: int, entry: Entry) -> None:
        for key, value in entry.xattrs.items():
            if not is_kept(key):
                self._note("attributes")
                continue
            try:
                os.setxattr(descriptor, key, value)
            except OSError as error:
                if error.errno not in _TOLERATED:
                    raise
                self._note("attributes")


def _refuse_directory(parts: Parts) -> Refusal:
    return Refusal("occupied", f"{show(b'/'.join(parts))} is a directory there, which nothing else replaces")


def is_kept(key: bytes) -> bool:
    """True for an extended attribute that an image may set: capabilities, access lists and what users attach.

    Those of overlayfs would redirect or hide what other layers have; labels are of the machine that made the image.
    """
    if key.startswith(b"user."):
        return not key.startswith(b"user.overlay.")
    return key in (b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default")
