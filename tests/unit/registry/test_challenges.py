"""The WWW-Authenticate header is a stranger's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pods.engine.registry.challenges import BearerChallenge, Challenge, find_bearer, parse_challenges


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Basic realm="x"', (Challenge("basic", {"realm": "x"}),)),
        ("basic", (Challenge("basic"),)),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"',
            (Challenge("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"}),),
        ),
        ('BEARER Realm = "a" , SERVICE=b', (Challenge("bearer", {"realm": "a", "service": "b"}),)),
        (r'Bearer realm="a\"b\\c"', (Challenge("bearer", {"realm": 'a"b\\c'}),)),
        (
            'Basic realm="x", Bearer realm="y"',
            (Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "y"})),
        ),
        ("Negotiate, Basic realm=x", (Challenge("negotiate"), Challenge("basic", {"realm": "x"}))),
        ('Bearer realm="a",realm="b"', (Challenge("bearer", {"realm": "a"}),)),
        (None, ()),
        ("", ()),
        ("=,=", ()),
        ('realm="x"', ()),
        ("Basic " + "x" * 9000, ()),
    ],
)
def test_challenges_are_read(header: str | None, challenges: tuple[Challenge, ...]) -> None:
    assert parse_challenges(header) == challenges


def test_unended_quote_gives_no_realm() -> None:
    assert find_bearer(parse_challenges('Bearer realm="https://a')) is None


def test_bearer_is_found_behind_another() -> None:
    header = 'Basic realm="x", Bearer realm="https://a/t",scope="one two"'
    assert find_bearer(parse_challenges(header)) == BearerChallenge("https://a/t", None, ("one", "two"))


@given(st.text(alphabet='Basicber =",\\\t;realm:/x', max_size=200))
def test_any_header_is_read_without_a_fault(header: str) -> None:
    parse_challenges(header)
