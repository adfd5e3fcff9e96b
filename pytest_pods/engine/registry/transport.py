"""Requests to a registry's API: the right scheme, authentication, repetition, and errors that say what was asked."""

from __future__ import annotations

import threading
from dataclasses import field
from typing import TYPE_CHECKING, TypeVar

from pytest_pods.engine.errors import CertificateError, RegistryUnreachableError
from pytest_pods.engine.registry.auth import Authorizer, Scope
from pytest_pods.engine.registry.connections import Call, Connections, SizedBody, origin_of, read_limited
from pytest_pods.engine.registry.failures import (
    LARGEST_ERROR_BODY,
    Answer,
    parse_complaints,
    translate_answer,
    translate_connection_error,
)
from pytest_pods.engine.registry.hosts import registry_address
from pytest_pods.engine.registry.retrying import RetryPolicy, repeat
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from pytest_pods.engine.registry.credentials import CredentialSource

T = TypeVar("T")


@frozen
class Request:
    """`target` is a path of the API, or a URL that the registry gave; `subject` is for messages.

    What is not `repeatable` is sent once, whatever happens. Statuses in `expected` are answers, not errors.
    """

    method: str
    target: str
    scope: Scope
    subject: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | SizedBody | None = None
    repeatable: bool = True
    is_manifest: bool = False
    expected: frozenset[int] = frozenset()


class Transport:
    """May be used by several threads."""

    def __init__(self, connections: Connections, credentials: CredentialSource, *, policy: RetryPolicy) -> None:
        self._connections = connections
        self._authorizer = Authorizer(connections, credentials)
        self._policy = policy
        self._lock = threading.Lock()
        self._bases: dict[str, str] = {}

    @property
    def policy(self) -> RetryPolicy:
        return self._policy

    def exchange(
        self,
        request: Request,
        read: Callable[[requests.Response], T],
        *,
        cancelled: threading.Event | None = None,
    ) -> T:
        """Sends `request` and gives what `read` makes of the answer, from the start again on temporary faults.

        `read` closes the response, or hands it on. Raises RegistryError and ImageNotFoundError.
        """

        def attempt() -> T:
            response = self._send(request)
            try:
                return read(response)
            except BaseException as error:
                response.close()
                if _is_connection_error(error):
                    raise self.connection_broke(error, request) from error
                raise

        return repeat(attempt, policy=self._policy, cancelled=cancelled) if request.repeatable else attempt()

    def url(self, registry: str, target: str) -> str:
        """The URL of `target`, a path of the API or a URL already."""
        return target if "://" in target else self._base(registry) + target

    def close(self) -> None:
        self._connections.close()

    def connection_broke(self, error: BaseException, request: Request) -> RegistryUnreachableError:
        """The engine's error for a connection that broke while an answer was read."""
        registry = request.scope.registry
        return translate_connection_error(
            error, registry=registry, address=registry_address(registry), subject=request.subject
        )

    def _send(self, request: Request) -> requests.Response:
        scope = request.scope
        url = self.url(scope.registry, request.target)
        ours = origin_of(url) == origin_of(self._base(scope.registry))
        header = self._authorizer.header(scope, subject=request.subject) if ours else None
        response = self._call(request, url=url, header=header)
        # Only the registry's own demand counts, not that of a host that it redirected to.
        may_answer = ours and origin_of(response.url) == origin_of(url) and isinstance(request.body, bytes | None)
        if response.status_code == 401 and may_answer:
            demand = response.headers.get("WWW-Authenticate")
            answer = _read_answer(response)
            if demand is None:
                raise translate_answer(answer, registry=scope.registry, subject=request.subject)
            header = self._authorizer.answer(scope, demand=demand, rejected=header, subject=request.subject)
            response = self._call(request, url=url, header=header)
        if response.status_code < 400 or response.status_code in request.expected:
            return response
        answer = _read_answer(response)
        if answer.status in (401, 403) and header is not None:
            said = "; ".join(str(complaint) for complaint in parse_complaints(answer.body))
            raise self._authorizer.refused(scope, header=header, subject=request.subject, said=said)
        raise translate_answer(
            answer, registry=scope.registry, subject=request.subject, is_manifest=request.is_manifest
        )

    def _call(self, request: Request, *, url: str, header: str | None) -> requests.Response:
        return self._connections.send(
            Call(
                request.method,
                url,
                request.scope.registry,
                headers=request.headers,
                authorization=header,
                body=request.body,
            )
        )

    def _base(self, registry: str) -> str:
        with self._lock:
            if registry not in self._bases:
                self._bases[registry] = self._find_base(registry)
            return self._bases[registry]

    def _find_base(self, registry: str) -> str:
        address = registry_address(registry)
        secure = f"https://{address}"
        if not self._connections.insecure.plain_allowed(address):
            return secure
        try:
            self._ping(registry, secure)
        except CertificateError:
            # It does speak TLS: what is wrong with it must not be evaded.
            raise
        except RegistryUnreachableError:
            plain = f"http://{address}"
            self._ping(registry, plain)
            return plain
        return secure

    def _ping(self, registry: str, base: str) -> None:
        self._connections.send(Call("GET", f"{base}/v2/", registry)).close()


def _is_connection_error(error: BaseException) -> bool:
    import requests
    import urllib3

    return isinstance(error, (requests.RequestException, urllib3.exceptions.HTTPError, OSError))


def _read_answer(response: requests.Response) -> Answer:
    with response:
        try:
            body = read_limited(response.iter_content(16384), limit=LARGEST_ERROR_BODY)
        except Exception as error:
            if not _is_connection_error(error):
                raise
            # The status says enough.
            body = b""
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)
