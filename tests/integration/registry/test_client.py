"""The client against real registries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_pods.engine.errors import (
    AuthenticationError,
    CertificateError,
    DigestMismatchError,
    ImageNotFoundError,
    InvalidSettingError,
    RegistryResponseError,
    RegistryUnreachableError,
    SizeMismatchError,
)
from pytest_pods.engine.oci.descriptor import Descriptor
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.oci.manifest import OCI_MANIFEST
from pytest_pods.engine.oci.reference import Reference
from pytest_pods.engine.registry.client import RegistryClient
from pytest_pods.engine.registry.credentials import Credentials, FixedCredentials
from pytest_pods.engine.registry.retrying import RetryPolicy
from tests.support.faulty_proxy import FaultyProxy, run_faulty_proxy
from tests.support.images import ImageBuilder, build_index
from tests.support.registry import PASSWORD, USER, Registry, run_registry
from tests.support.token_server import IDENTITY_TOKEN

pytestmark = pytest.mark.registry

IMAGE = ImageBuilder().layer({"a": os.urandom(100_000)}).layer({"b": "2"}, compression="zstd").build()
ONCE = RetryPolicy(attempts=1)


def client_of(
    registry: Registry, user: str = USER, password: str = PASSWORD, *, token: str | None = None
) -> RegistryClient:
    credentials = FixedCredentials(registry.host, Credentials(user, password, "the test", identity_token=token))
    return RegistryClient(credentials=credentials, ca=registry.ca_file, policy=ONCE)


@pytest.fixture
def reference(registry: Registry, repository_name: str) -> Reference:
    return Reference.parse(registry.reference(f"{repository_name}:1"))


def test_what_was_pushed_comes_back_the_same(registry_client: RegistryClient, reference: Reference) -> None:
    index = build_index([IMAGE])
    digest = index.push(registry_client, reference)
    assert registry_client.get_manifest(reference).content == index.content
    assert registry_client.find_digest(reference) == digest
    fetched = registry_client.get_manifest(reference.with_digest(IMAGE.digest))
    assert (fetched.content, fetched.media_type, fetched.digest) == (IMAGE.manifest, OCI_MANIFEST, IMAGE.digest)
    for layer in IMAGE.layers:
        with registry_client.open_blob(reference, layer.descriptor) as stream:
            assert b"".join(stream) == layer.blob
    assert registry_client.get_document(reference, IMAGE.config_descriptor) == IMAGE.config
    assert registry_client.tags(reference) == ("1",)


def test_blob_that_is_there_is_not_sent_again(registry_client: RegistryClient, reference: Reference) -> None:
    layer = IMAGE.layers[0]
    assert registry_client.push_blob(reference, layer.descriptor, [layer.blob])
    assert not registry_client.push_blob(reference, layer.descriptor, iter(()))


def test_empty_blob_is_pushed_and_pulled(registry_client: RegistryClient, reference: Reference) -> None:
    descriptor = Descriptor("text/plain", Digest.of_bytes(b""), 0)
    assert registry_client.push_blob(reference, descriptor, [])
    assert registry_client.get_document(reference, descriptor) == b""


def test_blob_to_push_has_to_be_what_its_descriptor_says(registry_client: RegistryClient, reference: Reference) -> None:
    promised = Descriptor("text/plain", Digest.of_bytes(b"abc"), 3)
    with pytest.raises(DigestMismatchError):
        registry_client.push_blob(reference, promised, [b"abd"])
    with pytest.raises(SizeMismatchError):
        registry_client.push_blob(reference, promised, [b"abcd"])
    with pytest.raises(SizeMismatchError):
        registry_client.push_blob(reference, promised, [b"ab"])


def test_stream_can_begin_in_the_middle(registry_client: RegistryClient, reference: Reference) -> None:
    IMAGE.push(registry_client, reference)
    layer = IMAGE.layers[0]
    hasher = layer.descriptor.digest.hasher()
    hasher.update(layer.blob[:5000])
    with registry_client.open_blob(reference, layer.descriptor, offset=5000, hasher=hasher) as stream:
        assert b"".join(stream) == layer.blob[5000:]


def test_unknown_image_is_named_with_the_registry(registry_client: RegistryClient, reference: Reference) -> None:
    with pytest.raises(ImageNotFoundError) as caught:
        registry_client.get_manifest(reference)
    assert caught.value.brief.startswith(f"{reference.registry} does not have the image {reference}: ")


def test_unknown_blob_is_an_answer_of_the_registry(registry_client: RegistryClient, reference: Reference) -> None:
    IMAGE.push(registry_client, reference)
    with pytest.raises(RegistryResponseError) as caught:
        registry_client.get_document(reference, Descriptor("x/y", Digest.of_bytes(b"nothing"), 7))
    assert caught.value.status == 404
    assert "BLOB_UNKNOWN" in caught.value.codes


def test_content_changed_on_the_registry_is_noticed(
    registry: Registry, registry_client: RegistryClient, reference: Reference
) -> None:
    image = ImageBuilder().layer({"c": os.urandom(1000)}).build()
    image.push(registry_client, reference)
    blob = image.layers[0]
    registry.blob_file(str(blob.descriptor.digest)).write_bytes(bytes(len(blob.blob)))
    with pytest.raises(DigestMismatchError) as caught:
        registry_client.get_document(reference, blob.descriptor)
    assert blob.descriptor.digest.hex in caught.value.brief


def test_many_tags_come_in_pages(registry_client: RegistryClient, reference: Reference) -> None:
    IMAGE.push(registry_client, reference)
    names = [f"t{number:03}" for number in range(30)]
    for name in names:
        registry_client.push_manifest(
            Reference(reference.registry, reference.repository, name), IMAGE.manifest, media_type=IMAGE.media_type
        )
    assert set(registry_client.tags(reference)) == {"1", *names}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"basic": True}, id="basic"),
        pytest.param({"token": True, "anonymous_pull": False}, id="token"),
        pytest.param({"tls": True}, id="own authority"),
        pytest.param({"tls": True, "basic": True}, id="basic over TLS"),
        pytest.param({"tls": True, "token": True}, id="token over TLS"),
    ],
)
def test_registry_of_every_kind_serves_who_may(tmp_path: Path, options: dict[str, bool]) -> None:
    with run_registry(tmp_path, **options) as registry, client_of(registry) as client:
        reference = Reference.parse(registry.reference("team/app:1"))
        IMAGE.push(client, reference)
        assert client.get_manifest(reference).content == IMAGE.manifest
        assert client.get_document(reference, IMAGE.layers[0].descriptor) == IMAGE.layers[0].blob


@pytest.mark.parametrize("options", [{"basic": True}, {"token": True, "anonymous_pull": False}], ids=["basic", "token"])
def test_wrong_credentials_are_told_with_their_source(tmp_path: Path, options: dict[str, bool]) -> None:
    with run_registry(tmp_path, **options) as registry, client_of(registry, password="not this one") as client:
        with pytest.raises(AuthenticationError) as caught:
            client.get_manifest(Reference.parse(registry.reference("team/app:1")))
        assert "does not accept the credentials from the test" in caught.value.brief
        assert "not this one" not in str(caught.value)


@pytest.mark.parametrize("options", [{"basic": True}, {"token": True, "anonymous_pull": False}], ids=["basic", "token"])
def test_missing_credentials_are_told_with_a_cure(tmp_path: Path, options: dict[str, bool]) -> None:
    with run_registry(tmp_path, **options) as registry, RegistryClient(policy=ONCE) as client:
        with pytest.raises(AuthenticationError) as caught:
            client.get_manifest(Reference.parse(registry.reference("team/app:1")))
        assert "log in" in str(caught.value.hint)


def test_anybody_pulls_with_a_token_but_does_not_push(tmp_path: Path) -> None:
    with run_registry(tmp_path, token=True) as registry, client_of(registry) as owner:
        reference = Reference.parse(registry.reference("team/app:1"))
        IMAGE.push(owner, reference)
        with RegistryClient(policy=ONCE) as anybody:
            assert anybody.get_manifest(reference).digest == IMAGE.digest
            with pytest.raises(AuthenticationError):
                IMAGE.push(anybody, Reference.parse(registry.reference("team/app2:1")))


def test_token_is_fetched_once_for_many_requests(tmp_path: Path) -> None:
    with run_registry(tmp_path, token=True) as registry, client_of(registry) as client:
        reference = Reference.parse(registry.reference("team/app:1"))
        IMAGE.push(client, reference)
        for layer in IMAGE.layers:
            client.get_document(reference, layer.descriptor)
        assert registry.tokens is not None
        assert registry.tokens.issued == [
            (USER, ("repository:team/app:pull,push",)),
            (USER, ("repository:team/app:pull",)),
        ]


def test_token_that_ran_out_is_renewed(tmp_path: Path) -> None:
    with run_registry(tmp_path, token=True) as registry, client_of(registry) as client:
        assert registry.tokens is not None
        # The registry allows a minute for clocks that differ; we do not keep a token past its end.
        registry.tokens.lifetime_s = -120
        reference = Reference.parse(registry.reference("team/app:1"))
        with pytest.raises(AuthenticationError):
            client.get_manifest(reference)
        registry.tokens.lifetime_s = 300
        IMAGE.push(client, reference)
        assert client.get_manifest(reference).digest == IMAGE.digest


def test_identity_token_is_exchanged(tmp_path: Path) -> None:
    with (
        run_registry(tmp_path, token=True, anonymous_pull=False) as registry,
        client_of(registry, "", "", token=IDENTITY_TOKEN) as client,
    ):
        reference = Reference.parse(registry.reference("team/app:1"))
        IMAGE.push(client, reference)
        assert client.get_manifest(reference).digest == IMAGE.digest


def test_unknown_authority_is_refused_and_named_by_reason(tmp_path: Path) -> None:
    with run_registry(tmp_path, tls=True) as registry, RegistryClient() as client:
        with pytest.raises(CertificateError) as caught:
            client.get_manifest(Reference.parse(registry.reference("x:1")))
        assert "its certificate is not trusted" in caught.value.brief
        assert "REQUESTS_CA_BUNDLE" in str(caught.value.hint)


def test_authority_is_found_in_the_directory_of_its_registry(tmp_path: Path) -> None:
    with run_registry(tmp_path / "r", tls=True) as registry:
        assert registry.ca_file is not None
        directory = tmp_path / "certs.d" / registry.host
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes(registry.ca_file.read_bytes())
        with RegistryClient(ca=tmp_path / "certs.d") as client, pytest.raises(ImageNotFoundError):
            client.get_manifest(Reference.parse(registry.reference("x:1")))


def test_authority_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_registry(tmp_path, tls=True) as registry:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(registry.ca_file))
        with RegistryClient() as client, pytest.raises(ImageNotFoundError):
            client.get_manifest(Reference.parse(registry.reference("x:1")))


def test_missing_authority_file_is_named(tmp_path: Path, registry: Registry) -> None:
    with RegistryClient(ca=tmp_path / "nothing") as client, pytest.raises(InvalidSettingError, match="nothing"):
        client.get_manifest(Reference.parse(registry.reference("x:1")))


def test_refused_connection_is_named() -> None:
    with RegistryClient(policy=ONCE) as client, pytest.raises(RegistryUnreachableError) as caught:
        client.get_manifest(Reference.parse("localhost:1/x"))
    assert caught.value.brief == "cannot reach the registry localhost:1: connection refused"


def test_unknown_host_is_named() -> None:
    with RegistryClient(policy=ONCE) as client, pytest.raises(RegistryUnreachableError) as caught:
        client.get_manifest(Reference.parse("no-such-host.invalid/x"))
    assert caught.value.brief.startswith("cannot reach the registry no-such-host.invalid: its name cannot be resolved")


@pytest.fixture
def http_proxy(faulty_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> FaultyProxy:
    """The environment's proxy for everything, at which any host's plain HTTP ends at the registry."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://{faulty_proxy.host}")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return faulty_proxy


def test_registry_is_asked_through_the_proxy_of_the_environment(
    http_proxy: FaultyProxy, registry_client: RegistryClient, reference: Reference
) -> None:
    IMAGE.push(registry_client, reference)
    far = Reference("registry.example", reference.repository, reference.tag)
    with RegistryClient(insecure=["registry.example"], policy=ONCE) as client:
        assert client.get_manifest(far).content == IMAGE.manifest
    assert http_proxy.lines("GET http://registry.example/v2/.*/manifests/")


def test_plain_http_is_not_used_where_it_was_not_allowed(
    http_proxy: FaultyProxy, registry_client: RegistryClient, reference: Reference
) -> None:
    IMAGE.push(registry_client, reference)
    far = Reference("registry.example", reference.repository, reference.tag)
    with RegistryClient(policy=ONCE) as client, pytest.raises(RegistryUnreachableError):
        client.get_manifest(far)
    assert http_proxy.lines("GET") == []


def test_netrc_is_not_sent(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with run_faulty_proxy(registry.host) as proxy, RegistryClient() as client:
        with pytest.raises(ImageNotFoundError):
            client.get_manifest(Reference.parse(proxy.reference("x:1")))
        assert [seen.headers.get("Authorization") for seen in proxy.seen] == [None] * len(proxy.seen)


def test_loopback_is_not_asked_through_a_proxy(
    registry_client: RegistryClient, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    with RegistryClient() as client, pytest.raises(ImageNotFoundError):
        client.get_manifest(reference)
