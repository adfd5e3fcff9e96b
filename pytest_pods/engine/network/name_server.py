"""The session's names: one aardvark-dns answers, and another takes its place when names have changed.

aardvark-dns loses questions while it reads its files again (releases before 1.12 bind their sockets anew). So it is
never told to while it answers: one that rests gets the new files, is asked until it knows them, and only then do the
rules lead to it. What is in the file with the servers is true before it is needed: a process that is killed in between
leaves a server that nobody asks, which goes with the session.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pods.engine.deadline import Deadline
from pytest_pods.engine.errors import NetworkError, SystemCallError
from pytest_pods.engine.host.pipes import MemoryFile, Pipe
from pytest_pods.engine.host.programs import get_program
from pytest_pods.engine.network import names
from pytest_pods.engine.state.atomic import find_bytes, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_pods.engine.host.sandbox import Sandbox
    from pytest_pods.engine.state.layout import SessionLayout

_PATIENCE_S = 10.0
_ASK_AGAIN_S = 0.0005
_REST_S = 2.0
"""How long a server that was replaced still gets answers from upstream for those who asked it."""
_MOST_RESTING = 4


@dataclass(frozen=True, slots=True)
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

        `gateways` are the addresses that are asked; the first of them knows the name `generation`.
        """
        servers = self._read()
        if not files:
            self._end(servers)
            return
        server = self._find_resting(servers)
        if server is None:
            server = self._start(files)
        else:
            self._fill(self._directory(server.port), files)
            self._signal(server.pid, signal.SIGHUP)
        self._await(server, gateways[0], generation)
        self._run_nft(names.build_rules(gateways, server.port))
        now = time.time()
        others = [replace(one, replaced=one.replaced or now) for one in servers if one.port != server.port]
        self._write([*others, replace(server, replaced=None)])

    def _directory(self, port: int) -> Path:
        return self._layout.name_server_dir / str(port)

    def _read(self) -> list[_Server]:
        content = find_bytes(self._layout.name_server_file)
        return [] if content is None else [_Server(**one) for one in json.loads(content)]

    def _write(self, servers: Sequence[_Server]) -> None:
        write_atomically(self._layout.name_server_file, json.dumps([asdict(one) for one in servers]).encode())

    def _find_resting(self, servers: Sequence[_Server]) -> _Server | None:
        """One that nobody waits for any more, and that still runs."""
        resting = sorted((one for one in servers if one.replaced is not None), key=lambda one: one.replaced or 0.0)
        if not resting:
            return None
        longest = resting[0]
        rested = time.time() - (longest.replaced or 0.0) >= _REST_S
        if not rested and len(resting) < _MOST_RESTING:
            return None
        return longest if self._runs(longest.pid) else None

    def _runs(self, pid: int) -> bool:
        try:
            descriptor = self._sandbox.open(f"/proc/{pid}/comm", os.O_RDONLY)
        except SystemCallError:
            return False
        with open(descriptor, "rb") as file, suppress(OSError):
            return file.read().startswith(b"aardvark-dns")
        return False

    def _fill(self, directory: Path, files: Mapping[str, str]) -> None:
        for name in os.listdir(directory):
            if name not in files and name != "aardvark.pid":
                (directory / name).unlink()
        for name, content in files.items():
            # Beside the directory until it is whole: every file in it is taken for a network.
            new = directory.with_name(f"{directory.name}.new")
            new.write_text(content)
            new.rename(directory / name)

    def _start(self, files: Mapping[str, str]) -> _Server:
        port = self._take_port()
        directory = self._directory(port)
        self._fill(directory, files)
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

    def _take_port(self) -> int:
        self._layout.name_server_dir.mkdir(mode=0o700, exist_ok=True)
        for port in range(names.FIRST_PORT, names.FIRST_PORT + names.MOST_SERVERS):
            with suppress(FileExistsError):
                self._directory(port).mkdir(mode=0o700)
                return port
        raise NetworkError("the session has no port left for another name server", hint="open a new session")

    def _await(self, server: _Server, gateway: str, generation: str) -> None:
        """Until the server knows the generation: it listens a little after it says that it does."""
        family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
        build = names.build_question_6 if family == socket.AF_INET6 else names.build_question
        deadline = Deadline.after(_PATIENCE_S)
        number = 0
        with self._sandbox.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
            # It answers by whom it knows, and it knows the gateway.
            asking.bind((gateway, 0))
            asking.settimeout(0.02)
            while not deadline.expired:
                number = number % 0xFFFF + 1
                with suppress(OSError):
                    asking.sendto(build(generation, number), (gateway, server.port))
                    if names.is_answered(asking.recv(4096), number):
                        return
                time.sleep(_ASK_AGAIN_S)
        raise NetworkError(
            f"the session's name server (pid {server.pid}) does not answer",
            hint="its port may be taken in the session's network namespace",
        )

    def _end(self, servers: Sequence[_Server]) -> None:
        if not servers:
            return
        self._run_nft(names.build_rules((), 0))
        self._write(())
        for server in servers:
            if self._runs(server.pid):
                self._signal(server.pid, signal.SIGKILL)

    def _signal(self, pid: int, number: int) -> None:
        with suppress(SystemCallError):
            self._sandbox.signal(pid, number)

    def _run_nft(self, rules: str) -> None:
        with Pipe() as errors, MemoryFile(rules.encode()) as given:
            process = self._sandbox.spawn(
                [str(get_program("nft")), "-f", "-"],
                env={},
                descriptors={0: given, 1: errors.writing, 2: errors.writing},
            )
            errors.close_writing()
            if process.wait(_PATIENCE_S) != 0:
                raise NetworkError(
                    "leading questions to the session's name server failed: nft refuses its rules",
                    details=errors.read_tail(timeout_s=1.0),
                    hint="the kernel needs nf_tables (modprobe nf_tables nft_redir)",
                )
