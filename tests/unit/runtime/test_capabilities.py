from __future__ import annotations

import pytest

from pytest_pods.engine.errors import InvalidSpecError
from pytest_pods.engine.oci.runtime_spec import Capabilities
from pytest_pods.engine.runtime.capabilities import (
    DEFAULT_CAPABILITIES,
    NUMBERS,
    build_capability_mask,
    build_capability_sets,
    merge_capabilities,
    parse_capability_mask,
)

ALL = frozenset(NUMBERS)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], DEFAULT_CAPABILITIES),
        (["CAP_NET_RAW"], [], DEFAULT_CAPABILITIES | {"CAP_NET_RAW"}),
        ([], ["CAP_CHOWN"], DEFAULT_CAPABILITIES - {"CAP_CHOWN"}),
        ([], ["ALL"], frozenset()),
        (["CAP_CHOWN"], ["ALL"], {"CAP_CHOWN"}),
        (["ALL"], [], ALL),
        (["ALL"], ["CAP_SYS_ADMIN"], ALL - {"CAP_SYS_ADMIN"}),
    ],
)
def test_bounding_set_follows_add_and_drop(add: list[str], drop: list[str], expected: frozenset[str]) -> None:
    assert merge_capabilities(add=add, drop=drop, available=ALL) == expected


@pytest.mark.parametrize(
    ("add", "drop", "message"),
    [
        (["CAP_FLY"], [], "unknown capability 'CAP_FLY'"),
        (["CAP_CHOWN"], ["CAP_CHOWN"], "'CAP_CHOWN' is both added and dropped"),
        (["CAP_SYS_RESOURCE"], [], "'CAP_SYS_RESOURCE' cannot be added"),
    ],
)
def test_capability_that_cannot_be_given_is_named(add: list[str], drop: list[str], message: str) -> None:
    with pytest.raises(InvalidSpecError, match=message):
        merge_capabilities(add=add, drop=drop, available=ALL - {"CAP_SYS_RESOURCE"})


def test_all_means_what_is_available() -> None:
    assert merge_capabilities(add=["ALL"], drop=[], available=frozenset({"CAP_KILL"})) == {"CAP_KILL"}


def test_root_holds_the_bounding_set_and_inherits_nothing() -> None:
    held = ("CAP_CHOWN", "CAP_KILL")
    assert build_capability_sets(frozenset(held), uid=0) == Capabilities(held, held, (), held, ())


def test_user_holds_only_what_was_asked_for_as_ambient_too() -> None:
    bounding, held = ("CAP_CHOWN", "CAP_KILL"), ("CAP_KILL",)
    found = build_capability_sets(frozenset(bounding), uid=1, asked=["CAP_KILL", "CAP_BPF"])
    assert found == Capabilities(bounding, held, held, held, held)


def test_mask_names_the_bits_of_the_kernel() -> None:
    assert build_capability_mask(["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"]) == 1 | 1 << 21 | 1 << 40
    assert parse_capability_mask(1 | 1 << 21 | 1 << 63) == {"CAP_CHOWN", "CAP_SYS_ADMIN"}
