"""References are read as Docker and Podman read them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pods.engine.errors import InvalidReferenceError
from pytest_pods.engine.oci.reference import Reference

HEX = "0123456789abcdef" * 4
OTHER_HEX = "fedcba9876543210" * 4


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("redis", "docker.io/library/redis:latest"),
        ("redis:7", "docker.io/library/redis:7"),
        ("team/app", "docker.io/team/app:latest"),
        ("library/redis:7", "docker.io/library/redis:7"),
        ("docker.io/redis:7", "docker.io/library/redis:7"),
        ("index.docker.io/redis:7", "docker.io/library/redis:7"),
        ("docker://redis:7", "docker.io/library/redis:7"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        ("localhost", "docker.io/library/localhost:latest"),
        ("host.name/x", "host.name/x:latest"),
        ("host.name:443/a/b/c:1.0-rc.1_x", "host.name:443/a/b/c:1.0-rc.1_x"),
        ("HOST.name/x", "host.name/x:latest"),
        ("Registry/x", "registry/x:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        (f"redis@sha256:{HEX}", f"docker.io/library/redis@sha256:{HEX}"),
        (f"redis:7@sha256:{HEX}", f"docker.io/library/redis:7@sha256:{HEX}"),
        (f"localhost:5000/x@sha256:{HEX}", f"localhost:5000/x@sha256:{HEX}"),
        (f"redis@sha512:{HEX}{HEX}", f"docker.io/library/redis@sha512:{HEX}{HEX}"),
        ("a__b/c-d/e--f.g_h:T", "docker.io/a__b/c-d/e--f.g_h:T"),
        ("x:" + "t" * 128, "docker.io/library/x:" + "t" * 128),
    ],
)
def test_reference_is_completed(text: str, whole: str) -> None:
    assert str(Reference.parse(text)) == whole


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no repository"),
        (":7", "names no repository"),
        ("@sha256:" + HEX, "names no repository"),
        ("Redis", "upper-case letters"),
        ("team/App:1", "upper-case letters"),
        ("redis:", "the tag '' is not valid"),
        ("redis:a b", "the tag 'a b' is not valid"),
        ("redis:.x", "the tag '.x' is not valid"),
        ("redis:" + "t" * 129, "is not valid"),
        ("redis@sha256:123", "the digest 'sha256:123' is not valid"),
        ("redis@", "the digest '' is not valid"),
        ("redis@md5:" + HEX, "is not valid"),
        (f"redis@sha256:{HEX.upper()}", "is not valid"),
        ("a//b", "cannot be a part"),
        ("/x", "cannot be a part"),
        ("x/", "cannot be a part"),
        ("localhost/", "cannot be a part"),
        ("a___b", "cannot be a part"),
        ("a..b", "cannot be a part"),
        ("-a", "cannot be a part"),
        ("../etc", "is not a host"),
        ("host.name/../x", "cannot be a part"),
        ("host_name.com/x", "is not a host"),
        ("host:70000/x", "is not a host"),
        ("host:/x", "is not a host"),
        ("user@host.name/x", "the digest"),
        ("https://host.name/x", "starts with 'https://'"),
        ("docker://https://x", "starts with 'https://'"),
        (HEX, "image ID"),
        ("a" * 256, "too long"),
        ("x" * 2000, "characters"),
        ("redis\n", "cannot be a part"),
        ("redis:7\n", "is not valid"),
        ("r\u00e9dis", "cannot be a part"),
        ("redis:\u0667", "is not valid"),
        ("redis\0", "cannot be a part"),
    ],
)
def test_reference_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidReferenceError, match="invalid image reference") as caught:
        Reference.parse(text)
    assert reason in caught.value.brief


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/redis:7", "redis:7"),
        ("docker.io/team/app", "team/app:latest"),
        ("localhost:5000/library/x:1", "localhost:5000/library/x:1"),
        ("docker.io/library/a/b:1", "library/a/b:1"),
        ("docker.io/localhost/x:1", "docker.io/localhost/x:1"),
        ("docker.io/0.0/x:1", "docker.io/0.0/x:1"),
        (f"redis:7@sha256:{HEX}", f"redis:7@sha256:{HEX}"),
    ],
)
def test_familiar_form_is_short(text: str, familiar: str) -> None:
    assert Reference.parse(text).familiar() == familiar


def test_message_names_the_text_the_reason_and_a_cure() -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse("Redis:7")
    assert str(caught.value) == (
        "invalid image reference 'Redis:7': the repository 'Redis' has upper-case letters\n"
        "hint: did you mean 'redis'?"
    )


def test_digest_decides_over_the_tag() -> None:
    assert Reference.parse(f"redis:7@sha256:{HEX}").target == f"sha256:{HEX}"
    assert Reference.parse("redis:7").target == "7"


def test_pinned_reference_keeps_the_name_alone() -> None:
    digest = Reference.parse(f"x@sha256:{OTHER_HEX}").digest
    assert digest is not None
    assert str(Reference.parse("redis:7").with_digest(digest)) == f"docker.io/library/redis@sha256:{OTHER_HEX}"


PARTS = st.lists(
    st.sampled_from(["a", "redis", "0", "x.y", "a_b", "a__b", "c-d", "e---f", "0.0", "localhost"]),
    min_size=1,
    max_size=4,
)
REPOSITORIES = PARTS.map("/".join)
REGISTRIES = st.sampled_from(["", "localhost/", "localhost:5000/", "host.name/", "h:1/", "docker.io/", "10.0.0.1:80/"])
TAGS = st.sampled_from(["", ":7", ":latest", ":_x", ":A.b-c"])
DIGESTS = st.sampled_from(["", f"@sha256:{HEX}"])


@given(REGISTRIES, REPOSITORIES, TAGS, DIGESTS)
@settings(max_examples=100)
def test_whole_and_familiar_form_mean_the_same(registry: str, repository: str, tag: str, digest: str) -> None:
    # Behind the default registry's name a first part that looks like another registry is a part like any.
    reference = Reference.parse((registry or "docker.io/") + repository + tag + digest)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar()) == reference


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return
    assert Reference.parse(str(reference)) == reference
