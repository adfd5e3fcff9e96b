"""What can be set, and where: argument > command line > environment > ini file > default, as one frozen value.

Owns the names of all settings, their options of pytest, and the reading of their texts; the command line without pytest
uses it as well. It is imported in suites that use no container, so it imports nothing of the engine at load.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

from pytest_pods.frozen import frozen

if TYPE_CHECKING:
    import pytest

    from pytest_pods.engine.specs.container import PullPolicy

Pull = Literal["missing", "always", "newer", "never"]
Keep = Literal["never", "failed", "always"]
Missing = Literal["fail", "skip"]
Logs = Literal["failed", "all", "none", "live"]


@frozen
class Settings:
    """All settings; the defaults are what holds where nothing is set. Times are seconds.

    `root`: the store, None for the user's usual one; `keep`: which containers outlive the run, for `keep_for`;
    `reuse`: whether what is wider than a test stays for the next run, for `reuse_for` after it was used last;
    `missing`: what happens to a test that needs something which the machine cannot do; `images`: pairs of an image as
    tests write it, with or without tag, and the reference that is used for it; `logs`: of which tests the logs of
    containers are shown, and when; `durations`: how many of the slowest are listed, 0 for all, None for no list;
    `fixture_prefix`: what stands before the names of our fixtures;
    `lookahead`: of how many of the next tests containers are made while one runs, 0 for none;
    `artifacts`: where what stays of a failing test goes, of all its containers.
    """

    root: Path | None = None
    pull: Pull = "missing"
    timeout: float = 60.0
    keep: Keep = "never"
    keep_for: float = 3600.0
    reuse: bool = False
    reuse_for: float = 3600.0
    missing: Missing = "fail"
    insecure_registries: tuple[str, ...] = ()
    images: tuple[tuple[str, str], ...] = ()
    logs: Logs = "failed"
    durations: int | None = None
    fixture_prefix: str = ""
    lookahead: int = 3
    artifacts: Path | None = None

    @property
    def pull_policy(self) -> PullPolicy:
        """`pull` as the engine takes it."""
        from pytest_pods.engine.specs.container import PullPolicy

        return PullPolicy(self.pull)

    def fixture_name(self, name: str) -> str:
        """What a fixture of ours is called: `container` → `our_container`."""
        return f"{self.fixture_prefix}{name}"


class Source(NamedTuple):
    """One place that settings come from; `label` says, for messages, how a setting is written there."""

    label: Callable[[str], str]
    values: Mapping[str, object]
    base: Path | None = None


_SINGULAR = {"insecure_registries": "insecure_registry", "images": "image"}
"""Settings that are lists: each use of the option gives one."""


def option_name(setting: str) -> str:
    """`keep_for` → `--pods-keep-for`."""
    return f"--pods-{_SINGULAR.get(setting, setting).replace('_', '-')}"


def option_destination(setting: str) -> str:
    """The attribute that pytest stores the option in."""
    return f"pods_{setting}"


def variable_name(setting: str) -> str:
    """`keep_for` → `PYTEST_PODS_KEEP_FOR`."""
    return f"PYTEST_PODS_{setting.upper()}"


def ini_name(setting: str) -> str:
    """`keep_for` → `pods_keep_for`."""
    return f"pods_{setting}"


def setting_names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Settings))


def load_settings(
    *,
    arguments: Mapping[str, object] | None = None,
    options: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    ini: Mapping[str, object] | None = None,
    ini_directory: Path | None = None,
) -> Settings:
    """The settings from all places; values that are None count as not given. Raises InvalidSettingError.

    `arguments`, `options` and `ini` are keyed by a setting's name, `environment` (this process's unless given) by
    variable. A relative root counts from the working directory, in an ini file from `ini_directory`.
    """
    environment = os.environ if environment is None else environment
    variables = {name: environment.get(variable_name(name)) or None for name in setting_names()}
    sources = (
        Source(str, arguments or {}),
        Source(option_name, options or {}),
        Source(variable_name, variables),
        Source(ini_name, ini or {}, base=ini_directory),
    )
    return build_settings(sources)


def build_settings(sources: tuple[Source, ...]) -> Settings:
    """Each setting from the first source that has it; raises InvalidSettingError that names setting and source."""
    chosen: dict[str, Any] = {}
    for name in setting_names():
        for source in sources:
            value = source.values.get(name)
            if value is not None:
                chosen[name] = _PARSERS[name](value, _Place(source.label(name), source.base))
                break
    return Settings(**chosen)


class _Place(NamedTuple):
    label: str
    base: Path | None

    def refuse(self, value: object, wanted: str) -> NoReturn:
        from pytest_pods.engine.errors import InvalidSettingError

        raise InvalidSettingError(f"{self.label}={value}: it has to be {wanted}", hint=_VALUE_HINTS.get(self.label))


def _choice(*allowed: str) -> Callable[[object, _Place], str]:
    def parse(value: object, place: _Place) -> str:
        if value not in allowed:
            place.refuse(value, f"{', '.join(allowed[:-1])} or {allowed[-1]}")
        return str(value)

    return parse


_MOST_AHEAD = 64
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_S = 1e7


def _seconds(value: object, place: _Place) -> float:
    text = str(value).strip()
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS and text else (text, "")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= _LONGEST_S:
        place.refuse(value, "a time such as 90, 90s, 15m or 2h")
    return seconds


def _lease(value: object, place: _Place) -> float:
    seconds = _seconds(value, place)
    if seconds < 1:
        # The sandbox counts whole seconds, and takes 0 for no end.
        place.refuse(value, "at least 1s")
    return seconds


def _flag(value: object, place: _Place) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    text = str(value).strip().lower()
    if text not in known:
        place.refuse(value, "true or false")
    return known[text]


def _number(wanted: str, *, most: int | None = None) -> Callable[[object, _Place], int]:
    def parse(value: object, place: _Place) -> int:
        text = str(value).strip()
        if not (text.isascii() and text.isdigit()) or (most is not None and int(text) > most):
            place.refuse(value, wanted)
        return int(text)

    return parse


def _prefix(value: object, place: _Place) -> str:
    text = str(value)
    if not text.isidentifier() or text.startswith("pytest_"):
        # pytest takes what begins so for hooks.
        place.refuse(value, "the beginning of a name, such as our_")
    return text


_count = _number("a number such as 10, or 0 for all")
_tests = _number(f"a number of tests up to {_MOST_AHEAD}, or 0 to make nothing ahead", most=_MOST_AHEAD)


def _path(value: object, place: _Place) -> Path:
    path = Path(str(value)).expanduser()
    if not path.is_absolute() and place.label.startswith("PYTEST_PODS_"):
        # It is inherited by processes with other working directories.
        place.refuse(value, "an absolute path")
    return (place.base or Path.cwd()) / path


def _hosts(value: object, place: _Place) -> tuple[str, ...]:
    items = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) and item.strip() for item in items):
        place.refuse(value, "a list of registries such as registry.test:5000")
    return tuple(item.strip() for item in items)


def _replacements(value: object, place: _Place) -> tuple[tuple[str, str], ...]:
    items = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        items = [items]
    pairs = []
    for item in items:
        name, separator, reference = (part.strip() for part in str(item).partition("="))
        if not separator or not name or not reference:
            place.refuse(item, "an image and its replacement, such as redis=redis:6 or redis:7=redis:7.2")
        pairs.append((name, reference))
    return tuple(pairs)


_PARSERS: dict[str, Callable[[Any, _Place], object]] = {
    "root": _path,
    "pull": _choice("missing", "always", "newer", "never"),
    "timeout": _seconds,
    "keep": _choice("never", "failed", "always"),
    "keep_for": _lease,
    "reuse": _flag,
    "reuse_for": _lease,
    "missing": _choice("fail", "skip"),
    "insecure_registries": _hosts,
    "images": _replacements,
    "logs": _choice("failed", "all", "none", "live"),
    "durations": _count,
    "fixture_prefix": _prefix,
    "lookahead": _tests,
    "artifacts": _path,
}


_WITHOUT_A_VALUE = {"keep": "always", "reuse": "true"}
_VALUE_HINTS = {
    option_name(name): f"write {option_name(name)}={value} before a path, or {option_name(name)} behind it"
    for name, value in _WITHOUT_A_VALUE.items()
}
_KEEP_DESCRIPTION = "keep containers for a look after the run: those of failed tests, or all (without a value: all)"
DESCRIPTIONS: dict[str, tuple[str, str]] = {
    "keep": ("failed|always", _KEEP_DESCRIPTION),
    "keep_for": ("TIME", "how long kept containers live, such as 90s, 15m or 2h (default: 1h)"),
    "reuse": ("true|false", "keep what is wider than a test for the next run to use (without a value: true)"),
    "reuse_for": ("TIME", "how long that lives after it was used last, such as 15m or 2h (default: 1h)"),
    "pull": ("WHEN", "ask the registry for an image: missing (default), always, newer or never"),
    "timeout": ("TIME", "for a container to get ready, where it does not say itself (default: 60s)"),
    "root": ("DIR", "the store of images (default: the user's)"),
    "missing": ("fail|skip", "tests that need what this machine cannot do fail (default) or are skipped"),
    "insecure_registries": ("HOST[:PORT]", "a registry to speak to without TLS or without its check; can be repeated"),
    "images": ("NAME=REF", "use an image in place of another, which may be named without its tag; can be repeated"),
    "logs": ("WHICH", "logs of containers in reports: of failed tests (default), all or none; or live, as they come"),
    "fixture_prefix": ("PREFIX", "call our fixtures PREFIXcontainer, PREFIXpod, …, beside others of these names"),
    "lookahead": ("N", "make the containers of the next N tests ready while one runs (default: 3; 0: none)"),
    "durations": ("N", "list the N slowest containers and images (0: all)"),
    "artifacts": ("DIR", "keep logs, changed files and chosen paths of the containers of failed tests there"),
}


def add_options(parser: pytest.Parser) -> None:
    """Offers every setting as an option of pytest and as a line of its ini file."""
    group = parser.getgroup(
        "pods", "containers (pytest-pods): each also as PYTEST_PODS_… in the environment, pods_… in the ini file"
    )
    for name, (metavar, description) in DESCRIPTIONS.items():
        extra: dict[str, Any] = {}
        if name in _WITHOUT_A_VALUE:
            extra = {"nargs": "?", "const": _WITHOUT_A_VALUE[name]}
        elif name in _SINGULAR:
            extra = {"action": "append"}
        group.addoption(
            option_name(name), dest=option_destination(name), default=None, metavar=metavar, help=description, **extra
        )
        kind: Literal["linelist", "string"] = "linelist" if name in _SINGULAR else "string"
        parser.addini(ini_name(name), f"{option_name(name)}: {description}", type=kind, default=None)


def read_settings(config: pytest.Config) -> Settings:
    """The settings of a pytest run; raises InvalidSettingError."""
    return load_settings(
        options={name: config.getoption(option_destination(name)) for name in setting_names()},
        # Releases of pytest before 8 know no "not given" but an empty list.
        ini={name: config.getini(ini_name(name)) or None for name in setting_names()},
        ini_directory=config.inipath.parent if config.inipath else None,
    )


@frozen
class GitHub:
    """What a job of GitHub Actions tells of itself: the checkout's directory, and the file of its summary."""

    workspace: Path | None = None
    step_summary: Path | None = None


def find_github(environment: Mapping[str, str] | None = None) -> GitHub | None:
    """None outside of such a job."""
    environment = os.environ if environment is None else environment
    if environment.get("GITHUB_ACTIONS") != "true":
        return None
    workspace, summary = environment.get("GITHUB_WORKSPACE"), environment.get("GITHUB_STEP_SUMMARY")
    return GitHub(Path(workspace) if workspace else None, Path(summary) if summary else None)
