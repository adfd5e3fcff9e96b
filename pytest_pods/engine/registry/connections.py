"""One HTTP exchange: sessions, TLS, proxies, time-outs, redirects that carry no Authorization to strangers."""

from __future__ import annotations

import threading
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin, urlsplit

from pytest_pods.engine.errors import RegistryResponseError
from pytest_pods.engine.registry.certificates import TrustedAuthorities
from pytest_pods.engine.registry.failures import translate_connection_error
from pytest_pods.engine.registry.hosts import InsecureHosts, is_loopback
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import requests

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_POOL_SIZE = 8


class SizedBody(Protocol):
    """A body that is streamed: read to its end once, its length known before."""

    def __len__(self) -> int: ...

    def read(self, size: int = -1) -> bytes: ...


@frozen
class Timeouts:
    """Seconds for a connection to be made, and between two pieces of an answer."""

    connect_s: float = 10.0
    read_s: float = 60.0


@frozen
class Call:
    """What is sent. `registry` is for messages; `authorization` goes to the origin of `url` only."""

    method: str
    url: str
    registry: str
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization: str | None = None
    body: bytes | SizedBody | None = None


class Connections:
    """Keeps connections open between calls; may be used by several threads."""

    def __init__(
        self,
        *,
        insecure: InsecureHosts | None = None,
        authorities: TrustedAuthorities | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.insecure = insecure or InsecureHosts()
        self._authorities = authorities or TrustedAuthorities()
        self._timeouts = timeouts or Timeouts()
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._prepared: set[str] = set()

    def send(self, call: Call) -> requests.Response:
        """The answer (of any status but a redirect), its body still to be read; raises RegistryUnreachableError.

        Redirects are followed for GET and HEAD.
        """
        url, authorization = call.url, call.authorization
        for _ in range(_MOST_REDIRECTS):
            response = self._send_once(call, url=url, authorization=authorization)
            target = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or not target or call.method not in ("GET", "HEAD"):
                return response
            response.close()
            target = urljoin(url, target)
            self._check_redirect(call, source=url, target=target, status=response.status_code)
            if origin_of(target) != origin_of(url):
                authorization = None
            url = target
        raise RegistryResponseError(
            f"{call.registry} redirects more than {_MOST_REDIRECTS} times", status=response.status_code
        )

    def close(self) -> None:
        with self._lock:
            if self._session is not None:
                self._session.close()
            self._session = None
            self._prepared.clear()

    def _send_once(self, call: Call, *, url: str, authorization: str | None) -> requests.Response:
        import requests

        address = urlsplit(url).netloc
        headers = {"User-Agent": "pytest-pods", **call.headers}
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            return self._session_for(url).request(
                call.method,
                url,
                headers=headers,
                data=call.body,
                stream=True,
                allow_redirects=False,
                # A proxy cannot reach this machine's loopback.
                proxies={"http": None, "https": None, "all": None} if is_loopback(address) else None,  # type: ignore[dict-item]
                timeout=(self._timeouts.connect_s, self._timeouts.read_s),
            )
        except (requests.RequestException, OSError) as error:
            raise translate_connection_error(error, registry=call.registry, address=address) from error

    def _session_for(self, url: str) -> requests.Session:
        parts = urlsplit(url)
        with self._lock:
            if self._session is None:
                self._session = _new_session()
            if parts.scheme == "https" and parts.netloc not in self._prepared:
                context = self._authorities.context_for(parts.netloc)
                self._session.mount(f"https://{parts.netloc}/", _new_adapter(context))
                self._prepared.add(parts.netloc)
            return self._session

    def _check_redirect(self, call: Call, *, source: str, target: str, status: int) -> None:
        old, new = urlsplit(source), urlsplit(target)
        allowed = new.scheme == "https" or (
            new.scheme == "http" and (old.scheme == "http" or self.insecure.plain_allowed(new.netloc))
        )
        # A stranger must not make this machine ask its own services.
        inward = is_loopback(new.netloc) and not is_loopback(old.netloc)
        if not allowed or inward or "@" in new.netloc:
            raise RegistryResponseError(
                f"{call.registry} redirects to {new.scheme}://{new.hostname}, which is not safe to follow",
                status=status,
            )


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """What has to be the same for an Authorization to be sent along."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _new_session() -> requests.Session:
    from http.cookiejar import DefaultCookiePolicy

    import requests
    from requests.adapters import HTTPAdapter

    class NoAuthentication(requests.auth.AuthBase):
        """Keeps the library from sending what stands in ~/.netrc."""

        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            return request

    session = requests.Session()
    session.auth = NoAuthentication()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    session.headers.clear()
    # Blobs are what their digest says; nothing on the way may compress or expand them.
    session.headers["Accept-Encoding"] = "identity"
    session.mount("http://", HTTPAdapter(pool_maxsize=_POOL_SIZE))
    return session


def _new_adapter(context: Any) -> requests.adapters.BaseAdapter:
    from requests.adapters import HTTPAdapter

    class ContextAdapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, **options, ssl_context=context)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            return super().proxy_manager_for(proxy, **options, ssl_context=context)

    return ContextAdapter(pool_maxsize=_POOL_SIZE)


def read_limited(chunks: Iterable[bytes], *, limit: int) -> bytes:
    """The whole of `chunks`, but no more than `limit` + 1 bytes of it."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > limit:
            break
    return bytes(content[: limit + 1])
