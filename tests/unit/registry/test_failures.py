"""What a registry, or the way to it, does wrong becomes one error of ours that says it all."""

from __future__ import annotations

import json
import pickle
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pytest_pods.engine.errors import (
    AuthenticationError,
    ImageNotFoundError,
    PodsError,
    RateLimitError,
    RegistryResponseError,
)
from pytest_pods.engine.registry.failures import (
    Answer,
    parse_retry_after,
    translate_answer,
    translate_connection_error,
)


def body(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": {}}]}).encode()


def translate(status: int, content: bytes = b"", **headers: str) -> PodsError:
    answer = Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)
    return translate_answer(answer, registry="host.name", subject="the image host.name/x:1", is_manifest=True)


@pytest.mark.parametrize(
    ("status", "kind", "temporary"),
    [
        (400, RegistryResponseError, False),
        (401, AuthenticationError, False),
        (403, AuthenticationError, False),
        (404, ImageNotFoundError, False),
        (405, RegistryResponseError, False),
        (408, RegistryResponseError, True),
        (416, RegistryResponseError, False),
        (429, RateLimitError, True),
        (500, RegistryResponseError, True),
        (501, RegistryResponseError, False),
        (502, RegistryResponseError, True),
        (503, RegistryResponseError, True),
        (504, RegistryResponseError, True),
    ],
)
def test_status_gives_a_named_error(status: int, kind: type[PodsError], temporary: bool) -> None:
    error = translate(status)
    assert type(error) is kind
    assert error.temporary is temporary
    assert "the image host.name/x:1" in error.brief


def test_message_says_what_was_asked_of_whom_and_why_it_failed() -> None:
    assert str(translate(404, body("MANIFEST_UNKNOWN", "manifest unknown"))) == (
        "host.name does not have the image host.name/x:1: manifest unknown\n"
        "hint: check the spelling of repository and tag"
    )


def test_codes_of_the_registry_are_kept() -> None:
    error = translate(500, body("UNKNOWN", ""))
    assert isinstance(error, RegistryResponseError)
    assert (error.status, error.codes) == (500, ("UNKNOWN",))
    assert error.brief.endswith(": unknown")


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b'{"errors": 3}', b'{"errors": [3]}', b"\xff", b"[" * 100_000]
)
def test_any_body_is_taken(content: bytes) -> None:
    assert translate(500, content).brief == (
        "host.name answered with status 500 to the request for the image host.name/x:1"
    )


def test_text_of_a_stranger_stays_on_one_line_of_limited_length() -> None:
    error = translate(500, body("X", "a\nb\x1b[31m" + "x" * 1000))
    assert "\n" not in error.brief
    assert "\x1b" not in error.brief
    assert len(error.brief) < 450


def test_rate_limit_says_when_to_come_back_and_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(translate(429, retry_after="90")))
    assert isinstance(error, RateLimitError)
    assert error.retry_after_s == 90
    assert "asks to wait 90 s" in error.brief


@pytest.mark.parametrize("value", ["", "soon", "-5", "1e3", "٣", "99999999999", "Mon, 99 Foo 2020"])
def test_unreadable_retry_after_says_nothing(value: str) -> None:
    assert parse_retry_after(value) is None


def test_retry_after_may_be_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=100)
    assert parse_retry_after(format_datetime(later, usegmt=True)) == pytest.approx(100, abs=5)
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


@pytest.mark.parametrize(
    ("cause", "reason", "temporary"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connection refused", True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name cannot be resolved", False),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "its name cannot be resolved", True),
        (TimeoutError("timed out"), "did not answer in time", True),
        (OSError(113, "No route to host"), "no route to host", True),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "TLS failed", False),
        (ValueError("x"), "the connection broke", True),
    ],
)
def test_connection_fault_gives_its_reason_in_one_line(cause: Exception, reason: str, temporary: bool) -> None:
    outer = RuntimeError("HTTPSConnectionPool(host='host.name'): Max retries exceeded with url: /v2/?token=secret")
    outer.__cause__ = cause
    error = translate_connection_error(outer, registry="host.name", address="host.name")
    assert error.brief.startswith("cannot reach the registry host.name: ")
    assert reason in error.brief
    assert error.temporary is temporary
    assert "secret" not in str(error)


def test_address_is_named_where_it_is_another() -> None:
    error = translate_connection_error(ConnectionRefusedError(), registry="docker.io", address="host.name")
    assert "the registry docker.io (at host.name)" in error.brief
