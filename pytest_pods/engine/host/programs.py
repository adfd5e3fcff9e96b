"""Programs of the machine that the engine starts: where they are, which version, and which package brings them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.errors import MissingProgramError, SystemCallError, UnsupportedVersionError

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXTRA_DIRECTORIES = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/lib/podman",
    "/usr/libexec/podman",
    "/usr/local/lib/podman",
    "/usr/local/libexec/podman",
)
"""An ordinary user's PATH lacks sbin, and Podman's helpers are in none."""

_PACKAGES = {
    "newuidmap": ("uidmap", "shadow-utils"),
    "newgidmap": ("uidmap", "shadow-utils"),
    "nft": ("nftables", "nftables"),
    "docker-registry": ("docker-registry", "docker-distribution"),
}
"""Debian's and Fedora's package where its name is not the program's."""

_VERSION_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Numbers that compare as people expect: 1.1.5 is below 1.1.15."""

    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return ".".join(str(number) for number in self.numbers)


def find_program(name: str) -> Path | None:
    """The program in PATH or in the usual directories, None if it is not installed."""
    return _find(name, os.environ.get("PATH", ""))


def get_program(name: str) -> Path:
    """As `find_program`; raises MissingProgramError with the package to install."""
    found = find_program(name)
    if found is None:
        debian, fedora = _PACKAGES.get(name, (name, name))
        raise MissingProgramError(
            f"the program {name} is not installed",
            hint=f"apt install {debian} (Debian, Ubuntu) or dnf install {fedora} (Fedora)",
        )
    return found


@lru_cache(maxsize=64)
def _find(name: str, search_path: str) -> Path | None:
    for directory in _directories(search_path):
        candidate = os.path.join(directory, name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return Path(candidate)
    return None


def _directories(search_path: str) -> Iterator[str]:
    # A relative entry would mean another program after a change of directory.
    yield from (entry for entry in search_path.split(os.pathsep) if entry.startswith("/"))
    yield from _EXTRA_DIRECTORIES


def parse_version(text: str, *, program: str) -> Version:
    """The first version number of a program's answer; raises UnsupportedVersionError if there is none."""
    match = re.search(r"(?<![\d.])(\d+(?:\.\d+)+)", text)
    if match is None:
        raise UnsupportedVersionError(f"{program} does not tell its version", details=text[:500] or None)
    return Version(tuple(int(number) for number in match[1].split(".")))


def get_version(program: Path) -> Version:
    """What `PROGRAM --version` says, asked once a process and file. Raises SystemCallError or
    UnsupportedVersionError."""
    try:
        status = program.stat()
    except OSError as error:
        raise SystemCallError(
            f"looking at {program}: {error.strerror}", call="stat", errno=error.errno or 0, subject=str(program)
        ) from error
    return _ask_version(program, status.st_ino, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _ask_version(program: Path, _inode: int, _changed_ns: int) -> Version:
    import subprocess

    try:
        answer = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_PATIENCE_S,
            check=False,
            env={"LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnsupportedVersionError(f"{program} does not tell its version: {error}") from error
    return parse_version(answer.stdout or answer.stderr, program=program.name)
