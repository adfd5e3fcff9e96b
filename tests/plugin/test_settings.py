"""Options, environment and ini file of a run of pytest."""

from __future__ import annotations

import pytest

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
        (["--pods-timeout=soon"], "*--pods-timeout=soon: it has to be a time such as 90, 90s, 15m or 2h"),
        (["--pods-keep", "tests"], "*--pods-keep=tests: it has to be never, failed or always"),
    ],
)
def test_wrong_setting_ends_the_run_with_one_line(
    pytester: pytest.Pytester, arguments: list[str], told: str
) -> None:
    pytester.makepyfile(SHOW)
    result = pytester.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])
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


def test_help_has_a_section_of_its_own(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--help")
    result.stdout.fnmatch_lines(["containers (pytest-pods):", "*--pods-keep=[[]failed|always]*"])
    result.stdout.fnmatch_lines(["*pods_timeout (string)*"])
