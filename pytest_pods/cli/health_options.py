"""What `run` and `create` ask of a container's health check, in the words of Docker's and Podman's options."""

from __future__ import annotations

import re

from pytest_pods.cli.options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from pytest_pods.cli.options import Parsed
    from pytest_pods.engine.specs.health import HealthCheck

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_TIMES = ("interval", "timeout", "start-period", "start-interval")
_OTHERS = ("cmd", "retries", "on-failure")


def read_health(parsed: Parsed) -> HealthCheck | Literal[False] | None:
    """None where nothing is said of it, False for no health check. Raises UsageError, InvalidSpecError."""
    given = {name: value for name in (*_TIMES, *_OTHERS) if (value := parsed.find(f"--health-{name}")) is not None}
    command = given.get("cmd")
    if parsed.flag("--no-healthcheck") or command == "none":
        contradicting = [name for name in given if (name, command) != ("cmd", "none")]
        if contradicting:
            raise UsageError(f"option --health-{contradicting[0]} contradicts that there is to be no health check")
        return False
    if not given:
        return None
    from pytest_pods.engine.specs.health import HealthCheck

    options: dict[str, Any] = {
        name.replace("-", "_"): parse_duration(f"--health-{name}", given[name]) for name in _TIMES if name in given
    }
    if command is not None:
        options["command"] = _parse_command(command)
    if "retries" in given:
        options["retries"] = _parse_retries(given["retries"])
    if "on-failure" in given:
        options["on_failure"] = given["on-failure"]
    return HealthCheck(**options)


def parse_duration(option: str, text: str) -> float:
    """Seconds of `30s`, `1m30s`, `500ms` or `2.5`. Raises UsageError."""
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    raise UsageError(f"option {option}: {text!r} is not a duration", hint="write 30s, 1m30s or 500ms")


def _parse_retries(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"option --health-retries: {text!r} is not a whole number")
    return int(text)


def _parse_command(text: str) -> str | list[str]:
    """A text is for a shell; Podman also takes a list in JSON."""
    if not text.startswith("["):
        return text
    import json

    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        # `[ -e /ready ]` is a shell's test.
        return text
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"option --health-cmd: {text!r} is not a list of texts")
    if words[:1] == ["CMD-SHELL"]:
        return " ".join(words[1:])
    return words[1:] if words[:1] == ["CMD"] else words
