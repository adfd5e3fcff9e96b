"""What a token server is asked for."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_pods.engine.registry.auth import Scope, build_token_call, merge_scopes
from pytest_pods.engine.registry.challenges import BearerChallenge
from pytest_pods.engine.registry.credentials import Credentials

SCOPE = Scope("host.name", "team/app")


@pytest.mark.parametrize(
    ("demanded", "asked"),
    [
        ((), ("repository:team/app:pull",)),
        (("repository:team/app:pull",), ("repository:team/app:pull",)),
        (("repository:team/app:push,pull",), ("repository:team/app:pull,push",)),
        (("registry:catalog:*",), ("repository:team/app:pull", "registry:catalog:*")),
        (("repository:team/app2:pull",), ("repository:team/app:pull", "repository:team/app2:pull")),
    ],
)
def test_scope_is_ours_with_what_the_registry_demands(demanded: tuple[str, ...], asked: tuple[str, ...]) -> None:
    assert merge_scopes(SCOPE, demanded) == asked


def test_anonymous_token_is_asked_for_without_authorization() -> None:
    call = build_token_call(BearerChallenge("https://t.name/token?x=1", "s", ()), SCOPE, None)
    assert (call.method, call.authorization) == ("GET", None)
    assert parse_qs(urlsplit(call.url).query) == {"x": ["1"], "service": ["s"], "scope": [str(SCOPE)]}


def test_identity_token_is_sent_in_the_body_only() -> None:
    credentials = Credentials("", "", "file", identity_token="secret")
    call = build_token_call(BearerChallenge("https://t.name/token", "s", ()), SCOPE, credentials)
    assert call.method == "POST"
    assert "secret" not in call.url
    assert isinstance(call.body, bytes)
    assert parse_qs(call.body.decode())["refresh_token"] == ["secret"]
