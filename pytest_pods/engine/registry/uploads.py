"""Pushing blobs: asked for first, then sent as one stream, checked by us and by the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from pytest_pods.engine.errors import DigestMismatchError, RegistryResponseError, SizeMismatchError
from pytest_pods.engine.registry.retrying import repeat
from pytest_pods.engine.registry.transport import Request, Transport

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import requests

    from pytest_pods.engine.oci.descriptor import Descriptor
    from pytest_pods.engine.registry.auth import Scope


class CheckedBody:
    """`chunks` as a body of known length; reading its end verifies size and digest."""

    def __init__(self, chunks: Iterable[bytes], descriptor: Descriptor) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._descriptor = descriptor
        self._hasher = descriptor.digest.hasher()
        self._rest = memoryview(b"")
        self._done = 0

    def __len__(self) -> int:
        return self._descriptor.size

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                self._verify()
                return b""
            self._hasher.update(chunk)
            self._rest = memoryview(chunk)
        piece = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(piece) :]
        self._done += len(piece)
        if self._done > self._descriptor.size:
            raise self._wrong_size()
        return bytes(piece)

    def _verify(self) -> None:
        if self._done != self._descriptor.size:
            raise self._wrong_size()
        if not self._descriptor.digest.matches(self._hasher):
            raise DigestMismatchError(f"the blob to push is not {self._descriptor.digest}")

    def _wrong_size(self) -> SizeMismatchError:
        return SizeMismatchError(
            f"the blob {self._descriptor.digest} to push has not the {self._descriptor.size} bytes of its descriptor"
        )


def blob_exists(transport: Transport, scope: Scope, descriptor: Descriptor, *, subject: str) -> bool:
    """Whether the repository has the blob."""
    request = Request(
        "HEAD",
        f"/v2/{scope.repository}/blobs/{descriptor.digest}",
        scope,
        subject,
        expected=frozenset({404}),
    )
    return transport.exchange(request, _status) == 200


def upload_blob(
    transport: Transport, scope: Scope, descriptor: Descriptor, chunks: Iterable[bytes], *, subject: str
) -> None:
    """Sends the blob; repeated from the start on temporary faults if `chunks` can be gone through again."""

    def once() -> None:
        start = Request("POST", f"/v2/{scope.repository}/blobs/uploads/", scope, subject, repeatable=False)
        place = transport.exchange(start, lambda response: _location(response, transport, scope))
        part = Request(
            "PATCH",
            place,
            scope,
            subject,
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)},
            body=CheckedBody(chunks, descriptor) if descriptor.size else b"",
            repeatable=False,
        )
        place = transport.exchange(part, lambda response: _location(response, transport, scope))
        joint = "&" if urlsplit(place).query else "?"
        end = Request(
            "PUT", f"{place}{joint}digest={quote(str(descriptor.digest), safe='')}", scope, subject, body=b"",
            repeatable=False,
        )  # fmt: skip
        transport.exchange(end, _status)

    if iter(chunks) is chunks:
        once()
    else:
        repeat(once, policy=transport.policy)


def _status(response: requests.Response) -> int:
    response.close()
    return response.status_code


def _location(response: requests.Response, transport: Transport, scope: Scope) -> str:
    location = response.headers.get("Location")
    # Read to its end, so that the connection serves the next request.
    _ = response.content
    response.close()
    if not location:
        raise RegistryResponseError(f"{scope.registry} does not say where to upload to", status=response.status_code)
    place = urljoin(response.url, location)
    base = urlsplit(transport.url(scope.registry, ""))
    parts = urlsplit(place)
    if parts.hostname == base.hostname and base.scheme == "https":
        # Registries behind a proxy that ends TLS call themselves http.
        place = parts._replace(scheme="https", netloc=base.netloc).geturl()
    return place
