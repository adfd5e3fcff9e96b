"""Makes image layers out of .deb files and a few files of our own, without unpacking anything on the host.

The files go from one archive into the other, with their owners and modes: no root is needed, and what a package's
scripts would do (users, caches, links) is stated by the recipe instead of being run.
"""

from __future__ import annotations

import gzip
import io
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.images import MTIME_S, Entry

# /bin and its like are links on today's Debian; packages of older releases still ship both spellings.
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_UNWANTED = re.compile(
    r"usr/share/(doc|man|info|locale|lintian|bug|doc-base|menu|pixmaps|applications|i18n|perl5|bash-completion)(/|$)"
    r"|etc/(init\.d|cron\.\w+|logrotate\.d|systemd|default)(/|$)|(usr/)?lib/systemd(/|$)"
)


def merged(name: str) -> str:
    """`./bin/sh` → `usr/bin/sh`."""
    name = name.removeprefix(".").lstrip("/").rstrip("/")
    top, separator, rest = name.partition("/")
    return f"usr/{top}{separator}{rest}" if top in _MERGED else name


class LayerWriter:
    """Collects entries, the first of a name wins, and writes them in order."""

    def __init__(self, *, unwanted: Sequence[str] = ()) -> None:
        self._unwanted = [_UNWANTED, *(re.compile(pattern) for pattern in unwanted)]
        self._members: dict[str, tuple[tarfile.TarInfo, bytes]] = {}

    def _skips(self, name: str) -> bool:
        return not name or any(pattern.match(name) for pattern in self._unwanted)

    def add(self, files: Mapping[str, Entry]) -> None:
        """Adds entries of our own; a name with a trailing slash is a directory."""
        for name, entry in files.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type, member.linkname, member.mode = entry.type, entry.target, entry.mode
            member.uid, member.gid, member.size = entry.uid, entry.gid, len(entry.content)
            self._members[member.name] = (member, entry.content)

    def add_package(self, deb: Path) -> None:
        """Adds a package's files."""
        with _FilesOf(deb) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                member.name = merged(member.name)
                if member.islnk():
                    member.linkname = merged(member.linkname)
                if self._skips(member.name) or member.name in self._members:
                    continue
                reader = archive.extractfile(member) if member.isreg() else None
                self._members[member.name] = (member, reader.read() if reader else b"")

    def python_sources(self) -> Iterator[tuple[str, bytes]]:
        """The .py files that were collected."""
        for name, (member, content) in self._members.items():
            if member.isreg() and name.endswith(".py"):
                yield name, content

    def build(self) -> bytes:
        """The layer's tar, with parents before what is in them."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for member, content in sorted(self._members.values(), key=_place):
                member.mtime, member.uname, member.gname = MTIME_S, "", ""
                member.pax_headers = {}
                archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
        return buffer.getvalue()


def _place(item: tuple[tarfile.TarInfo, bytes]) -> tuple[bool, str]:
    # A hard link's target has to be there before the link.
    return item[0].islnk(), item[0].name


class _FilesOf:
    """The tar inside a .deb, as a stream."""

    def __init__(self, deb: Path) -> None:
        self._process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE)
        self._deb = deb

    def __enter__(self) -> io.BufferedReader:
        assert isinstance(self._process.stdout, io.BufferedReader)
        return self._process.stdout

    def __exit__(self, kind: object, *rest: object) -> None:
        assert self._process.stdout is not None
        # dpkg-deb pads its archive; it must be able to write all of it.
        while kind is None and self._process.stdout.read(65536):
            pass
        self._process.stdout.close()
        if self._process.wait() != 0 and kind is None:
            raise OSError(f"dpkg-deb cannot read {self._deb}")


def base_entries() -> dict[str, Entry]:
    """What a root file system has that no package brings."""
    links = {name: Entry(tarfile.SYMTYPE, target=f"usr/{name}", mode=0o777) for name in ("bin", "sbin", "lib", "lib64")}
    directories = {
        name: Entry(tarfile.DIRTYPE, mode=mode)
        for name, mode in {
            "dev": 0o755, "etc": 0o755, "home": 0o755, "proc": 0o555, "root": 0o700, "run": 0o755, "sys": 0o555,
            "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755, "usr/lib": 0o755, "usr/lib64": 0o755, "usr/sbin": 0o755,
            "usr/local": 0o755, "usr/local/bin": 0o755, "var": 0o755, "var/lib": 0o755, "var/tmp": 0o1777,
        }.items()
    }  # fmt: skip
    return {
        **directories,
        **links,
        "usr/bin/sh": Entry(tarfile.SYMTYPE, target="dash", mode=0o777),
        "etc/nsswitch.conf": Entry(content=b"passwd: files\ngroup: files\nhosts: files dns\n"),
    }


def account_entries(users: Iterable[tuple[str, int, str]]) -> dict[str, Entry]:
    """passwd and group with root, nobody and `users`: name, id, home."""
    accounts = [("root", 0, "/root"), *users, ("nobody", 65534, "/nonexistent")]
    passwd = "".join(f"{name}:x:{number}:{number}:{name}:{home}:/bin/sh\n" for name, number, home in accounts)
    group = "".join(f"{'nogroup' if name == 'nobody' else name}:x:{number}:\n" for name, number, _ in accounts)
    return {"etc/passwd": Entry(content=passwd.encode()), "etc/group": Entry(content=group.encode())}


def compressed(tar: bytes) -> bytes:
    """As a registry carries it; the same input gives the same bytes."""
    return gzip.compress(tar, compresslevel=3, mtime=0)
