"""What an image says of its health check: read as Docker and Podman read it, and refused where it cannot be meant."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pods.engine.errors import InvalidDocumentError
from pytest_pods.engine.oci.image_config import ImageConfig, ImageHealth
from tests.support.images import ImageBuilder


def read_health(check: object, **config: Any) -> ImageHealth | None:
    content = ImageBuilder().config(Healthcheck=check, **config).build().config
    return ImageConfig.from_bytes(content, where="shop:1").health


@pytest.mark.parametrize(
    ("test", "command"),
    [
        (["CMD", "pg_isready", "-U", "x"], ("pg_isready", "-U", "x")),
        (["CMD-SHELL", "curl -f localhost || exit 1"], ("/bin/sh", "-c", "curl -f localhost || exit 1")),
        (["test", "-e", "/ready"], ("test", "-e", "/ready")),
    ],
)
def test_command_is_that_of_the_test(test: list[str], command: tuple[str, ...]) -> None:
    health = read_health({"Test": test})
    assert health == ImageHealth(tuple(test), command)


def test_text_is_for_the_shell_that_the_image_names() -> None:
    health = read_health({"Test": ["CMD-SHELL", "ready"]}, Shell=["/bin/bash", "-ec"])
    assert health is not None
    assert health.command == ("/bin/bash", "-ec", "ready")


def test_times_are_nanoseconds_and_zero_says_nothing() -> None:
    health = read_health(
        {
            "Test": ["CMD", "true"],
            "Interval": 1_500_000_000,
            "Timeout": 0,
            "StartPeriod": 60_000_000_000,
            "StartInterval": 5_000_000,
            "Retries": 7,
        }
    )
    assert health == ImageHealth(("CMD", "true"), ("true",), 1.5, None, 60.0, 0.005, 7)


@pytest.mark.parametrize("check", [None, {}, {"Test": []}, {"Test": ["NONE"]}, {"Test": [""]}, {"Interval": 5}])
def test_image_without_a_test_has_no_health_check(check: object) -> None:
    assert read_health(check) is None


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("true", "config.Healthcheck is not an object"),
        ({"Test": "true"}, "config.Healthcheck.Test is not a list of texts"),
        ({"Test": ["CMD", 5]}, "config.Healthcheck.Test is not a text"),
        ({"Test": ["CMD", "a\0b"]}, "config.Healthcheck.Test is not a text"),
        ({"Test": ["CMD"]}, "config.Healthcheck.Test has no command"),
        ({"Test": ["CMD", ""]}, "config.Healthcheck.Test has no command"),
        ({"Test": ["CMD-SHELL"]}, "config.Healthcheck.Test has no command"),
        ({"Test": ["CMD", "true"], "Interval": -1}, "config.Healthcheck.Interval is not a whole number"),
        ({"Test": ["CMD", "true"], "Timeout": "30s"}, "config.Healthcheck.Timeout is not a whole number"),
        ({"Test": ["CMD", "true"], "StartPeriod": 1.5}, "config.Healthcheck.StartPeriod is not a whole number"),
        ({"Test": ["CMD", "true"], "StartInterval": 1 << 63}, "config.Healthcheck.StartInterval is not a whole"),
        ({"Test": ["CMD", "true"], "Retries": True}, "config.Healthcheck.Retries is not a whole number"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_image_and_place(check: object, words: str) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        read_health(check)
    assert str(caught.value).startswith(f"the image config of shop:1: {words}")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_KEYS = st.sampled_from(["Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries", "Other"])


@settings(max_examples=200, deadline=None)
@given(check=_VALUES | st.dictionaries(_KEYS, _VALUES, max_size=7), shell=_VALUES)
def test_whatever_stands_there_is_read_or_refused(check: object, shell: object) -> None:
    try:
        health = read_health(json.loads(json.dumps(check)), Shell=shell)
    except InvalidDocumentError:
        return
    assert health is None or (health.command[0] and all(isinstance(word, str) for word in health.command))
