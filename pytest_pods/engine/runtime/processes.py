"""One process as /proc shows it (proc_pid_status(5), proc_pid_stat(5), proc_pid_smaps(5)). Pure."""

from __future__ import annotations

from pytest_pods.frozen import frozen

_PARENT, _TICKS_OF = 1, slice(11, 13)
_TICKS_OF_WAITED = slice(13, 15)


@frozen
class ContainerProcess:
    """A process of a container. `pid` and `parent` count in the container's PID namespace, where `parent` is 0 for one
    that was started from outside; `user` is the effective uid in the container. `waited_cpu_ns` is the time of ended
    children that it has waited for, `memory` what is resident, in bytes."""

    pid: int
    parent: int
    user: int
    cpu_ns: int
    waited_cpu_ns: int
    memory: int
    threads: int
    command: str


@frozen
class ProcessTexts:
    """The files that a process is read from."""

    status: str
    stat: str
    command_line: bytes


def parse_process(texts: ProcessTexts, *, ticks_per_s: int) -> ContainerProcess:
    """`parent` is as the reader of /proc counts it. Raises ValueError, KeyError, IndexError for what is no such file.

    A process without arguments, such as a zombie, has its name in brackets as the command.
    """
    fields = _parse_status(texts.status)
    # The name stands in parentheses and may have any of its own, and spaces.
    numbers = texts.stat.rpartition(")")[2].split()
    command = " ".join(texts.command_line.decode("utf-8", "replace").split("\0")).strip()
    return ContainerProcess(
        pid=int(fields["NSpid"].split()[-1]),
        parent=int(numbers[_PARENT]),
        user=int(fields["Uid"].split()[1]),
        cpu_ns=sum(map(int, numbers[_TICKS_OF])) * 1_000_000_000 // ticks_per_s,
        waited_cpu_ns=sum(map(int, numbers[_TICKS_OF_WAITED])) * 1_000_000_000 // ticks_per_s,
        memory=int(fields.get("VmRSS", "0 kB").split()[0]) * 1024,
        threads=int(fields["Threads"]),
        command=command or f"[{fields['Name'].strip()}]",
    )


def count_pid_namespaces(status: str) -> int:
    """How many PID namespaces the process is in, from that of the reader of /proc on. Raises KeyError."""
    return len(_parse_status(status)["NSpid"].split())


def _parse_status(text: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def parse_proportional_memory(smaps_rollup: str) -> int | None:
    """Bytes of what is mapped, a page that n processes map counted as 1/n (Pss); None where the text has it not."""
    for line in smaps_rollup.splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            return int(rest.split()[0]) * 1024
    return None
