"""Answers to a registry's demand for authentication: basic, or bearer tokens, fetched once and kept.

Credentials go to the registry itself, or to the token server that it names; over TLS unless plain HTTP is allowed.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from pytest_pods.engine.errors import AuthenticationError, RegistryResponseError
from pytest_pods.engine.registry.challenges import BearerChallenge, find_bearer, parse_challenges
from pytest_pods.engine.registry.connections import Call, Connections, read_limited
from pytest_pods.engine.registry.failures import Answer, denied, parse_complaints, translate_answer
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from pytest_pods.engine.registry.credentials import Credentials, CredentialSource

_LARGEST_TOKEN_ANSWER = 1024 * 1024
_SHORTEST_LIFETIME_S = 60.0
_MARGIN_S = 10.0
_CLIENT_ID = "pytest-pods"


@frozen
class Scope:
    """What is to be done with which repository of which registry."""

    registry: str
    repository: str
    actions: tuple[str, ...] = ("pull",)

    def __str__(self) -> str:
        return f"repository:{self.repository}:{','.join(self.actions)}"


@frozen
class _Token:
    header: str = field(repr=False)
    expires_at: float

    @property
    def fresh(self) -> bool:
        return time.monotonic() < self.expires_at


class Authorizer:
    """Knows what every registry wants and what was obtained for it; may be used by several threads."""

    def __init__(self, connections: Connections, credentials: CredentialSource) -> None:
        self._connections = connections
        self._credentials = credentials
        # Held while a token is fetched, so that the threads of one pull fetch one.
        self._lock = threading.Lock()
        self._bearers: dict[str, BearerChallenge] = {}
        self._headers: dict[Scope, _Token] = {}

    def header(self, scope: Scope, *, subject: str) -> str | None:
        """The Authorization to send at first; None if nothing is known to be needed."""
        with self._lock:
            known = self._headers.get(scope)
            if known is not None and known.fresh:
                return known.header
            challenge = self._bearers.get(scope.registry)
            return self._obtain(challenge, scope, subject=subject) if challenge is not None else None

    def answer(self, scope: Scope, *, demand: str | None, rejected: str | None, subject: str) -> str:
        """The Authorization to send after a 401.

        `demand` is the WWW-Authenticate header, `rejected` what had been sent. Raises AuthenticationError.
        """
        with self._lock:
            known = self._headers.get(scope)
            if known is not None and known.fresh and known.header != rejected:
                return known.header
            challenges = parse_challenges(demand)
            bearer = find_bearer(challenges)
            if bearer is not None:
                self._check_realm(bearer, scope)
                self._bearers[scope.registry] = bearer
                header = self._obtain(bearer, scope, subject=subject)
            elif any(challenge.scheme == "basic" for challenge in challenges):
                header = self._basic(scope, rejected=rejected, subject=subject)
            else:
                raise AuthenticationError(
                    f"{scope.registry} wants an authentication of a kind that is not supported for {subject}"
                )
        return header

    def refused(self, scope: Scope, *, header: str, subject: str, said: str) -> AuthenticationError:
        """The error for an access that was refused although `header` was sent."""
        credentials = self._credentials.find(scope.registry, scope.repository)
        if credentials is not None and header == credentials.basic_header():
            return _not_accepted(scope, credentials)
        return denied(
            scope.registry, subject, said=said, source=credentials.source if credentials is not None else None
        )

    def _basic(self, scope: Scope, *, rejected: str | None, subject: str) -> str:
        credentials = self._credentials.find(scope.registry, scope.repository)
        if credentials is None or not credentials.username:
            raise denied(scope.registry, subject, said="authentication required")
        header = credentials.basic_header()
        if header == rejected:
            raise _not_accepted(scope, credentials)
        self._headers[scope] = _Token(header, float("inf"))
        return header

    def _check_realm(self, bearer: BearerChallenge, scope: Scope) -> None:
        parts = urlsplit(bearer.realm)
        safe = parts.scheme == "https" or (
            parts.scheme == "http" and self._connections.insecure.plain_allowed(parts.netloc)
        )
        if not safe or not parts.hostname or "@" in parts.netloc:
            raise AuthenticationError(
                f"{scope.registry} sends to a token server that is not safe to ask: {parts.scheme}://{parts.hostname}",
                hint="if this is meant, allow its host among the insecure registries",
            )

    def _obtain(self, bearer: BearerChallenge, scope: Scope, *, subject: str) -> str:
        credentials = self._credentials.find(scope.registry, scope.repository)
        call = build_token_call(bearer, scope, credentials)
        response = self._connections.send(call)
        with response:
            content = read_limited(response.iter_content(65536), limit=_LARGEST_TOKEN_ANSWER)
            answer = Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, content)
        if answer.status in (400, 401, 403):
            if credentials is not None:
                raise _not_accepted(scope, credentials)
            said = "; ".join(str(complaint) for complaint in parse_complaints(answer.body))
            raise denied(scope.registry, subject, said=said)
        if answer.status >= 300:
            failure = translate_answer(answer, registry=scope.registry, subject=f"a token for {subject}")
            raise failure
        token = _parse_token(answer.body, scope)
        self._headers[scope] = token
        return token.header


def build_token_call(bearer: BearerChallenge, scope: Scope, credentials: Credentials | None) -> Call:
    """The request for a token: GET with basic authentication, or POST with an identity token."""
    scopes = merge_scopes(scope, bearer.scopes)
    if credentials is not None and credentials.identity_token:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": credentials.identity_token,
            "client_id": _CLIENT_ID,
            "scope": " ".join(scopes),
            **({"service": bearer.service} if bearer.service else {}),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Call("POST", bearer.realm, scope.registry, headers=headers, body=urlencode(form).encode())
    query = [*([("service", bearer.service)] if bearer.service else []), *(("scope", one) for one in scopes)]
    joint = "&" if urlsplit(bearer.realm).query else "?"
    url = f"{bearer.realm}{joint}{urlencode(query)}"
    return Call("GET", url, scope.registry, authorization=credentials.basic_header() if credentials else None)


def merge_scopes(scope: Scope, demanded: tuple[str, ...]) -> tuple[str, ...]:
    """What to ask a token for: our scope, with the actions that the registry names for it, and what else it names."""
    resource = f"repository:{scope.repository}:"
    actions = list(scope.actions)
    others = []
    for one in demanded:
        if one.startswith(resource):
            actions += [action for action in one.removeprefix(resource).split(",") if action not in actions]
        elif one not in others:
            others.append(one)
    return (resource + ",".join(actions), *others)


def _parse_token(content: bytes, scope: Scope) -> _Token:
    wrong = RegistryResponseError(
        f"the token server of {scope.registry} answered something that is no token", status=200
    )
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(document, Mapping):
        raise wrong
    text = document.get("token") or document.get("access_token")
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or " " in text:
        raise wrong
    lifetime = document.get("expires_in")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or lifetime <= 0:
        lifetime = _SHORTEST_LIFETIME_S
    # Servers may give less than a minute by mistake, but never mean less than one use.
    return _Token(f"Bearer {text}", time.monotonic() + max(float(lifetime) - _MARGIN_S, 1.0))


def _not_accepted(scope: Scope, credentials: Credentials) -> AuthenticationError:
    return AuthenticationError(
        f"{scope.registry} does not accept the credentials from {credentials.source} for {scope.repository}",
        hint=f"log in to {scope.registry} again with `podman login` or `docker login`",
    )
