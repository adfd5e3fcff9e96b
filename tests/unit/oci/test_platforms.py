"""The image of an index that suits a platform best is taken."""

from __future__ import annotations

import pytest

from pytest_pods.engine.errors import ImageNotFoundError, InvalidSpecError
from pytest_pods.engine.oci.descriptor import Descriptor, Platform
from pytest_pods.engine.oci.digest import Digest
from pytest_pods.engine.oci.manifest import OCI_INDEX, OCI_MANIFEST, Index
from pytest_pods.engine.oci.platforms import (
    find_for_platform,
    get_for_platform,
    host_platform,
    parse_platform,
    platform_suits,
)


def index_of(*platforms: str | None) -> Index:
    return Index(
        OCI_INDEX,
        tuple(
            Descriptor(OCI_MANIFEST, Digest.of_bytes(str((number, text)).encode()), 1, _platform(text))
            for number, text in enumerate(platforms)
        ),
    )


def _platform(text: str | None) -> Platform | None:
    return None if text is None else Platform(*text.split("/"))


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("linux/amd64", ("linux/arm64", "linux/amd64"), 1),
        ("linux/amd64", ("linux/amd64", "linux/amd64"), 0),
        ("linux/amd64", ("windows/amd64", "linux/amd64/v3", "linux/amd64"), 2),
        ("linux/amd64", ("linux/amd64/v3",), None),
        ("linux/amd64/v3", ("linux/amd64", "linux/amd64/v2"), 1),
        ("linux/arm64", ("linux/arm64/v8",), 0),
        ("linux/arm64/v8", ("linux/arm64",), 0),
        ("linux/arm64", ("linux/arm64/8",), 0),
        ("linux/arm64", ("linux/arm/v7",), None),
        ("linux/arm/v7", ("linux/arm/v5", "linux/arm/v6", "linux/arm/v8"), 1),
        ("linux/arm", ("linux/arm/v5", "linux/arm/v7", "linux/arm/v6"), 1),
        ("linux/arm/v6", ("linux/arm/v7", "linux/arm/v5"), 1),
        ("linux/arm/v5", ("linux/arm/v7",), None),
        ("linux/arm/v7", ("linux/arm",), 0),
        ("linux/s390x", ("linux/s390x",), 0),
        ("linux/riscv64", ("linux/amd64",), None),
        ("linux/amd64", (None,), 0),
        ("linux/amd64", (None, "linux/amd64"), 1),
        ("linux/amd64", (None, None), None),
        ("linux/amd64", ("unknown/unknown", "linux/x86_64"), 1),
        ("linux/amd64", (), None),
    ],
)
def test_choice(wanted: str, there: tuple[str | None, ...], chosen: int | None) -> None:
    index = index_of(*there)
    found = find_for_platform(index, parse_platform(wanted))
    assert found == (None if chosen is None else index.manifests[chosen])


def test_missing_platform_is_told_with_those_that_are_there() -> None:
    index = index_of("linux/arm64/v8", "linux/amd64", "unknown/unknown")
    with pytest.raises(ImageNotFoundError) as caught:
        get_for_platform(index, parse_platform("linux/s390x"), where="redis:7")
    assert str(caught.value) == (
        "redis:7 has no image for linux/s390x\nhint: it has images for linux/amd64, linux/arm64/v8"
    )


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("amd64", Platform("linux", "amd64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("Linux/ARM64", Platform("linux", "arm64")),
        ("linux/aarch64", Platform("linux", "arm64")),
        ("linux/arm/v6", Platform("linux", "arm", "v6")),
        ("armhf", Platform("linux", "arm", "v7")),
        ("armel", Platform("linux", "arm", "v6")),
    ],
)
def test_platform_is_read(text: str, platform: Platform) -> None:
    assert parse_platform(text) == platform


@pytest.mark.parametrize("text", ["", "/", "linux/", "a/b/c/d", "linux/amd 64", "linux/" + "x" * 40])
def test_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidSpecError, match="invalid platform"):
        parse_platform(text)


def test_this_machine_suits_itself() -> None:
    assert platform_suits(host_platform(), host_platform())
    assert not platform_suits(Platform("plan9", "amd64"), host_platform())
