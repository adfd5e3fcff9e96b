"""Running a command as an ordinary user with subordinate ids, from a test that runs as root.

The interpreter and the checkout may lie in directories that are closed to others. The command then gets a mount
namespace in which exactly those paths can be reached; the host is not changed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from filelock import FileLock

USER = "pods-tester"
_FIRST_SUBORDINATE = 300_000_000
_REPOSITORY = Path(__file__).parents[2]

# $1: number of directories to open; then for each one: the directory, the number of paths below it, the paths.
_OPEN_AND_BECOME = r"""
set -e
user=$1; group=$2; count=$3; shift 3
while [ "$count" -gt 0 ]; do
    closed=$1; paths=$2; shift 2
    hold=$(mktemp -d)
    mount --rbind "$closed" "$hold"
    mount -t tmpfs -o mode=755 tmpfs "$closed"
    while [ "$paths" -gt 0 ]; do
        mkdir -p "$closed/$1"
        mount --rbind "$hold/$1" "$closed/$1"
        shift; paths=$((paths - 1))
    done
    umount -l "$hold"; rmdir "$hold"
    count=$((count - 1))
done
# Without udev the device is root's alone; everywhere else it is everybody's.
if [ -c /dev/net/tun ]; then
    hold=$(mktemp -d); mount -t tmpfs tmpfs "$hold"
    mknod -m 666 "$hold/tun" c 10 200; mount --bind "$hold/tun" /dev/net/tun
    umount -l "$hold"; rmdir "$hold"
fi
exec setpriv --reuid="$user" --regid="$group" --init-groups --inh-caps=-all -- "$@"
"""


@cache
def ensure_user() -> pwd.struct_passwd:
    """The ordinary user, made on first use with ranges of subordinate ids; needs root."""
    with FileLock("/tmp/.pods-tester.lock"):
        try:
            return pwd.getpwnam(USER)
        except KeyError:
            pass
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", USER], check=True)
        last = _FIRST_SUBORDINATE + 65535
        for option in ("--add-subuids", "--add-subgids"):
            subprocess.run(["usermod", option, f"{_FIRST_SUBORDINATE}-{last}", USER], check=True)
        return pwd.getpwnam(USER)


def build_argv_as_user(argv: Sequence[str]) -> list[str]:
    """A command line that runs `argv` as the ordinary user; as it is where the tests run as one already."""
    if os.geteuid() != 0:
        return list(argv)
    user = ensure_user()
    closed = _closed_directories()
    opened: list[str] = []
    for directory, paths in closed.items():
        opened += [str(directory), str(len(paths)), *(str(path.relative_to(directory)) for path in paths)]
    shell = shutil.which("sh") or "/bin/sh"
    return [
        *("unshare", "--mount", "--propagation", "private", shell, "-c", _OPEN_AND_BECOME, shell),
        *(str(user.pw_uid), str(user.pw_gid), str(len(closed)), *opened),
        *argv,
    ]


def environment_of_user() -> dict[str, str]:
    """What the ordinary user's process gets: PATH, its home, the checkout as PYTHONPATH."""
    home = ensure_user().pw_dir if os.geteuid() == 0 else os.environ["HOME"]
    return {
        "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin",
        "HOME": home,
        "PYTHONPATH": str(_REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@cache
def _closed_directories() -> dict[Path, tuple[Path, ...]]:
    """Directories that others cannot enter, outermost only, with what is needed below each."""
    needed = {Path(path).resolve() for path in (sys.prefix, sys.base_prefix, _REPOSITORY)}
    closed: dict[Path, set[Path]] = {}
    for path in needed:
        for directory in [*reversed(path.parents), path]:
            if not directory.stat().st_mode & 0o001:
                closed.setdefault(directory, set()).add(path)
                break
    return {directory: tuple(sorted(paths)) for directory, paths in closed.items()}
