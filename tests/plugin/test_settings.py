"""Options, environment and ini file of a run of pytest."""

from __future__ import annotations

from contextlib import suppress

import pytest

from pytest_pods import settings
from pytest_pods.engine.errors import InvalidSettingError

SHOW = """
from pytest_pods.fixtures.session import SETTINGS

def test_show(request):
    settings = request.config.stash[SETTINGS]
    print(f"{settings.keep} {settings.timeout} {settings.pull} {settings.root}")
"""


def test_option_comes_before_environment_before_ini(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(SHOW)
    pytester.makeini("[pytest]\npods_keep = failed\npods_timeout = 2m\npods_pull = never\npods_root = store\n")
    monkeypatch.setenv("PYTEST_PODS_TIMEOUT", "3m")
    monkeypatch.setenv("PYTEST_PODS_PULL", "always")
    result = pytester.runpytest("-s", "--pods-pull=newer")
    result.stdout.fnmatch_lines([f"*failed 180.0 newer {pytester.path / 'store'}*"])


@pytest.mark.parametrize(("option", "keep"), [("--pods-keep", "always"), ("--pods-keep=failed", "failed")])
def test_keep_without_a_value_means_always(pytester: pytest.Pytester, option: str, keep: str) -> None:
    pytester.makepyfile(SHOW)
    pytester.runpytest("-s", option).stdout.fnmatch_lines([f"*{keep} 60.0*"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--pods-timeout=soon"], ["*--pods-timeout=soon: it has to be a time such as 90, 90s, 15m or 2h"]),
        (
            ["--pods-keep", "tests"],
            [
                "*--pods-keep=tests: it has to be never, failed or always",
                "hint: write --pods-keep=always before a path, or --pods-keep behind it",
            ],
        ),
        (["--pods-reuse", "tests"], ["*", "hint: write --pods-reuse=true before a path, or --pods-reuse behind it"]),
    ],
)
def test_wrong_setting_ends_the_run_and_says_why(
    pytester: pytest.Pytester, arguments: list[str], told: list[str]
) -> None:
    pytester.makepyfile(SHOW)
    result = pytester.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(told)
    assert "Traceback" not in result.stderr.str()


def test_settings_reach_the_workers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from pytest_pods.fixtures.session import SETTINGS

        def test_one(request):
            assert request.config.stash[SETTINGS].timeout == 5.0
            assert request.config.stash[SETTINGS].insecure_registries == ("one.test", "two.test")
        """
    )
    registries = ["--pods-insecure-registry=one.test", "--pods-insecure-registry=two.test"]
    pytester.runpytest_subprocess("-n1", "--pods-timeout=5", *registries).assert_outcomes(passed=1)


def test_help_has_a_section_that_names_every_setting(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--help")
    result.stdout.fnmatch_lines(["containers (pytest-pods): each also as PYTEST_PODS_… *"])
    text = result.stdout.str()
    section = text[text.index("containers (pytest-pods)") :].partition("\n\n")[0]
    options = [line.split("=")[0].strip() for line in section.splitlines() if line.startswith("  --")]
    assert options == [settings.option_name(name) for name in settings.DESCRIPTIONS]
    assert set(settings.DESCRIPTIONS) == set(settings.setting_names())
    for name, (metavar, description) in settings.DESCRIPTIONS.items():
        assert metavar, name
        assert description[0].islower(), name
        assert not description.endswith("."), name
        assert description in " ".join(section.split()), name
        assert settings.ini_name(name) in text, name


CANDIDATES = (
    *("missing", "always", "newer", "never", "failed", "fail", "skip", "all", "none", "live", "true", "false", "auto"),
    *("7", "8", "9", "1h", "2h", "3h", "/one", "/two", "/three", "a=1", "b=2", "c=3", "one_", "two_", "three_"),
)
"""Texts of which each setting takes some; a setting that takes less than two of them wants its own here."""

SHOW_ALL = """
import dataclasses
from pytest_pods.fixtures.session import SETTINGS

def test_show(request):
    for field in dataclasses.fields(request.config.stash[SETTINGS]):
        print("SET", field.name, getattr(request.config.stash[SETTINGS], field.name))
"""


def find_values(name: str) -> tuple[str, str]:
    """Two texts that mean two values of the setting."""
    values: dict[object, str] = {}
    for text in CANDIDATES:
        with suppress(InvalidSettingError):
            # What counts from a variable of the environment counts everywhere.
            found = settings.load_settings(environment={settings.variable_name(name): text})
            values.setdefault(getattr(found, name), text)
    values.pop(getattr(settings.Settings(), name), None)
    first, *others = values.values()
    return first, next(iter(others), first)


def show_value(name: str, text: str) -> str:
    return f"SET {name} {getattr(settings.load_settings(options={name: text}, environment={}), name)}"


@pytest.mark.parametrize(
    ("first", "second"),
    [("option", "environment"), ("environment", "ini"), ("option", "ini")],
    ids=lambda place: str(place),
)
def test_each_setting_is_taken_from_the_first_place_that_has_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    pytester.makepyfile(SHOW_ALL)
    chosen = {name: find_values(name) for name in settings.setting_names()}
    arguments: list[str] = []
    for number, place in enumerate((first, second)):
        texts = {name: pair[number] for name, pair in chosen.items()}
        if place == "option":
            arguments = [f"{settings.option_name(name)}={text}" for name, text in texts.items()]
        elif place == "environment":
            for name, text in texts.items():
                monkeypatch.setenv(settings.variable_name(name), text)
        else:
            lines = [f"{settings.ini_name(name)} = {text}" for name, text in texts.items()]
            pytester.makeini("\n".join(["[pytest]", *lines]))
    result = pytester.runpytest("-s", *arguments)
    result.assert_outcomes(passed=1)
    shown = [line[line.index("SET ") :] for line in result.outlines if "SET " in line]
    assert shown == [show_value(name, pair[0]) for name, pair in chosen.items()]


@pytest.mark.parametrize("name", settings.setting_names())
def test_argument_comes_before_the_command_line(name: str) -> None:
    first, second = find_values(name)
    both = settings.load_settings(arguments={name: first}, options={name: second}, environment={})
    assert both == settings.load_settings(arguments={name: first}, environment={})


@pytest.mark.parametrize("name", settings.setting_names())
def test_default_holds_where_nothing_is_set(name: str) -> None:
    assert getattr(settings.load_settings(environment={}), name) == getattr(settings.Settings(), name)
