"""A real token server for a registry with bearer tokens: JSON web tokens, signed by the `openssl` program."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tests.support.http_server import QuietHandler, serve

if TYPE_CHECKING:
    from tests.support.certificates import Certificate

IDENTITY_TOKEN = "identity-of-the-tester"


@dataclass(slots=True)
class TokenServer:
    """A running server. `issued` has, in order, who asked for which scopes ("" is nobody)."""

    service: str
    issuer: str
    url: str = ""
    lifetime_s: int = 300
    issued: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)


@contextlib.contextmanager
def run_token_server(
    signer: Certificate, *, user: str, password: str, anonymous_pull: bool = True
) -> Iterator[TokenServer]:
    """Serves tokens to `user` for anything, to anybody for pulls only where `anonymous_pull`."""
    server = TokenServer(service="registry.test", issuer="issuer.test")
    numbers = itertools.count(1)
    lock = threading.Lock()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            header = self.headers.get("Authorization")
            name = ""
            if header is not None:
                given = base64.b64decode(header.removeprefix("Basic ")).decode()
                if given != f"{user}:{password}":
                    return self._refuse()
                name = user
            return self._issue(name, query.get("scope", []))

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            form = parse_qs(self.rfile.read(length).decode())
            if form.get("grant_type") != ["refresh_token"] or form.get("refresh_token") != [IDENTITY_TOKEN]:
                return self._refuse()
            return self._issue(user, form.get("scope", [""])[0].split())

        def _refuse(self) -> None:
            self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}')

        def _issue(self, name: str, scopes: list[str]) -> None:
            access = []
            for scope in scopes:
                kind, _, rest = scope.partition(":")
                repository, _, actions = rest.rpartition(":")
                allowed = actions.split(",") if name else ["pull"] if anonymous_pull else []
                granted = sorted(set(actions.split(",")) & set(allowed))
                access.append({"type": kind, "name": repository, "actions": granted})
            with lock:
                server.issued.append((name, tuple(scopes)))
            now = int(time.time())
            claims = {
                "iss": server.issuer,
                "sub": name,
                "aud": server.service,
                "iat": now - 5,
                "nbf": now - 5,
                "exp": now + server.lifetime_s,
                "jti": str(next(numbers)),
                "access": access,
            }
            token = _sign(signer, claims)
            self.answer(200, json.dumps({"token": token, "expires_in": server.lifetime_s}).encode())

    with serve(Handler) as port:
        server.url = f"http://127.0.0.1:{port}/token"
        yield server


def _sign(signer: Certificate, claims: dict[str, object]) -> str:
    der = subprocess.run(
        ["openssl", "x509", "-in", signer.certificate_file, "-outform", "DER"], check=True, capture_output=True
    ).stdout
    header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
    content = b".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", signer.key_file], input=content, check=True, capture_output=True
    ).stdout
    return (content + b"." + _encode(_raw_signature(signature))).decode()


def _raw_signature(der: bytes) -> bytes:
    """The two numbers of an ECDSA signature in 32 bytes each, out of their DER form."""
    numbers = []
    place = 2
    for _ in range(2):
        length = der[place + 1]
        numbers.append(int.from_bytes(der[place + 2 : place + 2 + length], "big"))
        place += 2 + length
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def _encode(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
