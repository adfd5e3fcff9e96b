"""Conditions looked at on a stand-in for a container that has a real log file, real listeners and real servers."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_pods import waits
from pytest_pods.engine.container import Container
from pytest_pods.engine.errors import ExitedEarlyError, InvalidSpecError, NotFoundError
from pytest_pods.engine.records import ContainerState
from pytest_pods.engine.runtime.logs import LogReader
from pytest_pods.engine.services.execution import ExecResult
from pytest_pods.engine.waiting import Readiness, Wait
from tests.support.http_server import QuietHandler, serve

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(eq=False)
class Local:
    """Its network is this machine's, its files are below a directory, its log is a file."""

    directory: Path
    heard: frozenset[int] = frozenset()
    status: ContainerState = field(default_factory=lambda: ContainerState("running", started_at=START))
    name: str = "local"
    image: str = "none"

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    @property
    def started_at(self) -> datetime | None:
        return self.status.started_at

    def state(self) -> ContainerState:
        return self.status

    def listening(self) -> frozenset[int]:
        return self.heard

    def connect(self, port: int, *, timeout: float | None = None) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout)

    def log_reader(self) -> LogReader:
        return LogReader(self.log_file)

    def logs(self, *, tail: int | None = None) -> str:
        return "".join(line.output for line in LogReader(self.log_file).read()[-(tail or 0) :])

    def exists(self, path: str) -> bool:
        return (self.directory / path.removeprefix("/")).exists()

    def read(self, path: str) -> bytes:
        try:
            return (self.directory / path.removeprefix("/")).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(path) from error

    def say(self, text: str, *, stream: str = "stdout", after_s: float = 1.0, ends: bool = True) -> None:
        moment = (START + timedelta(seconds=after_s)).isoformat(timespec="microseconds")
        with self.log_file.open("a") as file:
            file.write(f"{moment} {stream} {'F' if ends else 'P'} {text}\n")


@pytest.fixture
def local(tmp_path: Path) -> Local:
    return Local(tmp_path)


def look(wait: Wait, local: Local) -> Readiness:
    return wait.check(cast(Container, local))


@contextmanager
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# port, listening


def test_port_is_ready_with_a_listener_that_accepts(local: Local) -> None:
    with listener() as port:
        local.heard = frozenset({port})
        assert look(waits.port(port), local).ready


def test_port_is_not_ready_without_a_listener_and_tells_where_there_are_some(local: Local) -> None:
    local.heard = frozenset({80, 443})
    assert look(waits.port(6379), local) == Readiness(False, "nothing listens on it (but on 80, 443)")


def test_port_is_not_ready_while_connections_are_refused(local: Local) -> None:
    with listener() as port:
        pass
    local.heard = frozenset({port})
    assert look(waits.port(port), local) == Readiness(False, "Connection refused")


def test_listening_does_not_connect(local: Local) -> None:
    with listener() as port:
        pass
    local.heard = frozenset({port})
    assert look(waits.listening(port), local).ready


@pytest.mark.parametrize("number", [0, 65536, "80", True, None, 8.0])
@pytest.mark.parametrize("make", [waits.port, waits.listening])
def test_port_that_is_none_is_refused_when_the_wait_is_made(make: Callable[[Any], Wait], number: object) -> None:
    with pytest.raises(InvalidSpecError, match="a number from 1 to 65535"):
        make(number)


# http


class Health(QuietHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, b'{"status": "up"}', headers={"X-Host": self.headers["Host"]})
        elif self.path == "/moved":
            self.answer(302, headers={"Location": "/health"})
        else:
            self.answer(503, b"starting")


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with serve(Health) as port:
        yield port


@pytest.mark.parametrize(
    ("path", "options", "ready"),
    [
        pytest.param("/health", {}, True, id="answer"),
        pytest.param("/moved", {}, True, id="redirect"),
        pytest.param("/moved", {"status": 200}, False, id="redirect where 200 is wanted"),
        pytest.param("/other", {}, False, id="error"),
        pytest.param("/other", {"status": {500, 503}}, True, id="error that is wanted"),
        pytest.param("/other", {"status": lambda status: status > 500}, True, id="status by function"),
        pytest.param("/health", {"body": '"up"'}, True, id="text of the body"),
        pytest.param("/health", {"body": re.compile(r'"status":\s*"(up|ok)"')}, True, id="expression of the body"),
        pytest.param("/health", {"body": lambda text: "down" in text}, False, id="body by function"),
    ],
)
def test_http_compares_status_and_body(
    local: Local, server: int, path: str, options: dict[str, Any], ready: bool
) -> None:
    local.heard = frozenset({server})
    assert look(waits.http(path, server, **options), local).ready is ready


def test_http_tells_what_it_saw(local: Local, server: int) -> None:
    local.heard = frozenset({server})
    assert look(waits.http("/other", server), local).seen == "status 503"
    assert look(waits.http("/health", server, body="down"), local).seen == "status 200, body '{\"status\": \"up\"}'"


class Pong(QuietHandler):
    def handle(self) -> None:
        self.wfile.write(b"+PONG\r\n")


def test_http_is_not_ready_where_something_else_answers(local: Local) -> None:
    with serve(Pong) as port:
        local.heard = frozenset({port})
        assert look(waits.http("/", port), local) == Readiness(False, "BadStatusLine: +PONG\r\n")


# log


def test_log_counts_lines_over_several_looks(local: Local) -> None:
    wait = waits.log("ready", times=2)
    assert look(wait, local) == Readiness(False, "0 of 2, the log is empty")
    local.say("ready to accept")
    assert look(wait, local) == Readiness(False, "1 of 2, the last line is 'ready to accept'")
    assert not look(wait, local).ready
    local.say("ready again")
    assert look(wait, local).ready
    assert look(wait, local).ready


def test_log_text_is_no_expression(local: Local) -> None:
    local.say("port 8080 (tcp)")
    assert look(waits.log("8080 (tcp)"), local).ready
    assert not look(waits.log("port .* .tcp."), local).ready
    assert look(waits.log(re.compile(r"port \d+ ")), local).ready


def test_log_of_one_stream_ignores_the_other(local: Local) -> None:
    local.say("ready", stream="stderr")
    assert not look(waits.log("ready", stream="stdout"), local).ready
    assert look(waits.log("ready", stream="stderr"), local).ready


def test_log_sees_a_prompt_that_does_not_end_its_line(local: Local) -> None:
    wait = waits.log("Password:")
    local.say("Password:", ends=False)
    assert look(wait, local).ready


def test_log_counts_a_line_once_that_came_in_pieces(local: Local) -> None:
    wait = waits.log("ready", times=2)
    local.say("ready ", ends=False)
    assert not look(wait, local).ready
    local.say("to accept")
    assert not look(wait, local).ready


def test_log_of_an_earlier_start_does_not_count(local: Local) -> None:
    wait = waits.log("ready")
    local.say("ready", after_s=1)
    assert look(wait, local).ready
    local.status = ContainerState("running", started_at=START + timedelta(seconds=10))
    assert not look(wait, local).ready
    local.say("ready", after_s=11)
    assert look(wait, local).ready


def test_log_of_two_containers_is_counted_apart(tmp_path: Path) -> None:
    wait = waits.log("ready")
    one, two = Local(tmp_path / "one"), Local(tmp_path / "two")
    one.directory.mkdir()
    two.directory.mkdir()
    one.say("ready")
    assert look(wait, one).ready
    assert not look(wait, two).ready


@pytest.mark.parametrize("arguments", [{"pattern": ""}, {"pattern": 1}, {"pattern": re.compile(b"x")}, {"times": 0}])
def test_log_wait_that_cannot_be_meant_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpecError, match=r"waits\.log"):
        waits.log(**{"pattern": "x", **arguments})


# exit, file, exec


def test_exit_is_ready_with_its_code_and_fails_at_once_with_another(local: Local) -> None:
    local.say("bad configuration")
    assert look(waits.exit(), local) == Readiness(False, "it is running")
    local.status = ContainerState("exited", exit_code=3)
    assert look(waits.exit(3), local).ready
    assert look(waits.exit(None), local).ready
    with pytest.raises(ExitedEarlyError, match="ended with exit code 3, not 0") as caught:
        look(waits.exit(), local)
    assert caught.value.log_tail == "bad configuration\n"


def test_file_is_ready_when_it_is_there_with_its_content(local: Local) -> None:
    wait = waits.file("/ready", contains="yes")
    assert look(wait, local) == Readiness(False, "it is not there")
    (local.directory / "ready").write_text("no")
    assert not look(wait, local).ready
    assert look(waits.file("/ready"), local).ready
    (local.directory / "ready").write_text("yes")
    assert look(wait, local).ready


@dataclass(eq=False)
class Executing(Local):
    exit_code: int = 0

    def exec(self, command: object, *, user: str | None, timeout: float) -> ExecResult:
        return ExecResult(("pg_isready",), self.exit_code, "", "no response\n", 0.01)


def test_exec_compares_the_exit_code(tmp_path: Path) -> None:
    wait = waits.exec(["pg_isready"])
    assert look(wait, Executing(tmp_path)).ready
    assert look(wait, Executing(tmp_path, exit_code=2)) == Readiness(False, "exit code 2: no response")


# combinations


def test_all_of_needs_every_condition_and_tells_the_first_that_fails(local: Local) -> None:
    local.say("ready")
    wait = waits.all_of(waits.log("ready"), waits.file("/ready"))
    assert look(wait, local) == Readiness(False, "file /ready: it is not there")
    (local.directory / "ready").touch()
    assert look(wait, local).ready


def test_any_of_needs_one_condition_and_tells_all(local: Local) -> None:
    wait = waits.any_of(waits.file("/ready"), waits.exit())
    assert look(wait, local).seen == "file /ready: it is not there; its end with exit code 0: it is running"
    (local.directory / "ready").touch()
    local.status = ContainerState("exited", exit_code=9)
    assert look(wait, local).ready


def test_any_of_fails_when_one_is_hopeless_and_none_holds(local: Local) -> None:
    local.status = ContainerState("exited", exit_code=9)
    with pytest.raises(ExitedEarlyError):
        look(waits.any_of(waits.exit(), waits.file("/ready")), local)


def test_combination_takes_functions_of_the_container(local: Local) -> None:
    assert look(waits.all_of(lambda container: container.name == "local"), local).ready


@pytest.mark.parametrize("combine", [waits.all_of, waits.any_of])
def test_combination_watches_what_its_members_watch(combine: Callable[..., Wait]) -> None:
    port, log, end = waits.port(1, timeout=5), waits.log("x", timeout=7), waits.exit()
    assert combine(port, log).watches_log
    assert not combine(port, end).watches_log
    assert combine(port, log).timeout == 7
    assert combine(port, end).timeout is None
    assert combine(port, end, timeout=9).timeout == 9


def test_end_of_the_container_is_hopeless_unless_the_combination_can_hold_without_it() -> None:
    assert waits.any_of(waits.port(1), waits.exit()).accepts_exit
    assert not waits.all_of(waits.port(1), waits.exit()).accepts_exit
    assert not waits.port(1).accepts_exit


@pytest.mark.parametrize("combine", [waits.all_of, waits.any_of])
def test_combination_of_nothing_or_of_no_waits_is_refused(combine: Callable[..., Wait]) -> None:
    with pytest.raises(InvalidSpecError, match="at least one"):
        combine()
    with pytest.raises(InvalidSpecError, match="6379 is not a wait"):
        combine(6379)


# all of them


@pytest.mark.parametrize(
    ("wait", "told"),
    [
        (waits.port(6379), "port 6379"),
        (waits.listening(80), "a listener on port 80"),
        (waits.http("/health", 8080), "GET /health on port 8080"),
        (waits.log("ready", times=2), "log line 'ready' (2 times)"),
        (waits.exec("pg_isready -q"), "command 'pg_isready -q' with exit code 0"),
        (waits.exit(None), "its end with any exit code"),
        (waits.file("/run/ready"), "file /run/ready"),
        (waits.any_of(waits.port(1), waits.exit(3)), "port 1 or its end with exit code 3"),
    ],
)
def test_description_says_what_is_awaited(wait: Wait, told: str) -> None:
    assert wait.describe() == told


@pytest.mark.parametrize("wait", [waits.port(1), waits.log("x"), waits.http("/", 1), waits.exit(), waits.exec("true")])
def test_looks_begin_quickly_and_become_rarer(wait: Wait) -> None:
    pauses = [wait.interval_s(look) for look in range(1, 200)]
    assert pauses[0] <= 0.03
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 0.1
    assert isinstance(wait, Wait)
