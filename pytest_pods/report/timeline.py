"""A test and its containers on one clock: what the test did, what happened to containers, and what they wrote.

Pure: moments go in, lines come out. Colour is put on afterwards, where a terminal shows them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pytest_pods.engine.events import ContainerEventKind as Happened
from pytest_pods.frozen import frozen
from pytest_pods.report.texts import count, show

if TYPE_CHECKING:
    from pytest_pods.engine.events import ContainerEvent
    from pytest_pods.engine.runtime.logs import LogLine
    from pytest_pods.report.looks import Look

TEST: Final = "test"
"""Who the moments of the test itself are of."""

Kind: TypeAlias = Literal["phase", "failure", "life", "stdout", "stderr"]

_MOST_LABEL = 20
_CLOCK_STEP_S = 0.05
"""When a container ended is known by the time of a file, for which the kernel's clock goes in steps of up to 10 ms; the
monitor may write down the last words of a container after its end."""
_MARKS: dict[Kind, str] = {"phase": "", "failure": "", "life": "", "stdout": "| ", "stderr": "! "}


@frozen
class Moment:
    """Something at a time, in seconds since the epoch; `who` is the test or a container's label."""

    at: float
    who: str
    kind: Kind
    text: str


def build_timeline(moments: Iterable[Moment], *, width: int = 0) -> list[str]:
    """Lines by time; what happened at the same time stays in the order in which it was given. Labels take `width`
    characters at least."""
    ordered = sorted(moments, key=lambda moment: moment.at)
    width = max([min(width, _MOST_LABEL), *(len(_fit(moment.who)) for moment in ordered)])
    return [
        f"{format_time(moment.at)}  {_fit(moment.who):<{width}}  {_MARKS[moment.kind]}{show(moment.text)}"
        for moment in ordered
    ]


def format_time(at: float) -> str:
    """`12:01:02.103`, by the clock on the wall."""
    milliseconds = int(at * 1000)
    return f"{time.strftime('%H:%M:%S', time.localtime(milliseconds // 1000))}.{milliseconds % 1000:03}"


def _fit(label: str) -> str:
    # Names of containers differ at their ends.
    return show(label) if len(label) <= _MOST_LABEL else f"…{show(label)[1 - _MOST_LABEL :]}"


def build_container_moments(look: Look, label: str) -> list[Moment]:
    """What happened to a container and what it wrote, as far as it was looked at."""
    logged = _build_log_moments(look, label)
    before_end = [*(moment.at for moment in logged), *(one.at for one in look.events if one.kind is Happened.KILLED)]
    return [
        *(moment for event in look.events if (moment := _build_event_moment(event, label)) is not None),
        *_build_health(look, label),
        *logged,
        *_build_end(look, label, after=max(before_end, default=0.0)),
    ]


def _build_log_moments(look: Look, label: str) -> list[Moment]:
    moments: list[Moment] = []
    for line in look.log.lines:
        at = find_time(line)
        # What cannot be read stands with the line before it.
        moments.append(Moment(moments[-1].at if at is None and moments else at or 0.0, label, line.stream, line.text))
    if moments and look.log.omitted != 0:
        omitted = "earlier lines" if look.log.omitted is None else count(look.log.omitted, "earlier line")
        moments.insert(0, Moment(moments[0].at, label, "life", f"… {omitted} left out"))
    return moments


def find_time(line: LogLine) -> float | None:
    """When it was written, None if that cannot be read."""
    try:
        return line.time.timestamp()
    except ValueError:
        return None


def _build_health(look: Look, label: str) -> list[Moment]:
    """Checks of its health that have failed, as far as they are remembered."""
    if look.state is None or look.state.health is None:
        return []
    failed = [check for check in look.state.health.log if not check.ok and check.end.timestamp() >= look.since]
    return [
        Moment(check.end.timestamp(), label, "failure", f"health check failed: {check.describe()}")
        for check in failed
    ]


def _build_end(look: Look, label: str, *, after: float) -> Sequence[Moment]:
    """`after` is when it last wrote, or was killed."""
    state = look.state
    if state is None or state.finished_at is None:
        return ()
    from pytest_pods.report.states import describe_end

    failed: Kind = "failure" if state.exit_code or state.oom_killed else "life"
    at = state.finished_at.timestamp()
    if after - at < _CLOCK_STEP_S:
        at = max(at, after)
    return [Moment(at, label, failed, describe_end(look.record, state))]


def _build_event_moment(event: ContainerEvent, label: str) -> Moment | None:
    text = describe_event(event)
    if text is None:
        return None
    failed = event.kind in (Happened.NOT_READY, Happened.NOT_SEEN)
    return Moment(event.at, label, "failure" if failed else "life", text)


def describe_event(event: ContainerEvent) -> str | None:
    """A few words; None for what would only repeat what the reader sees."""
    took = f"{event.took_s:.2f} s"
    match event.kind:
        case Happened.CREATED | Happened.REMOVING:
            return None
        case Happened.TAKEN:
            return "taken by the test, made ahead of it"
        case Happened.STARTED:
            return f"started {event.text}".rstrip()
        case Happened.READY:
            return f"ready ({event.text}, after {took})"
        case Happened.NOT_READY:
            return f"not ready after {took}: {event.text}"
        case Happened.AWAITED:
            return f"awaited {event.text}, {took}"
        case Happened.NOT_SEEN:
            return f"awaited {event.text}, in vain, {took}"
        case Happened.KILLED:
            return f"got signal {event.text}"
        case Happened.ENDED:
            return f"ended: {event.text}"
        case other:
            return str(other.value)


_LINE = re.compile(r"(?P<time>\d\d:\d\d:\d\d\.\d{3})  (?P<who>.*?\S)(?P<gap> *  )(?P<text>(?P<mark>[|!] )?.*)")
PALETTE: Final = ("32", "33", "34", "35", "36")
_DIM, _BOLD, _RED = "2", "1", "31"
_FAILED = re.compile(
    r"(setup|call|teardown|health check) failed|not ready|awaited .*, in vain|exited with exit code (?!0\b)"
)


def colour_timeline(text: str) -> str:
    """The same lines for a terminal: a colour for each container, and another for what went wrong."""
    colours: dict[str, str] = {}
    return "\n".join(colour_line(line, colours) for line in text.split("\n"))


def colour_line(line: str, colours: dict[str, str]) -> str:
    """`colours` says which label has which, and learns of new ones."""
    match = _LINE.fullmatch(line)
    if match is None:
        return line
    who, said, mark = match["who"], match["text"], match["mark"]
    colour = _BOLD if who == TEST else colours.setdefault(who, PALETTE[len(colours) % len(PALETTE)])
    if mark == "! " or (mark is None and _FAILED.match(said)):
        said = paint(said, _RED)
    elif who == TEST:
        said = paint(said, _BOLD)
    return f"{paint(match['time'], _DIM)}  {paint(who, colour)}{match['gap']}{said}"


def paint(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"
