"""Debian packages as raw material: which ones a program needs, and their files in a cache directory.

Nothing is installed and nothing runs as root; apt is only asked, and downloads.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Package:
    """One version of a package. `depends` has, for every dependency, the names that satisfy it, best first."""

    name: str
    version: str
    depends: tuple[tuple[str, ...], ...]


_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class AptError(Exception):
    """apt could not answer or download."""


def _apt(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, env=_ENVIRONMENT)
    if done.returncode != 0:
        raise AptError(f"{' '.join(argv[:3])} …: {done.stderr.strip()}\nIs the package list there? Run: apt-get update")
    return done.stdout


def parse_dependencies(line: str) -> tuple[tuple[str, ...], ...]:
    """Reads a Depends field: `a (>= 1) | b, c:any` → (("a", "b"), ("c",))."""
    return tuple(
        tuple(re.split(r"[\s(:\[]", choice.strip(), maxsplit=1)[0] for choice in one.split("|"))
        for one in line.split(",")
        if one.strip()
    )


def read_packages(names: Iterable[str]) -> dict[str, Package]:
    """What the package lists say about `names`; names that no package has are left out."""
    wanted = sorted(set(names))
    # apt-cache fails for a name that is only provided by others, and still answers for the rest.
    done = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", *wanted],
        capture_output=True, text=True, check=False, env=_ENVIRONMENT,
    )
    found = {}
    for paragraph in done.stdout.split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.MULTILINE))
        if "Package" in fields:
            depends = ", ".join(filter(None, (fields.get("Pre-Depends"), fields.get("Depends"))))
            found[fields["Package"]] = Package(fields["Package"], fields["Version"], parse_dependencies(depends))
    return found


def resolve(roots: Sequence[str], *, without: Collection[str] = ()) -> tuple[Package, ...]:
    """`roots` and what they depend on, sorted by name.

    `without` has regular expressions of names that are not followed: what only installation scripts need, or what the
    image can do without.
    """
    unwanted = re.compile("|".join(without) or r"(?!)")
    known: dict[str, Package] = {}
    missing = set(roots)
    while missing:
        found = read_packages(missing)
        if lost := set(roots) & missing - set(found):
            raise AptError(f"no package {', '.join(sorted(lost))} in the package lists; run: apt-get update")
        known |= found
        missing = set()
        for package in found.values():
            for choices in package.depends:
                if not any(name in known or unwanted.fullmatch(name) for name in choices):
                    missing.add(choices[0])
    return tuple(known[name] for name in sorted(known))


def download(packages: Sequence[Package], *, into: Path) -> list[Path]:
    """The .deb files of `packages`; those that `into` has already are not fetched again."""
    into.mkdir(parents=True, exist_ok=True)
    missing = [package for package in packages if find_file(package, into) is None]
    if missing:
        _apt("apt-get", "download", "-qq", *(f"{package.name}={package.version}" for package in missing), cwd=into)
    files = [find_file(package, into) for package in packages]
    return [file for file in files if file is not None]


def find_file(package: Package, directory: Path) -> Path | None:
    """apt writes NAME_VERSION_ARCHITECTURE.deb, with the version's colon escaped."""
    version = package.version.replace(":", "%3a")
    return next(iter(sorted(directory.glob(f"{package.name}_{version}_*.deb"))), None)
