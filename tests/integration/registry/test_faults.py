"""The client against a registry whose connections break, which lies, or which asks to wait."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator

import pytest

from pytest_pods.engine.errors import (
    ContentError,
    DigestMismatchError,
    ImageNotFoundError,
    RateLimitError,
    RegistryError,
    RegistryResponseError,
    RegistryUnreachableError,
    SizeMismatchError,
)
from pytest_pods.engine.oci.manifest import parse_manifest
from pytest_pods.engine.oci.reference import Reference
from pytest_pods.engine.registry.client import RegistryClient
from pytest_pods.engine.registry.connections import Timeouts
from pytest_pods.engine.registry.credentials import Credentials, FixedCredentials
from pytest_pods.engine.registry.retrying import RetryPolicy
from tests.support.faulty_proxy import Answer, Change, CutAfter, FaultyProxy, Hang, IgnoreRange, run_faulty_proxy
from tests.support.images import ImageBuilder
from tests.support.registry import PASSWORD, USER, Registry

QUICK = RetryPolicy(first_wait_s=0.005, longest_step_s=0.02)
pytestmark = pytest.mark.registry

IMAGE = ImageBuilder().layer({"big": os.urandom(1_500_000)}, compression="plain").build()
LAYER = IMAGE.layers[0]
BLOB = r"GET /v2/.*/blobs/"
MANIFEST = r"GET /v2/.*/manifests/"


@pytest.fixture
def client() -> Iterator[RegistryClient]:
    with RegistryClient(policy=QUICK) as client:
        yield client


@pytest.fixture
def reference(
    faulty_proxy: FaultyProxy, registry_client: RegistryClient, registry: Registry, repository_name: str
) -> Reference:
    """The image, asked for through the proxy."""
    IMAGE.push(registry_client, registry.reference(f"{repository_name}:1"))
    return Reference.parse(faulty_proxy.reference(f"{repository_name}:1"))


def read(client: RegistryClient, reference: Reference) -> bytes:
    with client.open_blob(reference, LAYER.descriptor) as stream:
        return b"".join(stream)


def ranges(proxy: FaultyProxy) -> list[str | None]:
    return [seen.headers.get("Range") for seen in proxy.seen if "/blobs/" in seen.line]


def test_broken_download_goes_on_where_it_broke(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(BLOB, CutAfter(700_000))
    faulty_proxy.inject(BLOB, CutAfter(300_000))
    assert read(client, reference) == LAYER.blob
    assert ranges(faulty_proxy) == [None, "bytes=700000-", "bytes=1000000-"]


def test_download_broken_more_often_than_attempts_ends_while_it_gets_on(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(BLOB, CutAfter(100_000), times=12)
    assert read(client, reference) == LAYER.blob
    assert len(ranges(faulty_proxy)) == 13


def test_download_that_does_not_get_on_is_given_up(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(BLOB, CutAfter(0), times=100)
    with pytest.raises(RegistryUnreachableError, match="the connection broke"):
        read(client, reference)
    assert len(ranges(faulty_proxy)) == QUICK.attempts


def test_registry_without_ranges_is_read_over(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(BLOB, CutAfter(700_000))
    faulty_proxy.inject(BLOB, IgnoreRange())
    assert read(client, reference) == LAYER.blob


def test_other_range_than_was_asked_for_is_refused(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(BLOB, CutAfter(700_000))
    faulty_proxy.inject(BLOB, Change(headers={"Content-Range": "bytes 5-9/10"}))
    with pytest.raises(RegistryResponseError, match="another range"):
        read(client, reference)


def test_temporary_answers_are_waited_out(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    for status in (503, 502, 500, 429):
        faulty_proxy.inject(MANIFEST, Answer(status))
    assert client.get_manifest(reference).digest == IMAGE.digest


def test_lasting_answers_are_not_repeated(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(MANIFEST, Answer(400, b'{"errors":[{"code":"UNSUPPORTED","message":"no"}]}'))
    with pytest.raises(RegistryResponseError) as caught:
        client.get_manifest(reference)
    assert (caught.value.status, caught.value.codes) == (400, ("UNSUPPORTED",))
    assert len(faulty_proxy.lines(MANIFEST)) == 1


def test_wait_that_the_registry_asks_for_is_kept(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(MANIFEST, Answer(429, headers={"Retry-After": "1"}))
    start = time.monotonic()
    client.get_manifest(reference)
    assert time.monotonic() - start >= 1


def test_wait_of_hours_is_told_instead_of_kept(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(MANIFEST, Answer(429, headers={"Retry-After": "7200"}))
    with pytest.raises(RateLimitError) as caught:
        client.get_manifest(reference)
    assert caught.value.retry_after_s == 7200
    assert len(faulty_proxy.lines(MANIFEST)) == 1


def test_given_up_wait_ends_at_once(client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference) -> None:
    faulty_proxy.inject(BLOB, Answer(503, headers={"Retry-After": "50"}), times=9)
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(RegistryError), client.open_blob(reference, LAYER.descriptor, cancelled=cancelled) as stream:
        list(stream)
    faulty_proxy.inject(MANIFEST, Answer(503, headers={"Retry-After": "50"}), times=9)
    with pytest.raises(RegistryError):
        client.get_manifest(reference, cancelled=cancelled)
    assert len(faulty_proxy.lines(MANIFEST)) == 1


def test_reader_that_waits_for_bytes_is_woken(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    stream = client.open_blob(reference, LAYER.descriptor)
    chunks = iter(stream)
    next(chunks)
    stream.abort()
    with pytest.raises(RegistryError):
        list(chunks)


def test_changed_bytes_are_noticed(client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference) -> None:
    faulty_proxy.inject(BLOB, Change(lambda content: content[:-1] + bytes([content[-1] ^ 1])))
    with pytest.raises(DigestMismatchError) as caught:
        read(client, reference)
    assert LAYER.descriptor.digest.hex in caught.value.brief


@pytest.mark.parametrize(
    "change", [lambda content: content + b"x", lambda content: content[:-1]], ids=["more", "fewer"]
)
def test_other_size_is_noticed_before_the_first_byte(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference, change: object
) -> None:
    assert callable(change)
    faulty_proxy.inject(BLOB, Change(change))
    with pytest.raises(SizeMismatchError, match=f"promises {LAYER.descriptor.size}"):
        read(client, reference)


def test_encoded_blob_is_refused(client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference) -> None:
    faulty_proxy.inject(BLOB, Change(headers={"Content-Encoding": "gzip"}))
    with pytest.raises(RegistryResponseError, match="encoded as 'gzip'"):
        read(client, reference)


def test_broken_manifest_is_asked_for_again(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(MANIFEST, CutAfter(50))
    assert client.get_manifest(reference).content == IMAGE.manifest


def test_manifest_that_is_shorter_than_its_digest_is_refused(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(MANIFEST, Change(lambda content: content[:50]), times=2)
    with pytest.raises(DigestMismatchError):
        client.get_manifest(reference)
    with pytest.raises(DigestMismatchError):
        client.get_manifest(reference.with_digest(IMAGE.digest))


def test_corrupt_manifest_without_an_announced_digest_is_refused_when_read(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(MANIFEST, Change(lambda content: content[:50], {"Docker-Content-Digest": ""}))
    fetched = client.get_manifest(reference)
    with pytest.raises(ContentError, match="is not JSON"):
        parse_manifest(fetched.content, media_type=fetched.media_type, where=reference.familiar())


def test_endless_manifest_is_cut_off(client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference) -> None:
    faulty_proxy.inject(MANIFEST, Change(lambda content: b" " * (5 * 1024 * 1024)))
    with pytest.raises(SizeMismatchError, match="more than"):
        client.get_manifest(reference)


def test_registry_that_says_nothing_is_given_up(faulty_proxy: FaultyProxy, reference: Reference) -> None:
    faulty_proxy.inject(MANIFEST, Hang(), times=9)
    policy = RetryPolicy(attempts=2, first_wait_s=0.01)
    with (
        RegistryClient(policy=policy, timeouts=Timeouts(1, 0.1)) as client,
        pytest.raises(RegistryUnreachableError, match="did not answer in time"),
    ):
        client.get_manifest(reference)


def test_redirect_to_another_host_carries_no_credentials(
    registry: Registry, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    secret = FixedCredentials(faulty_proxy.host, Credentials(USER, PASSWORD, "the test"))
    challenge = Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    with run_faulty_proxy(registry.host) as storage, RegistryClient(credentials=secret, policy=QUICK) as client:
        faulty_proxy.inject(BLOB, challenge)
        path = f"/v2/{reference.repository}/blobs/{LAYER.descriptor.digest}"
        faulty_proxy.inject(BLOB, Answer(307, headers={"Location": f"http://{storage.host}{path}"}))
        assert read(client, reference) == LAYER.blob
        assert [seen.headers.get("Authorization") for seen in storage.seen] == [None]
        sent = [seen.headers.get("Authorization") for seen in faulty_proxy.seen if "/blobs/" in seen.line]
        assert sent[0] is None
        assert str(sent[1]).startswith("Basic ")


def test_redirect_is_asked_for_anew_after_a_break(
    client: RegistryClient, registry: Registry, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    with run_faulty_proxy(registry.host) as storage:
        path = f"/v2/{reference.repository}/blobs/{LAYER.descriptor.digest}"
        faulty_proxy.inject(
            BLOB, Answer(307, headers={"Location": f"http://{storage.host}{path}?signature=1"}), times=2
        )
        storage.inject(BLOB, CutAfter(600_000))
        assert read(client, reference) == LAYER.blob
        assert ranges(storage) == [None, "bytes=600000-"]


def test_demand_of_a_host_behind_a_redirect_is_not_answered(
    registry: Registry, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    secret = FixedCredentials(faulty_proxy.host, Credentials(USER, PASSWORD, "the test"))
    with run_faulty_proxy(registry.host) as stranger, RegistryClient(credentials=secret, policy=QUICK) as client:
        faulty_proxy.inject(BLOB, Answer(307, headers={"Location": f"http://{stranger.host}/x"}), times=9)
        stranger.inject("/x", Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'}), times=9)
        with pytest.raises(RegistryError):
            read(client, reference)
        assert [seen.headers.get("Authorization") for seen in stranger.seen] == [None]
        assert all("Authorization" not in seen.headers for seen in faulty_proxy.seen)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://localhost/x", "http://user:pass@localhost/x"])
def test_redirect_that_is_not_safe_is_not_followed(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference, target: str
) -> None:
    faulty_proxy.inject(BLOB, Answer(307, headers={"Location": target}))
    with pytest.raises(RegistryResponseError, match="not safe to follow"):
        read(client, reference)


def test_endless_redirects_are_given_up(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    faulty_proxy.inject(BLOB, Answer(302, headers={"Location": "/v2/x/blobs/y"}), times=99)
    with pytest.raises(RegistryResponseError, match="redirects more than"):
        read(client, reference)


@pytest.mark.parametrize(
    "demand",
    [
        'Bearer realm="http://token.example/t"',
        'Bearer realm="file:///etc/passwd"',
        'Bearer realm="https://user@token.example/t"',
        "Negotiate",
        "=broken",
    ],
)
def test_demand_that_is_not_safe_is_not_answered(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference, demand: str
) -> None:
    faulty_proxy.inject(MANIFEST, Answer(401, headers={"WWW-Authenticate": demand}))
    with pytest.raises(RegistryError, match=r"not safe to ask|not supported"):
        client.get_manifest(reference)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"token": 3}', b'{"token": "a\\nb: c"}', b"x" * 2_000_000], ids=lambda body: str(body[:12])
)
def test_broken_token_is_refused(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference, body: bytes
) -> None:
    demand = f'Bearer realm="http://{faulty_proxy.host}/token"'
    faulty_proxy.inject(MANIFEST, Answer(401, headers={"WWW-Authenticate": demand}))
    faulty_proxy.inject("GET /token", Answer(200, body))
    with pytest.raises(RegistryResponseError, match="something that is no token"):
        client.get_manifest(reference)


def test_upload_is_repeated_from_its_start(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    image = ImageBuilder().layer({"new": os.urandom(10_000)}).build()
    faulty_proxy.inject("PATCH", Answer(503))
    faulty_proxy.inject("PUT .*uploads", Answer(500))
    layer = image.layers[0]
    assert client.push_blob(reference, layer.descriptor, [layer.blob])
    assert client.get_document(reference, layer.descriptor) == layer.blob


def test_upload_that_cannot_be_repeated_fails_once(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    image = ImageBuilder().layer({"new": os.urandom(10_000)}).build()
    faulty_proxy.inject("PATCH", Answer(503), times=5)
    with pytest.raises(RegistryResponseError):
        client.push_blob(reference, image.layers[0].descriptor, iter([image.layers[0].blob]))
    assert len(faulty_proxy.lines("PATCH")) == 1


def test_tags_that_go_on_elsewhere_are_refused(
    client: RegistryClient, faulty_proxy: FaultyProxy, reference: Reference
) -> None:
    body = json.dumps({"name": "x", "tags": ["1"]}).encode()
    faulty_proxy.inject("tags/list", Answer(200, body, {"Link": '<http://localhost:1/v2/x/tags/list>; rel="next"'}))
    with pytest.raises(RegistryResponseError, match="on another host"):
        client.tags(reference)


def test_unknown_repository_is_named(client: RegistryClient, faulty_proxy: FaultyProxy) -> None:
    with pytest.raises(ImageNotFoundError, match="does not have the tags of"):
        client.tags(Reference.parse(faulty_proxy.reference("never/pushed")))
