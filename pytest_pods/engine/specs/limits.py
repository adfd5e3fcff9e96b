"""How much a container, or a pod, may use: memory, processor time, processes, open files, shared memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.specs.values import did_you_mean, parse_size
from pytest_pods.frozen import frozen

ULIMITS: frozenset[str] = frozenset(
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)
"""As Docker names them; `RLIMIT_` and capitals make setrlimit(2)'s names of them."""

_LEAST_MEMORY = 512 * 1024
NO_LIMIT = -1


@frozen
class Ulimit:
    """A limit of setrlimit(2) for the processes of a container; -1 is no limit."""

    name: str
    soft: int
    hard: int

    @property
    def kind(self) -> str:
        """As the runtime configuration names it."""
        return f"RLIMIT_{self.name.upper()}"


@frozen
class Limits:
    """What a control group holds its processes to; None is no limit, and -1 as `memory_swap` unlimited swap.

    `memory_swap` counts memory and swap together, as Docker has it.
    """

    memory: int | None = None
    memory_swap: int | None = None
    cpus: float | None = None
    pids: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The arguments by which they were asked for."""
        found = (
            ("memory", self.memory),
            ("memory_swap", self.memory_swap),
            ("cpus", self.cpus),
            ("pids_limit", self.pids),
        )
        return tuple(name for name, value in found if value is not None)

    def __bool__(self) -> bool:
        return bool(self.names)


def build_limits(
    *, memory: int | None, memory_swap: int | None, cpus: float | None, pids_limit: int | None
) -> Limits:
    """Raises InvalidSpecError where memory and swap contradict each other."""
    if memory_swap is not None and memory_swap != NO_LIMIT:
        if memory is None:
            raise InvalidSpecError("memory_swap without memory", hint="it is the sum of both: name memory as well")
        if memory_swap < memory:
            raise InvalidSpecError(
                f"memory_swap {memory_swap} is less than memory {memory}",
                hint="it is the sum of both; the same number means no swap",
            )
    return Limits(memory, memory_swap, cpus, pids_limit)


def parse_bytes(name: str, value: object) -> int:
    """Reads 67108864 or "64m"; raises InvalidSpecError."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str):
        number = parse_size(value)
    else:
        raise InvalidSpecError(f"{name} has to be a size such as '64m' or a number of bytes, not {value!r}")
    if number <= 0:
        raise InvalidSpecError(f"{name} has to be more than 0, not {value!r}")
    return number


def parse_memory(name: str, value: object) -> int:
    number = parse_bytes(name, value)
    if number < _LEAST_MEMORY:
        raise InvalidSpecError(
            f"{name}={value!r} is {number} bytes: nothing starts in less than 512k", hint="write 64m for megabytes"
        )
    return number


def parse_memory_swap(name: str, value: object) -> int:
    return NO_LIMIT if value in (-1, "-1") else parse_memory(name, value)


def parse_cpus(name: str, value: object) -> float:
    """Reads 0.5, 2 or "1.5"; raises InvalidSpecError."""
    number = -1.0
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = -1.0
    if not 0.01 <= number <= 10_000:
        raise InvalidSpecError(f"{name} has to be a number of processors such as 0.5 or 2, not {value!r}")
    return number


def parse_pids_limit(name: str, value: object) -> int | None:
    """A number of processes and threads; 0 and -1 are no limit."""
    if isinstance(value, str) and value.lstrip("-").isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < NO_LIMIT:
        raise InvalidSpecError(f"{name} has to be a number of processes, or -1 for no limit, not {value!r}")
    return None if value in (0, NO_LIMIT) else value


def parse_ulimits(name: str, value: object) -> tuple[Ulimit, ...]:
    """Reads ["nofile=1024:2048", "core=0"] or {"nofile": 1024, "core": (0, 0)}; of two of one name the later counts."""
    if isinstance(value, Mapping):
        found = [_build_ulimit(name, key, item) for key, item in value.items()]
    elif isinstance(value, Iterable) and not isinstance(value, str):
        found = [item if isinstance(item, Ulimit) else _parse_ulimit(name, item) for item in value]
    else:
        raise InvalidSpecError(f"{name} has to be a list such as ['nofile=1024'] or a mapping, not {value!r}")
    return tuple({ulimit.name: ulimit for ulimit in found}.values())


def _parse_ulimit(name: str, value: object) -> Ulimit:
    key, separator, text = value.partition("=") if isinstance(value, str) else ("", "", "")
    if not separator:
        raise InvalidSpecError(f"{name} entry {value!r} is not NAME=SOFT[:HARD]")
    return _build_ulimit(name, key, text.split(":"))


def _build_ulimit(name: str, key: object, value: object) -> Ulimit:
    if not isinstance(key, str) or key not in ULIMITS:
        raise InvalidSpecError(f"{name}: unknown limit {key!r}", hint=did_you_mean(str(key), ULIMITS))
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    numbers = [_parse_ulimit_number(name, key, item) for item in values]
    if not 1 <= len(numbers) <= 2:
        raise InvalidSpecError(f"{name} {key!r} has to be a number, or a soft and a hard one, not {value!r}")
    soft, hard = numbers[0], numbers[-1]
    if hard != NO_LIMIT and (soft == NO_LIMIT or soft > hard):
        raise InvalidSpecError(f"{name} {key!r}: the soft limit {soft} is above the hard one {hard}")
    return Ulimit(key, soft, hard)


def _parse_ulimit_number(name: str, key: str, value: object) -> int:
    if value == "unlimited":
        return NO_LIMIT
    try:
        number = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else -2
    except ValueError:
        number = -2
    if number < NO_LIMIT:
        raise InvalidSpecError(f"{name} {key!r}: {value!r} is not a number from 0, nor -1 for no limit")
    return number
