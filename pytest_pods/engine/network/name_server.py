"""The session's names: one aardvark-dns answers, and a new one takes its place when names have changed.

aardvark-dns loses questions while it reads its files again, in releases that bind their sockets anew for that. So none
is ever told to: a new one gets the new files, is asked until it answers, and then the rules lead to it. One that was
replaced goes on for a while: it may still owe an answer.

What is in the file with the servers is true before it is needed: a process that is killed in between leaves a server
that nobody asks, which goes with the session.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import NetworkError, SystemCallError
from pytest_pods.engine.host.pipes import MemoryFile, Pipe
from pytest_pods.engine.host.programs import get_program
from pytest_pods.engine.network import names
from pytest_pods.engine.state.atomic import find_bytes, write_atomically
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.state.layout import SessionLayout

_PATIENCE_S = 10.0
_ASK_AGAIN_S = 0.0005
_ANSWER_S = 0.001
"""An answer comes in a tenth of that, unless the question was lost while the server binds its sockets."""
_REST_S = 2.0
"""How long a server that was replaced still gets answers from upstream for those who asked it."""
_MOST_RESTING = 8


@frozen
class _Server:
    """One aardvark-dns; `replaced` is when it was (seconds since the epoch), None while it answers."""

    port: int
    pid: int
    replaced: float | None = None


class NameServer:
    """The name servers of one session; whoever calls `update` holds the session's `name_server_lock`."""

    def __init__(self, sandbox: Sandbox, layout: SessionLayout) -> None:
        self._sandbox = sandbox
        self._layout = layout

    def update(self, files: Mapping[str, str], *, gateways: Sequence[str], generation: str) -> None:
        """Afterwards the questions of all networks are answered from `files`. Raises NetworkError.

        `gateways` are the addresses that are asked; each of them knows the name `generation`.
        """
        servers = [server for server in self._read() if self._sandbox.runs(server.pid, "aardvark-dns")]
        if not files:
            self._end(servers)
            return
        server = self._start(files, after=servers[-1].port if servers else names.FIRST_PORT - 1)
        deadline = Deadline.after(_PATIENCE_S)
        for gateway in gateways:
            self._await(server, gateway, generation, deadline=deadline)
        direction = names.build_direction(gateways, server.port)
        self._run_nft(direction if servers else names.build_table() + direction)
        now = time.time()
        resting = [replace(one, replaced=one.replaced or now) for one in servers]
        rested = self._select_rested(resting, now)
        # Forgotten before they end: a port that another one has by then is not to be cleared.
        self._write([*(one for one in resting if one not in rested), server])
        for one in rested:
            self._stop(one)

    @staticmethod
    def _select_rested(servers: Sequence[_Server], now: float) -> list[_Server]:
        """Those that owe nobody an answer any more, and the oldest of too many."""
        by_age = sorted(servers, key=lambda one: one.replaced or now)
        surplus = by_age[: max(0, len(by_age) - _MOST_RESTING)]
        return [*surplus, *(one for one in by_age[len(surplus) :] if now - (one.replaced or now) >= _REST_S)]

    def _stop(self, server: _Server) -> None:
        self._signal(server.pid, signal.SIGKILL)
        shutil.rmtree(self._directory(server.port), ignore_errors=True)

    def _directory(self, port: int) -> Path:
        return self._layout.name_server_dir / str(port)

    def _read(self) -> list[_Server]:
        content = find_bytes(self._layout.name_server_file)
        return [] if content is None else [_Server(**one) for one in json.loads(content)]

    def _write(self, servers: Sequence[_Server]) -> None:
        write_atomically(self._layout.name_server_file, json.dumps([asdict(one) for one in servers]).encode())

    def _start(self, files: Mapping[str, str], *, after: int) -> _Server:
        port = self._take_port(after)
        directory = self._directory(port)
        for name, content in files.items():
            (directory / name).write_text(content)
        argv = [str(get_program("aardvark-dns")), "--config", str(directory), "--port", str(port), "run"]
        with Pipe() as errors:
            process = self._sandbox.spawn(
                argv, env={"PATH": os.defpath}, descriptors={1: errors.writing, 2: errors.writing}
            )
            errors.close_writing()
            status = process.wait(_PATIENCE_S)
            pid = find_bytes(directory / "aardvark.pid") or b""
            if status != 0 or not pid.strip().isdigit():
                raise NetworkError(
                    "the session's name server could not be started", details=errors.read_tail(timeout_s=0.2) or None
                )
        return _Server(port, int(pid))

    def _take_port(self, after: int) -> int:
        """The next free one: that of a server that was just ended may still be bound."""
        self._layout.name_server_dir.mkdir(mode=0o700, exist_ok=True)
        for step in range(1, names.MOST_SERVERS + 1):
            port = names.FIRST_PORT + (after - names.FIRST_PORT + step) % names.MOST_SERVERS
            with suppress(FileExistsError):
                self._directory(port).mkdir(mode=0o700)
                return port
        raise NetworkError("the session has no port left for another name server", hint="open a new session")

    def _await(self, server: _Server, gateway: str, generation: str, *, deadline: Deadline) -> None:
        """Until the server knows the generation there: it listens a little after it says that it does, and at each
        address in its own time."""
        family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
        question = names.build_question(generation, 1, six=family == socket.AF_INET6)
        with self._sandbox.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
            # It answers by whom it knows, and it knows the gateway.
            try:
                asking.bind((gateway, 0))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                # The network has lost its bridge, as whoever is on it will be told: nobody can ask there.
                return
            asking.settimeout(_ANSWER_S)
            while not deadline.expired:
                with suppress(OSError):
                    asking.sendto(question, (gateway, server.port))
                    if names.is_positive(asking.recv(4096)):
                        return
                time.sleep(_ASK_AGAIN_S)
        raise NetworkError(
            f"the session's name server (pid {server.pid}) does not answer at {gateway}",
            hint="its port may be taken in the session's network namespace",
        )

    def _end(self, servers: Sequence[_Server]) -> None:
        if not servers:
            return
        self._run_nft(names.build_direction((), 0))
        self._write(())
        for server in servers:
            self._stop(server)

    def _signal(self, pid: int, number: int) -> None:
        with suppress(SystemCallError):
            self._sandbox.signal(pid, number)

    def _run_nft(self, rules: str) -> None:
        """Returns when the kernel has taken the rules over, which it echoes; nft itself ends some 10 ms later, when the
        kernel has cleaned up behind it."""
        with Pipe() as output, MemoryFile(rules.encode()) as given:
            process = self._sandbox.spawn(
                [str(get_program("nft")), "--echo", "--file", "-"],
                env={},
                descriptors={0: given, 1: output.writing, 2: output.writing},
            )
            output.close_writing()
            said = output.read_some(timeout_s=_PATIENCE_S)
            if said.startswith((b"add ", b"delete ", b"flush ", b"table ")):
                return
            if process.wait(_PATIENCE_S) != 0:
                raise NetworkError(
                    "leading questions to the session's name server failed: nft refuses its rules",
                    details=said.decode("utf-8", "replace") + output.read_tail(timeout_s=1.0),
                    hint="the kernel needs nf_tables (modprobe nf_tables nft_redir)",
                )
