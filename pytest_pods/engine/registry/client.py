"""The client of the OCI distribution API: manifests, blobs and tags of a repository, to read and to write.

Content is checked here against the digests that were asked for; what it means is others' business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from pytest_pods.engine.errors import (
    DigestMismatchError,
    InvalidDocumentError,
    RegistryResponseError,
    SizeMismatchError,
)
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.oci.manifest import ACCEPTED_TYPES, LARGEST_DOCUMENT, parse_document
from pytest_pods.engine.registry.auth import Scope
from pytest_pods.engine.registry.blob_stream import BlobStream
from pytest_pods.engine.registry.certificates import TrustedAuthorities
from pytest_pods.engine.registry.connections import Connections, Timeouts, read_limited
from pytest_pods.engine.registry.credentials import CredentialSource, NoCredentials
from pytest_pods.engine.registry.hosts import InsecureHosts
from pytest_pods.engine.registry.retrying import RetryPolicy
from pytest_pods.engine.registry.transport import Request, Transport
from pytest_pods.engine.registry.uploads import blob_exists, upload_blob
from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    import hashlib
    import threading
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import requests

    from pytest_pods.engine.oci.descriptor import Descriptor
    from pytest_pods.engine.oci.reference import Reference

_MOST_TAG_PAGES = 200


@frozen
class FetchedManifest:
    """A manifest or index as the registry sent it; `digest` is that of `content`."""

    digest: Digest
    media_type: str | None
    content: bytes


class RegistryClient:
    """Speaks to any registry; keeps connections and tokens. May be used by several threads.

    `insecure` names registries that plain HTTP is allowed with (those of the loopback are); `ca` is a file or directory
    with authorities to trust in addition to the system's.
    """

    def __init__(
        self,
        *,
        credentials: CredentialSource | None = None,
        insecure: Iterable[str] = (),
        ca: Path | None = None,
        timeouts: Timeouts | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        connections = Connections(
            insecure=InsecureHosts.parse(insecure), authorities=TrustedAuthorities(ca), timeouts=timeouts
        )
        self._transport = Transport(connections, credentials or NoCredentials(), policy=policy or RetryPolicy())

    def get_manifest(
        self,
        reference: Reference,
        *,
        accept: Sequence[str] = ACCEPTED_TYPES,
        cancelled: threading.Event | None = None,
    ) -> FetchedManifest:
        """The manifest or index that `reference` names. Once `cancelled` it is not asked for again.

        Raises ImageNotFoundError, AuthenticationError, other RegistryErrors, DigestMismatchError, SizeMismatchError.
        """
        return self._transport.exchange(
            self._manifest_request("GET", reference, accept),
            lambda response: _read_manifest(response, reference),
            cancelled=cancelled,
        )

    def find_digest(self, reference: Reference, *, accept: Sequence[str] = ACCEPTED_TYPES) -> Digest | None:
        """The digest that `reference` has now, asked for without its content; None if the registry does not tell."""
        return self._transport.exchange(self._manifest_request("HEAD", reference, accept), _read_digest)

    def open_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        *,
        offset: int = 0,
        hasher: hashlib._Hash | None = None,
        cancelled: threading.Event | None = None,
    ) -> BlobStream:
        """A stream of the blob; nothing is asked before the first chunk. `cancelled` ends it from another thread."""
        request = Request(
            "GET",
            f"/v2/{reference.repository}/blobs/{descriptor.digest}",
            _scope(reference),
            f"the blob {descriptor.digest.algorithm}:{descriptor.digest.short} of {reference.familiar()}",
        )
        return BlobStream(self._transport, request, descriptor, offset=offset, hasher=hasher, cancelled=cancelled)

    def get_document(
        self, reference: Reference, descriptor: Descriptor, *, cancelled: threading.Event | None = None
    ) -> bytes:
        """A small blob as a whole, such as an image's config."""
        if descriptor.size > LARGEST_DOCUMENT:
            raise SizeMismatchError(
                f"the blob {descriptor.digest} of {reference.familiar()} has {descriptor.size} bytes; "
                f"{LARGEST_DOCUMENT} are the most"
            )
        with self.open_blob(reference, descriptor, cancelled=cancelled) as stream:
            return b"".join(stream)

    def push_blob(self, reference: Reference, descriptor: Descriptor, chunks: Iterable[bytes]) -> bool:
        """Sends a blob unless the repository has it already; True if it was sent."""
        scope = _scope(reference, "pull", "push")
        subject = f"the blob {descriptor.digest.algorithm}:{descriptor.digest.short} of {reference.familiar()}"
        if blob_exists(self._transport, scope, descriptor, subject=subject):
            return False
        upload_blob(self._transport, scope, descriptor, chunks, subject=subject)
        return True

    def push_manifest(self, reference: Reference, content: bytes, *, media_type: str) -> Digest:
        """Sends a manifest or index, under the reference's tag or digest; the blobs have to be there."""
        digest = Digest.of_bytes(content) if reference.digest is None else reference.digest
        _check_digest(content, digest, where=reference.familiar())
        request = Request(
            "PUT",
            f"/v2/{reference.repository}/manifests/{reference.tag or digest}",
            _scope(reference, "pull", "push"),
            f"the manifest of {reference.familiar()}",
            headers={"Content-Type": media_type},
            body=content,
        )
        self._transport.exchange(request, lambda response: response.close())
        return digest

    def tags(self, reference: Reference) -> tuple[str, ...]:
        """All tags of the reference's repository."""
        tags: list[str] = []
        target: str | None = f"/v2/{reference.repository}/tags/list?n=1000"
        for _ in range(_MOST_TAG_PAGES):
            if target is None:
                break
            request = Request("GET", target, _scope(reference), f"the tags of {reference.name}", is_manifest=True)
            page, target = self._transport.exchange(request, lambda response: _read_tags(response, reference))
            tags += page
        return tuple(dict.fromkeys(tags))

    def close(self) -> None:
        """Closes the connections; the client can be used again."""
        self._transport.close()

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _manifest_request(self, method: str, reference: Reference, accept: Sequence[str]) -> Request:
        return Request(
            method,
            f"/v2/{reference.repository}/manifests/{reference.target}",
            _scope(reference),
            f"the image {reference.familiar()}",
            headers={"Accept": ", ".join(accept)},
            is_manifest=True,
        )


def _scope(reference: Reference, *actions: str) -> Scope:
    return Scope(reference.registry, reference.repository, actions or ("pull",))


def _read_manifest(response: requests.Response, reference: Reference) -> FetchedManifest:
    with response:
        content = read_limited(response.iter_content(65536), limit=LARGEST_DOCUMENT)
    where = reference.familiar()
    if len(content) > LARGEST_DOCUMENT:
        raise SizeMismatchError(f"the manifest of {where} has more than {LARGEST_DOCUMENT} bytes")
    digest = reference.digest or _announced_digest(response) or Digest.of_bytes(content)
    _check_digest(content, digest, where=where)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower() or None
    return FetchedManifest(digest, media_type, content)


def _check_digest(content: bytes, digest: Digest, *, where: str) -> None:
    hasher = digest.hasher()
    hasher.update(content)
    if not digest.matches(hasher):
        raise DigestMismatchError(
            f"the manifest of {where} has the digest {digest.algorithm}:{hasher.hexdigest()}, not {digest}",
            hint="the registry, or something on the way to it, changes content; nothing of it was kept",
        )


def _announced_digest(response: requests.Response) -> Digest | None:
    try:
        return Digest.parse(response.headers.get("Docker-Content-Digest", ""))
    except InvalidDocumentError:
        return None


def _read_digest(response: requests.Response) -> Digest | None:
    response.close()
    return _announced_digest(response)


def _read_tags(response: requests.Response, reference: Reference) -> tuple[list[str], str | None]:
    with response:
        content = read_limited(response.iter_content(65536), limit=LARGEST_DOCUMENT)
    tags = parse_document(content, where=f"the list of tags of {reference.name}").get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidDocumentError(f"the list of tags of {reference.name} is not a list of texts")
    link = response.links.get("next", {}).get("url")
    if link is None:
        return tags, None
    target = urljoin(response.url, link)
    if urlsplit(target).netloc != urlsplit(response.url).netloc:
        raise RegistryResponseError(
            f"{reference.registry} continues the tags of {reference.name} on another host", status=response.status_code
        )
    return tags, target
