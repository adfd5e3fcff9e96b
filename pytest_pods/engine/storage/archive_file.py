"""An archive file as a table of named sections. Its names are only looked up, never used on the disk.

Compressed archives are decompressed into a nameless file first, because their sections come in any order.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
import zlib
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from pytest_pods.engine.errors import InvalidDocumentError, NotFoundError, SizeMismatchError
from pytest_pods.engine.state.atomic import storage_errors
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_CHUNK = 256 * 1024
_MOST_MEMBERS = 200_000
_MOST_LINKS = 16
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


@frozen
class Section:
    """Where a member's content lies in the uncompressed archive."""

    offset: int
    size: int


class ArchiveFile:
    """The sections of an open archive."""

    def __init__(self, file: BinaryIO, sections: Mapping[str, Section], *, where: str) -> None:
        self._file = file
        self._sections = sections
        self.where = where

    def find(self, name: str) -> Section | None:
        return self._sections.get(_normalise(name))

    def get(self, name: str) -> Section:
        """Raises InvalidDocumentError if the archive has no such member."""
        section = self.find(name)
        if section is None:
            raise InvalidDocumentError(f"{self.where} has no {name[:200]!r}, which its list of contents names")
        return section

    def read(self, section: Section, *, most: int) -> bytes:
        """A document. Raises SizeMismatchError if it is longer than `most` bytes."""
        if section.size > most:
            raise SizeMismatchError(f"{self.where} has a document of {section.size} bytes; {most} are the most")
        return b"".join(self.chunks(section))

    def chunks(self, section: Section) -> Iterator[bytes]:
        """The content in pieces. Sections may be read at the same time."""
        offset, left = section.offset, section.size
        while left:
            with storage_errors(f"reading {self.where}"):
                chunk = os.pread(self._file.fileno(), min(left, _CHUNK), offset)
            if not chunk:
                raise InvalidDocumentError(f"{self.where} ends in the middle of a member")
            offset += len(chunk)
            left -= len(chunk)
            yield chunk


@contextmanager
def open_archive(path: Path, *, scratch: Path, most_bytes: int) -> Iterator[ArchiveFile]:
    """Opens a tar, gzipped tar or zstd-compressed tar; `scratch` is a directory for what has to be decompressed.

    Raises NotFoundError, InvalidDocumentError, SizeMismatchError, StorageError.
    """
    where = f"the archive {path}"
    with ExitStack() as stack:
        try:
            with storage_errors(f"opening {where}"):
                file: BinaryIO = stack.enter_context(_open_regular(path))
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no file {path}", hint="give the path of a saved image") from error
        start = file.read(4)
        file.seek(0)
        if start.startswith(_GZIP) or start == _ZSTD:
            with storage_errors(f"decompressing {where}"):
                plain = stack.enter_context(_open_nameless(scratch))
                _decompress(file, plain, gzip=start.startswith(_GZIP), most_bytes=most_bytes, where=where)
            file = plain
        yield ArchiveFile(file, _read_sections(file, where=where), where=where)


def _open_regular(path: Path) -> BinaryIO:
    if not path.exists():
        raise NotFoundError(f"there is no file {path}", hint="give the path of a saved image")
    if not path.is_file():
        raise InvalidDocumentError(f"{path} is not a file", hint="give the path of a saved image, not of a directory")
    return open(path, "rb")


def _open_nameless(directory: Path) -> BinaryIO:
    return os.fdopen(os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), "r+b")


def _decompress(source: BinaryIO, target: BinaryIO, *, gzip: bool, most_bytes: int, where: str) -> None:
    make, failure = _gzip() if gzip else _zstd()
    stream: Any = None
    size = 0
    try:
        while chunk := source.read(_CHUNK):
            data = chunk
            while data:
                stream = stream or make()
                # Unlimited: what comes of one piece is at most a thousand times as long.
                out = stream.decompress(data)
                data = b""
                size += target.write(out)
                if size > most_bytes:
                    raise SizeMismatchError(f"{where} has more than {most_bytes} bytes uncompressed")
                if stream.eof:
                    data, stream = stream.unused_data.lstrip(b"\0"), None
    except failure as error:
        raise InvalidDocumentError(f"{where} is damaged: {error}") from error
    if stream is not None:
        raise InvalidDocumentError(f"{where} is incomplete: it ends in the middle of its compressed stream")
    target.flush()
    target.seek(0)


def _gzip() -> tuple[Callable[[], Any], type[Exception]]:
    return lambda: zlib.decompressobj(31), zlib.error


def _zstd() -> tuple[Callable[[], Any], type[Exception]]:
    import sys

    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor, zstd.ZstdError


def _read_sections(file: BinaryIO, *, where: str) -> dict[str, Section]:
    sections: dict[str, Section] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for number, member in enumerate(archive):
                if number >= _MOST_MEMBERS:
                    raise InvalidDocumentError(f"{where} has more than {_MOST_MEMBERS} members")
                name = _normalise(member.name)
                if member.isreg() and not member.issparse():
                    sections[name] = Section(member.offset_data, member.size)
                    links.pop(name, None)
                elif member.islnk():
                    links[name] = _normalise(member.linkname)
                elif member.issym():
                    # Old engines save a layer that occurs twice as a link to the first.
                    links[name] = _normalise(posixpath.join(posixpath.dirname(name), member.linkname))
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise InvalidDocumentError(
            f"{where} is not a tar archive, or is damaged: {error}", hint="save the image again"
        ) from error
    for name in links:
        if section := _follow(name, links, sections):
            sections.setdefault(name, section)
    return sections


def _follow(name: str, links: Mapping[str, str], sections: Mapping[str, Section]) -> Section | None:
    for _ in range(_MOST_LINKS):
        if name in sections:
            return sections[name]
        if name not in links:
            return None
        name = links[name]
    return None


def _normalise(name: str) -> str:
    return posixpath.normpath(name).lstrip("/")
