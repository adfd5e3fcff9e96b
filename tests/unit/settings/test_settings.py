"""Where a setting comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_pods import settings
from pytest_pods.engine.errors import InvalidSettingError
from pytest_pods.engine.specs.container import PullPolicy
from pytest_pods.settings import GitHub, Settings, find_github, load_settings


def test_defaults_hold_where_nothing_is_set() -> None:
    assert load_settings(environment={}) == Settings()


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        pytest.param({"ini": {"timeout": "1"}}, 1.0, id="ini"),
        pytest.param({"ini": {"timeout": "1"}, "environment": {"PYTEST_PODS_TIMEOUT": "2"}}, 2.0, id="environment"),
        pytest.param(
            {"ini": {"timeout": "1"}, "environment": {"PYTEST_PODS_TIMEOUT": "2"}, "options": {"timeout": "3"}},
            3.0,
            id="option",
        ),
        pytest.param({"options": {"timeout": "3"}, "arguments": {"timeout": 4}}, 4.0, id="argument"),
        pytest.param({"options": {"timeout": None}, "ini": {"timeout": "1"}}, 1.0, id="option-not-given"),
        pytest.param({"environment": {"PYTEST_PODS_TIMEOUT": ""}, "ini": {"timeout": "1"}}, 1.0, id="empty-variable"),
    ],
)
def test_first_of_argument_option_environment_and_ini_counts(layers: dict[str, Any], expected: float) -> None:
    assert load_settings(**{"environment": {}, **layers}).timeout == expected


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0), ("1d", 86400.0), (5, 5.0)]
)
def test_time_is_read_with_and_without_unit(text: object, seconds: float) -> None:
    assert load_settings(options={"keep_for": text}, environment={}).keep_for == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-3", "3x", "nan", "inf", "s", "1e99", "0.5"])
def test_time_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettingError, match="--pods-keep-for"):
        load_settings(options={"keep_for": text}, environment={})


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ({"options": {"pull": "sometimes"}}, "--pods-pull=sometimes"),
        ({"environment": {"PYTEST_PODS_PULL": "sometimes"}}, "PYTEST_PODS_PULL=sometimes"),
        ({"ini": {"pull": "sometimes"}}, "pods_pull=sometimes"),
        ({"arguments": {"pull": "sometimes"}}, "pull=sometimes"),
    ],
)
def test_refusal_names_the_place_and_what_is_allowed(layers: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        load_settings(**{"environment": {}, **layers})
    assert caught.value.brief == f"{named}: it has to be missing, always, newer or never"


def test_relative_root_counts_from_working_directory_or_ini_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ini_directory = Path("/somewhere/project")
    assert load_settings(options={"root": "store"}, environment={}).root == tmp_path / "store"
    ini = load_settings(ini={"root": "store"}, environment={}, ini_directory=ini_directory)
    assert ini.root == ini_directory / "store"


def test_relative_root_in_environment_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="PYTEST_PODS_ROOT=store: it has to be an absolute path"):
        load_settings(environment={"PYTEST_PODS_ROOT": "store"})


def test_registries_are_read_from_lists_and_from_texts() -> None:
    expected = ("one.test:5000", "two.test")
    assert load_settings(options={"insecure_registries": [*expected]}, environment={}).insecure_registries == expected
    environment = {"PYTEST_PODS_INSECURE_REGISTRIES": "one.test:5000, two.test"}
    assert load_settings(environment=environment).insecure_registries == expected


def test_pull_policy_is_the_engines() -> None:
    assert load_settings(options={"pull": "never"}, environment={}).pull_policy is PullPolicy.NEVER


def test_every_setting_has_parser_and_description() -> None:
    assert set(settings.setting_names()) == set(settings._PARSERS) == set(settings.DESCRIPTIONS)


@pytest.mark.parametrize(
    "value", ["redis=redis:6,app:1=app@sha256:00", "redis=redis:6 app:1=app@sha256:00",
              ["redis = redis:6", "app:1=app@sha256:00"]]
)
def test_images_are_read_from_text_and_list(value: object) -> None:
    expected = (("redis", "redis:6"), ("app:1", "app@sha256:00"))
    assert load_settings(ini={"images": value}, environment={}).images == expected


@pytest.mark.parametrize("value", ["redis", "=redis", "redis=", 7])
def test_image_without_name_or_replacement_is_refused(value: object) -> None:
    with pytest.raises(InvalidSettingError, match=r"--pods-image=.*an image and its replacement"):
        load_settings(options={"images": value}, environment={})


@pytest.mark.parametrize(("text", "number"), [("0", 0), (" 10 ", 10), (3, 3)])
def test_number_of_durations_is_read(text: object, number: int) -> None:
    assert load_settings(options={"durations": text}, environment={}).durations == number


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "٣"])
def test_number_of_durations_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettingError, match=r"--pods-durations=.*a number such as 10, or 0 for all"):
        load_settings(options={"durations": text}, environment={})


def test_logs_are_of_failed_tests_unless_another_of_four_words_is_given() -> None:
    assert Settings().logs == "failed"
    assert load_settings(environment={"PYTEST_PODS_LOGS": "live"}).logs == "live"
    with pytest.raises(InvalidSettingError, match="it has to be failed, all, none or live"):
        load_settings(environment={"PYTEST_PODS_LOGS": "some"})


@pytest.mark.parametrize(
    ("environment", "github"),
    [
        ({}, None),
        ({"GITHUB_ACTIONS": "false", "GITHUB_WORKSPACE": "/w"}, None),
        ({"GITHUB_ACTIONS": "true"}, GitHub()),
        (
            {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/w", "GITHUB_STEP_SUMMARY": "/s.md"},
            GitHub(Path("/w"), Path("/s.md")),
        ),
    ],
)
def test_job_of_github_is_known_by_its_variables(environment: dict[str, str], github: GitHub | None) -> None:
    assert find_github(environment) == github
