"""A real registry server for tests: `docker-registry` on a free loopback port, its storage in a directory of the test.

With options for what clients have to cope with: basic authentication, bearer tokens from a token server, TLS with an
authority of its own. Everything ends with the context manager.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import Authority
from tests.support.token_server import TokenServer, run_token_server

USER = "tester"
PASSWORD = "correct horse"

# bcrypt of PASSWORD at cost 4: htpasswd files of this server take nothing else, and Python has no bcrypt.
_PASSWORD_HASH = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"


@dataclass(frozen=True, slots=True)
class Registry:
    """A running server. `host` (host:port) is what references start with."""

    host: str
    storage: Path
    ca_file: Path | None = None
    tokens: TokenServer | None = None
    log_file: Path | None = None

    @property
    def port(self) -> int:
        return int(self.host.rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"{'https' if self.ca_file else 'http'}://{self.host}"

    def reference(self, name: str) -> str:
        """`team/app:1` as a reference to this registry."""
        return f"{self.host}/{name}"

    def requests(self) -> list[str]:
        """What was answered so far, one "METHOD path status" each; the newest may be missing for a moment."""
        lines = self.log_file.read_text().splitlines() if self.log_file else []
        entries = (json.loads(line) for line in lines if line.startswith("{"))
        return [
            f"{entry['http.request.method']} {entry['http.request.uri']} {entry['http.response.status']}"
            for entry in entries
            if "http.response.status" in entry
        ]

    def blob_file(self, digest: str) -> Path:
        """Where the server stores a blob, for tests that break it."""
        algorithm, _, digits = digest.partition(":")
        return self.storage / "docker/registry/v2/blobs" / algorithm / digits[:2] / digits / "data"


@contextlib.contextmanager
def run_registry(
    directory: Path,
    *,
    basic: bool = False,
    tls: bool = False,
    token: bool = False,
    anonymous_pull: bool = True,
) -> Iterator[Registry]:
    """Runs a server with its files below `directory`; `basic` and `token` exclude each other.

    Credentials are USER and PASSWORD. With `token`, `anonymous_pull` says whether anybody may pull.
    """
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        raise FileNotFoundError("docker-registry is missing: install docker-registry")
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        config: dict[str, object] = {
            "version": "0.1",
            "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(directory / "storage")}, "delete": {"enabled": True}},
        }
        http: dict[str, object] = {"host": "", "relativeurls": True}
        authority = None
        if tls or token:
            authority = Authority.create(directory / "authority")
        if tls:
            assert authority is not None
            certificate = authority.issue("localhost")
            http["tls"] = {"certificate": str(certificate.chain_file), "key": str(certificate.key_file)}
        tokens = None
        if basic:
            password_file = directory / "htpasswd"
            password_file.write_text(f"{USER}:{_PASSWORD_HASH}\n")
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(password_file)}}
        elif token:
            assert authority is not None
            signer = authority.issue("token-signer")
            tokens = stack.enter_context(
                run_token_server(signer, user=USER, password=PASSWORD, anonymous_pull=anonymous_pull)
            )
            config["auth"] = {
                "token": {
                    "realm": tokens.url,
                    "service": tokens.service,
                    "issuer": tokens.issuer,
                    "rootcertbundle": str(authority.ca_file),
                }
            }
        log_file = directory / "log"
        port = stack.enter_context(_server(program, directory, config=config, http=http, log_file=log_file))
        name = "localhost" if tls else "127.0.0.1"
        yield Registry(
            f"{name}:{port}",
            directory / "storage",
            ca_file=authority.ca_file if tls and authority else None,
            tokens=tokens,
            log_file=log_file,
        )


@contextlib.contextmanager
def _server(
    program: str, directory: Path, *, config: dict[str, object], http: dict[str, object], log_file: Path
) -> Iterator[int]:
    for attempt in range(5):
        port = _free_port()
        # JSON is YAML as well.
        (directory / "config.yml").write_text(json.dumps({**config, "http": {**http, "addr": f"127.0.0.1:{port}"}}))
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [program, "serve", str(directory / "config.yml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ.get("PATH", ""), "OTEL_TRACES_EXPORTER": "none"},
            )
        try:
            if _listens(process, port):
                yield port
                return
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        # Another process may have taken the port between our look and the server's start.
        if attempt == 4 or b"address already in use" not in log_file.read_bytes():
            raise RuntimeError(f"docker-registry did not start:\n{log_file.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + 20
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        if time.monotonic() > end:
            return False
        # The server says nothing when it is ready that could be waited for.
        time.sleep(0.01)
    return False
