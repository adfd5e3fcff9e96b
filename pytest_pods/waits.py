"""Readiness conditions: what `wait=` takes. Each looks once when asked; the engine sleeps, and gives up, between looks.

A condition belongs to no container: the same one may stand in a mark that many tests share. What it has to remember
(how far a log was read) it keeps by container and start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Literal, TypeAlias
from weakref import WeakKeyDictionary

from pytest_pods.engine.errors import (
    ExitedEarlyError,
    InvalidInputError,
    InvalidSpecError,
    NotFoundError,
    PodsError,
    SandboxLostError,
)
from pytest_pods.engine.waiting import Readiness, Wait, parse_wait
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_pods.engine.container import Container
    from pytest_pods.engine.runtime.logs import LogReader
    from pytest_pods.engine.specs.values import Command

__all__ = ["all_of", "any_of", "exec", "exit", "file", "healthy", "http", "listening", "log", "port"]

Text: TypeAlias = str | re.Pattern[str]
"""A plain text that has to occur, or a regular expression that has to match somewhere."""

_LOOK_LIMIT_S = 5.0
_MOST_BODY_BYTES = 1 << 20
_MOST_SEEN = 200


@frozen
class Condition:
    """A wait as this module makes them: what it looks at, what it says it is, and how often looking makes sense.

    `foreign`: looking calls a function that is not this module's, which may belong to one thread.
    """

    description: str
    look: Callable[[Container], Readiness] = field(repr=False)
    timeout: float | None = None
    watches_log: bool = False
    accepts_exit: bool = False
    shortest_s: float = 0.002
    longest_s: float = 0.1
    foreign: bool = False

    def interval_s(self, look: int) -> float:
        return min(self.shortest_s * 1.4 ** min(look, 40), self.longest_s)

    def check(self, container: Container) -> Readiness:
        return self.look(container)

    def describe(self) -> str:
        return self.description


def port(number: int, *, timeout: float | None = None) -> Wait:
    """A service listens on a TCP port of the container, and accepts a connection. The port need not be published."""
    wanted = _parse_port(number)

    def look(container: Container) -> Readiness:
        heard = _look_for_listener(container, wanted)
        if not heard.ready:
            return heard
        try:
            container.connect(wanted, timeout=_LOOK_LIMIT_S).close()
        except OSError as error:
            return Readiness(False, _describe_error(error))
        return Readiness(True)

    return Condition(f"port {wanted}", look, timeout)


def listening(number: int, *, timeout: float | None = None) -> Wait:
    """A service listens on a TCP port of the container; it is not connected to."""
    wanted = _parse_port(number)
    return Condition(f"a listener on port {wanted}", lambda container: _look_for_listener(container, wanted), timeout)


def http(
    path: str,
    port: int,
    *,
    status: int | Collection[int] | Callable[[int], object] = range(200, 400),
    body: Text | Callable[[str], object] | None = None,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Wait:
    """A web service answers a request with a status (and a body) that is wanted. The port need not be published.

    `status`: a number, several, or a function of it; `body`: a text, a regular expression, or a function of the text.
    """
    wanted = _parse_port(port)
    _refuse_relative("waits.http", path)

    def look(container: Container) -> Readiness:
        from http.client import HTTPException

        heard = _look_for_listener(container, wanted)
        if not heard.ready:
            return heard
        try:
            code, text = _ask(container, wanted, method=method, path=path, headers=headers or {})
        except (OSError, HTTPException) as error:
            return Readiness(False, _describe_error(error))
        if not _status_fits(code, status):
            return Readiness(False, f"status {code}")
        if body is not None and not (body(text) if callable(body) else _occurs(body, text)):
            return Readiness(False, f"status {code}, body {_shorten(text)!r}")
        return Readiness(True)

    foreign = callable(status) or callable(body)
    return Condition(f"{method} {path} on port {wanted}", look, timeout, shortest_s=0.005, foreign=foreign)


def log(
    pattern: Text,
    *,
    times: int = 1,
    stream: Literal["stdout", "stderr"] | None = None,
    timeout: float | None = None,
) -> Wait:
    """Lines of the log since the container's start, `times` of them, contain a text or match a compiled expression."""
    _refuse_other_patterns("waits.log", pattern)
    _refuse_other_times("waits.log", times)
    scans: WeakKeyDictionary[Container, _Scan] = WeakKeyDictionary()

    def look(container: Container) -> Readiness:
        started = container.started_at
        scan = scans.get(container)
        if scan is None or scan.started != started:
            scan = scans[container] = _Scan(container.log_reader(), started)
        found = scan.count(pattern, stream)
        last = f"the last line is {_shorten(scan.last)!r}" if scan.last else "the log is empty"
        return Readiness(found >= times, f"{found} of {times}, {last}" if times > 1 else last)

    text = pattern if isinstance(pattern, str) else pattern.pattern
    often = f" ({times} times)" if times > 1 else ""
    return Condition(f"log line {text!r}{often}", look, timeout, watches_log=True, shortest_s=0.02)


class _Scan:
    """How far the log of one start of a container has been read, and what was found."""

    def __init__(self, reader: LogReader, started: datetime | None) -> None:
        self.started = started
        self.last = ""
        self._reader = reader
        self._found = 0
        # What an earlier start logged stands in front.
        self._skipping = started is not None

    def count(self, pattern: Text, stream: str | None) -> int:
        """How many lines fit, with those that have begun."""
        for line in self._reader.read():
            if self._skipping and self.started is not None and line.time < self.started:
                continue
            self._skipping = False
            self._found += self._fits(line.stream, line.text, pattern, stream)
        # A prompt does not end its line.
        return self._found + sum(
            self._fits(line.stream, line.text, pattern, stream)
            for line in self._reader.rest()
            if not self._skipping or self.started is None or line.time >= self.started
        )

    def _fits(self, line_stream: str, text: str, pattern: Text, stream: str | None) -> bool:
        if stream is not None and line_stream != stream:
            return False
        self.last = text
        return _occurs(pattern, text)


def exec(command: Command, *, exit_code: int = 0, user: str | None = None, timeout: float | None = None) -> Wait:
    """A command in the container ends with an exit code."""

    def look(container: Container) -> Readiness:
        try:
            result = container.exec(command, user=user, timeout=_LOOK_LIMIT_S)
        except SandboxLostError:
            raise
        except PodsError as error:
            return Readiness(False, error.brief)
        said = _shorten((result.stderr or result.stdout).strip())
        return Readiness(result.exit_code == exit_code, f"exit code {result.exit_code}" + (f": {said}" if said else ""))

    shown = command if isinstance(command, str) else " ".join(command)
    return Condition(f"command {shown!r} with exit code {exit_code}", look, timeout, shortest_s=0.01)


def exit(code: int | None = 0, *, timeout: float | None = None) -> Wait:
    """The container ends with an exit code; any, if it is None. With another one the wait fails at once."""

    def look(container: Container) -> Readiness:
        state = container.state()
        if state.status != "exited":
            return Readiness(False, f"it is {state.status}")
        if code is None or state.exit_code == code:
            return Readiness(True)
        tail = container.logs(tail=20)
        raise ExitedEarlyError(
            f"container {container.name} ({container.image}) ended with exit code {state.exit_code}, not {code}",
            exit_code=state.exit_code,
            log_tail=tail,
            details="\n".join(["last log lines:", *(f"  {line}" for line in tail.splitlines())]) if tail else None,
        )

    shown = "any exit code" if code is None else f"exit code {code}"
    return Condition(f"its end with {shown}", look, timeout, accepts_exit=True)


def file(path: str, *, contains: Text | None = None, timeout: float | None = None) -> Wait:
    """A file is there in the container (and contains a text, or matches an expression); the image needs no tool.

    Without `contains` it may be anything that has a name: a directory, a socket.
    """
    _refuse_relative("waits.file", path)

    def look(container: Container) -> Readiness:
        if not container.exists(path):
            return Readiness(False, "it is not there")
        if contains is None:
            return Readiness(True)
        try:
            content = container.read(path)
        except (NotFoundError, InvalidInputError) as error:
            return Readiness(False, error.brief)
        if _occurs(contains, content.decode("utf-8", "replace")):
            return Readiness(True)
        return Readiness(False, f"it has {len(content)} bytes, without what is looked for")

    return Condition(f"file {path}", look, timeout, shortest_s=0.005)


def healthy(*, timeout: float | None = None) -> Wait:
    """Its health check finds the container well: that of `health=`, or the image's.

    Nobody waits an interval for that: it is checked at once, again after 50 ms, then more and more rarely, in the end
    once a second. What fails of these checks does not count, so that they make no container unhealthy.
    """

    def look(container: Container) -> Readiness:
        health = container.hasten_health()
        return Readiness(health.status == "healthy", health.describe())

    return Condition("its health check", look, timeout, shortest_s=0.005)


def all_of(*conditions: Wait | Callable[[Container], object], timeout: float | None = None) -> Wait:
    """All conditions hold at one look. Without `timeout` the longest of theirs counts, if all have one."""
    waits = _parse_all("all_of", conditions)

    def look(container: Container) -> Readiness:
        for wait in waits:
            seen = wait.check(container)
            if not seen.ready:
                return Readiness(False, f"{wait.describe()}: {seen.seen}")
        return Readiness(True)

    return _combine(" and ".join(wait.describe() for wait in waits), look, waits, timeout=timeout, all_accept=True)


def any_of(*conditions: Wait | Callable[[Container], object], timeout: float | None = None) -> Wait:
    """One of the conditions holds. Without `timeout` the longest of theirs counts, if all have one."""
    waits = _parse_all("any_of", conditions)

    def look(container: Container) -> Readiness:
        seen: list[str] = []
        failure: PodsError | None = None
        for wait in waits:
            try:
                one = wait.check(container)
            except PodsError as error:
                # Hopeless for this one only: another may hold.
                failure = failure or error
                continue
            if one.ready:
                return one
            seen.append(f"{wait.describe()}: {one.seen}")
        if failure is not None:
            raise failure
        return Readiness(False, "; ".join(seen))

    return _combine(" or ".join(wait.describe() for wait in waits), look, waits, timeout=timeout, all_accept=False)


def _combine(
    description: str,
    look: Callable[[Container], Readiness],
    waits: tuple[Wait, ...],
    *,
    timeout: float | None,
    all_accept: bool,
) -> Wait:
    limits = [wait.timeout for wait in waits]
    known = [limit for limit in limits if limit is not None]
    accepting = [wait.accepts_exit for wait in waits]
    return Condition(
        description,
        look,
        timeout if timeout is not None else max(known) if len(known) == len(limits) else None,
        watches_log=any(wait.watches_log for wait in waits),
        accepts_exit=all(accepting) if all_accept else any(accepting),
        shortest_s=0.005,
        foreign=any(is_foreign(wait) for wait in waits),
    )


def is_foreign(wait: Wait) -> bool:
    """Whether looking calls functions that are not this module's."""
    return getattr(wait, "foreign", True) is not False


def _parse_all(name: str, conditions: tuple[object, ...]) -> tuple[Wait, ...]:
    if not conditions:
        raise InvalidSpecError(f"waits.{name} needs at least one condition")
    return tuple(parse_wait(condition) for condition in conditions)


def _parse_port(number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 65535:
        raise InvalidSpecError(f"a wait for port {number!r}: a port is a number from 1 to 65535")
    return number


def _refuse_relative(where: str, path: object) -> None:
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidSpecError(f"{where}: the path has to be a text that starts with '/', not {path!r}")


def _refuse_other_patterns(where: str, pattern: object) -> None:
    text = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
    if not isinstance(text, str) or not text:
        raise InvalidSpecError(f"{where}: the pattern has to be a text or a compiled expression, not {pattern!r}")


def _refuse_other_times(where: str, times: object) -> None:
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise InvalidSpecError(f"{where}: times has to be a number from 1, not {times!r}")


def _look_for_listener(container: Container, wanted: int) -> Readiness:
    heard = container.listening()
    if wanted in heard:
        return Readiness(True)
    others = f" (but on {', '.join(map(str, sorted(heard)))})" if heard else ""
    return Readiness(False, f"nothing listens on it{others}")


def _ask(
    container: Container, port: int, *, method: str, path: str, headers: Mapping[str, str]
) -> tuple[int, str]:
    from http.client import HTTPConnection

    connection = HTTPConnection("localhost", port, timeout=_LOOK_LIMIT_S)
    connection.sock = container.connect(port, timeout=_LOOK_LIMIT_S)
    try:
        connection.request(method, path, headers={"Connection": "close", **headers})
        with connection.getresponse() as response:
            return response.status, response.read(_MOST_BODY_BYTES).decode("utf-8", "replace")
    finally:
        connection.close()


def _status_fits(code: int, wanted: int | Collection[int] | Callable[[int], object]) -> bool:
    if isinstance(wanted, int):
        return code == wanted
    return bool(wanted(code)) if callable(wanted) else code in wanted


def _occurs(pattern: Text, text: str) -> bool:
    return pattern in text if isinstance(pattern, str) else pattern.search(text) is not None


def _describe_error(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_LOOK_LIMIT_S:.0f} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST_SEEN else text[: _MOST_SEEN - 1] + "…"
