"""Detach keys are found wherever they are typed, and nothing else that is typed is lost."""

from __future__ import annotations

import pytest

from pytest_pods.engine.errors import InvalidInputError
from pytest_pods.engine.services.attachment import DETACH_KEYS, DetachFilter, parse_detach_keys


@pytest.mark.parametrize(
    ("pieces", "passed", "detached"),
    [
        pytest.param([b"ls\n"], b"ls\n", False, id="ordinary text"),
        pytest.param([b"a\x10\x11b"], b"a", True, id="in one read"),
        pytest.param([b"a\x10", b"\x11"], b"a", True, id="in two reads"),
        pytest.param([b"\x10x"], b"\x10x", False, id="first key alone"),
        pytest.param([b"\x10", b"x"], b"\x10x", False, id="first key alone, held over a read"),
        pytest.param([b"\x10\x10\x11"], b"\x10", True, id="first key twice"),
        pytest.param([b"\x11\x10"], b"\x11", False, id="in the wrong order, the last still held"),
    ],
)
def test_filter_passes_all_but_the_keys(pieces: list[bytes], passed: bytes, detached: bool) -> None:
    detach = DetachFilter(DETACH_KEYS)
    results = [detach.feed(piece) for piece in pieces]
    assert b"".join(result[0] for result in results) == passed
    assert results[-1][1] is detached


def test_no_keys_pass_everything() -> None:
    assert DetachFilter(b"").feed(b"\x10\x11") == (b"\x10\x11", False)


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", DETACH_KEYS), ("ctrl-a,d", b"\x01d"), ("ctrl-@", b"\x00"), ("", b""), ("ctrl-],x", b"\x1dx")],
)
def test_keys_are_written_as_for_docker(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-ab", "f1", "ctrl-1"])
def test_key_that_cannot_be_typed_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="invalid detach key"):
        parse_detach_keys(text)
