"""Finds what a test left on the host: processes, mounts, links, control groups, files of sessions.

Only what belongs to a given directory counts, so that test runs beside this one, on the same machine, do not matter. A
directory owns a process that names it in its arguments or environment, a mount below it, a session whose files are
below it. Nothing here ends or removes anything.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
# The names that the engine gives to links; none of them may ever be seen in the host's network namespace.
_OUR_LINK = re.compile(r"(pods-.*|out\d+|tap\d+)\Z")
_GROUP = "pytest-pods-"
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class HostState:
    """What there was at one moment, as far as it can be compared later."""

    pids: frozenset[int]
    mounts: frozenset[str]
    links: frozenset[str]
    cgroups: frozenset[Path]

    @classmethod
    def take(cls) -> HostState:
        return cls(_pids(), frozenset(_mount_points()), frozenset(_links()), frozenset(_session_cgroups()))


def _pids() -> frozenset[int]:
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdigit())


def _mount_points() -> Iterator[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            point = line.split(" ", 5)[4]
            yield re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)


def _links() -> list[str]:
    return [name for name in os.listdir("/sys/class/net") if _OUR_LINK.match(name)]


def _session_cgroups() -> Iterator[Path]:
    """Directories of sessions: at the top of every hierarchy, and in this process's own group of cgroup v2."""
    own = Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].strip()
    places = {CGROUP_ROOT, CGROUP_ROOT / own}
    with contextlib.suppress(OSError):
        places |= {Path(entry) for entry in os.scandir(CGROUP_ROOT) if entry.is_dir()}
    for place in places:
        with contextlib.suppress(OSError):
            yield from (place / name for name in os.listdir(place) if name.startswith(_GROUP))


def find_leaks(before: HostState, directory: Path, *, known: frozenset[str] = frozenset()) -> list[str]:
    """One line for each thing below `directory`, or of it, that was not there `before`.

    `known` are the lines of `find_files` for a directory that had sessions of others in it before.
    """
    return [
        *_left_processes(before, directory),
        *(f"mount at {point}" for point in _mount_points() if point not in before.mounts and _is_in(point, directory)),
        *(f"link {name} in the host's network" for name in _links() if name not in before.links),
        *(line for line in find_files(directory) if line not in known),
    ]


def wait_until_clean(look: Callable[[], list[str]], *, patience_s: float) -> list[str]:
    """Looks until nothing is found or the time is over; returns what the last look found.

    What a test removes may go in the background, a moment after the call that asked for it.
    """
    end = time.monotonic() + patience_s
    while (found := look()) and time.monotonic() < end:
        time.sleep(_POLL_S)
    return found


def _is_in(path: str, directory: Path) -> bool:
    return path == str(directory) or path.startswith(f"{directory}/")


def _left_processes(before: HostState, directory: Path) -> Iterator[str]:
    needle = os.fsencode(directory)
    for pid in sorted(_pids() - before.pids - {os.getpid()}):
        with contextlib.suppress(OSError):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
            if _names(needle, arguments) or _names(needle, Path(f"/proc/{pid}/environ").read_bytes()):
                yield _describe_process(pid, arguments)


def _describe_process(pid: int, arguments: bytes) -> str:
    shown = arguments.replace(b"\0", b" ").decode(errors="replace").strip()
    return f"process {pid}: {shown[:200]}"


def _names(directory: bytes, text: bytes) -> bool:
    return re.search(re.escape(directory) + rb"(?![\w.-])", text) is not None


def find_files(directory: Path) -> Iterator[str]:
    """One line for each session's directory, and each half-made layer, in the stores below `directory`."""
    for store in _stores(directory):
        for place in (store / "run" / "sessions", store / "scratch", store / "staging"):
            with contextlib.suppress(OSError):
                names = [name for name in sorted(os.listdir(place)) if not name.startswith(".")]
                yield from (f"file {place / name}" for name in names)


def find_session(session: str, root: Path) -> list[str]:
    """One line for each process, control group and file of one session of the store."""
    places = (root / "run" / "sessions" / session, root / "scratch" / session)
    found = [f"control group {path}" for path in _session_cgroups() if session in path.name]
    found += [f"file {path}" for path in places if path.exists()]
    for pid in _pids():
        with contextlib.suppress(OSError):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
            if session.encode() in arguments:
                found.append(_describe_process(pid, arguments))
    return found


def _stores(directory: Path) -> Iterator[Path]:
    """Stores are made in a test's directory, or a level or two below it."""
    for pattern in ("version", "*/version", "*/*/version"):
        for file in directory.glob(pattern):
            if (file.parent / "layers").is_dir() or (file.parent / "run").is_dir():
                yield file.parent


def find_dead_cgroups(before: HostState) -> list[str]:
    """Session directories in control groups that appeared since `before` and that no running janitor answers for.

    Names in control groups do not say whose they are: a session that another process has just lost looks the same until
    it is swept, so give it some seconds.
    """
    appeared = [path for path in _session_cgroups() if path not in before.cgroups]
    if not appeared:
        return []
    alive = _living_sessions()
    return [
        f"control group {path}"
        for path in appeared
        if not any(path.name.removeprefix(_GROUP) in arguments for arguments in alive)
    ]


def _living_sessions() -> list[str]:
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"janitor" in arguments:
                found.append(arguments.decode(errors="replace"))
    return found
