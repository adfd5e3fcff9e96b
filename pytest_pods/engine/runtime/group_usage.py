"""What the processes of a control group use and have used, as the kernel counts it: its files' texts, and one reader.

On cgroup v2 a group is one directory, on v1 one in the tree of each controller, whose files have other names, units and
texts (kernel: admin-guide/cgroup-v2 and cgroup-v1/). A file that is not there, because the kernel is older or the
controller is not handed on, is something that nobody counts, never an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_pods.engine.runtime.cgroups import CgroupLayout, Hierarchy

_UNLIMITED_FROM = 1 << 62
"""v1 writes no limit as the largest number of whole pages."""


@frozen
class MemoryUsage:
    """Bytes. `used` is without, `with_cache` with the file cache that the kernel could drop at once."""

    used: int
    with_cache: int
    peak: int | None
    limit: int | None


@frozen
class BlockUsage:
    """Bytes from and to block devices."""

    read: int
    written: int


@frozen
class GroupUsage:
    """None is what no tree of the machine counts for the group; as `pids_limit` it is no limit."""

    cpu_ns: int | None
    memory: MemoryUsage | None
    pids: int | None
    pids_limit: int | None
    blocks: BlockUsage | None


def read_group_usage(layout: CgroupLayout, path: str) -> GroupUsage | None:
    """What the group at `path` counts, with all groups below it; its limits are the lowest of those above it as well.

    None if it is gone.
    """
    relative = path.lstrip("/")
    if not any((hierarchy.directory / relative).is_dir() for hierarchy in layout.hierarchies):
        return None
    return GroupUsage(
        cpu_ns=_read_cpu(layout, relative),
        memory=_read_memory(layout, relative),
        pids=_find_number(_find_place(layout, "pids", relative, "pids.current")),
        pids_limit=_find_lowest(_find_tree(layout, "pids"), relative, "pids.max"),
        blocks=_read_blocks(layout, relative),
    )


def parse_fields(text: str) -> dict[str, int]:
    """`name number` lines, as in memory.stat and cpu.stat; others are passed over."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def parse_limit(text: str) -> int | None:
    """A limit of either version; None for no limit, which is `max` on v2 and a very large number on v1."""
    word = text.strip()
    return int(word) if word.isdecimal() and int(word) < _UNLIMITED_FROM else None


def parse_memory(current: int, fields: dict[str, int], *, peak: int | None, limit: int | None) -> MemoryUsage:
    """`fields` of memory.stat: v1 counts groups below in those named total_."""
    inactive = fields.get("total_inactive_file", fields.get("inactive_file", 0))
    # The two are not of one moment: of a cache larger than all there is nothing is taken off, as Docker does it.
    return MemoryUsage(current - inactive if inactive <= current else current, current, peak, limit)


def parse_io_stat(text: str) -> BlockUsage:
    """io.stat of v2: `8:0 rbytes=1 wbytes=2 rios=…`, a line for each device."""
    read = written = 0
    for line in text.splitlines():
        for word in line.split()[1:]:
            name, _, number = word.partition("=")
            if name == "rbytes":
                read += int(number)
            elif name == "wbytes":
                written += int(number)
    return BlockUsage(read, written)


def parse_service_bytes(text: str) -> BlockUsage | None:
    """blkio.throttle.io_service_bytes of v1: `8:0 Read 1`, a line for each device and direction, then sums.

    None if all of it is 0: since Linux 5 many kernels count for v1 only where something is throttled, and their text
    does not tell nothing moved from nobody counted.
    """
    lines = [words for words in map(str.split, text.splitlines()) if len(words) == 3]
    read = sum(int(words[2]) for words in lines if words[1] == "Read")
    written = sum(int(words[2]) for words in lines if words[1] == "Write")
    return BlockUsage(read, written) if read or written else None


def _read_cpu(layout: CgroupLayout, relative: str) -> int | None:
    tree = _find_tree(layout, "cpuacct")
    if tree is None:
        return None
    if not tree.unified:
        return _find_number(tree.directory / relative / "cpuacct.usage")
    # There on every group of v2, also where the cpu controller is not handed on.
    microseconds = parse_fields(_find_text(tree.directory / relative / "cpu.stat") or "").get("usage_usec")
    return None if microseconds is None else microseconds * 1000


def _read_memory(layout: CgroupLayout, relative: str) -> MemoryUsage | None:
    tree = _find_tree(layout, "memory")
    if tree is None:
        return None
    directory = tree.directory / relative
    current = _find_number(directory / ("memory.current" if tree.unified else "memory.usage_in_bytes"))
    text = _find_text(directory / "memory.stat")
    if current is None or text is None:
        return None
    fields = parse_fields(text)
    peak = _find_number(directory / ("memory.peak" if tree.unified else "memory.max_usage_in_bytes"))
    if tree.unified:
        limit = _find_lowest(tree, relative, "memory.max")
    else:
        limit = parse_limit(str(fields.get("hierarchical_memory_limit", "max")))
    return parse_memory(current, fields, peak=peak, limit=limit)


def _read_blocks(layout: CgroupLayout, relative: str) -> BlockUsage | None:
    tree = _find_tree(layout, "blkio")
    if tree is None:
        return None
    directory = tree.directory / relative
    if tree.unified:
        text = _find_text(directory / "io.stat")
        return None if text is None else parse_io_stat(text)
    for name in ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"):
        text = _find_text(directory / name)
        if text is not None:
            return parse_service_bytes(text)
    return None


def _find_tree(layout: CgroupLayout, controller: str) -> Hierarchy | None:
    """The tree that has the controller, by v1's name; v2's where no other has it."""
    trees = layout.hierarchies
    own = next((tree for tree in trees if controller in tree.controllers), None)
    return own or next((tree for tree in trees if tree.unified), None)


def _find_place(layout: CgroupLayout, controller: str, relative: str, name: str) -> Path | None:
    tree = _find_tree(layout, controller)
    return None if tree is None else tree.directory / relative / name


def _find_lowest(tree: Hierarchy | None, relative: str, name: str) -> int | None:
    if tree is None:
        return None
    return min(_find_limits(tree, relative, name), default=None)


def _find_limits(tree: Hierarchy, relative: str, name: str) -> Iterator[int]:
    directory = tree.directory / relative
    while True:
        text = _find_text(directory / name)
        limit = None if text is None else parse_limit(text)
        if limit is not None:
            yield limit
        if directory == tree.directory:
            return
        directory = directory.parent


def _find_number(path: Path | None) -> int | None:
    text = None if path is None else _find_text(path)
    return int(text) if text is not None and text.strip().isdecimal() else None


def _find_text(path: Path) -> str | None:
    try:
        return path.read_text("ascii")
    except OSError:
        # Of a group that was just removed even an open file cannot be read any more (ENODEV).
        return None
