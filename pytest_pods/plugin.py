"""The hooks that pytest calls; each delegates. Works with pytest 7.4 and later.

It is loaded in every run of pytest, also where no test uses a container: it imports nothing of the engine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

import pytest

from pytest_pods import settings as pods_settings
from pytest_pods.fixtures.diagnostics import is_following
from pytest_pods.fixtures.registration import build_fixtures
from pytest_pods.fixtures.session import OWNER, SETTINGS, WORKER_INPUT
from pytest_pods.markers.collection import mark_engine_tests, refuse_wrong_marks
from pytest_pods.markers.definitions import LINES
from pytest_pods.markers.parametrising import find_wanted_fixtures, parametrize_images

if TYPE_CHECKING:
    from pytest_pods.fixtures.controller import Controller
    from pytest_pods.report.outcome import Outcome

_OUTCOMES: pytest.StashKey[list[Outcome]] = pytest.StashKey()
_RESTORE: pytest.StashKey[Callable[[], None]] = pytest.StashKey()
_WORKER_OUTPUT = "pytest_pods"


def pytest_addoption(parser: pytest.Parser) -> None:
    pods_settings.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_pods import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    for line in LINES:
        config.addinivalue_line("markers", line)
    try:
        config.stash[SETTINGS] = pods_settings.read_settings(config)
    except Exception as error:
        from pytest_pods.engine.errors import InvalidSettingError

        if isinstance(error, InvalidSettingError):
            raise pytest.UsageError(f"pytest-pods: {error}") from error
        raise
    config.pluginmanager.register(build_fixtures(config.stash[SETTINGS]), "pytest-pods fixtures")
    config.stash[_OUTCOMES] = []
    if config.stash[SETTINGS].logs == "live":
        from pytest_pods.fixtures.live import start_live

        start_live(config)
    config.pluginmanager.register(_Colours(), "pytest-pods colours")
    config.pluginmanager.register(_ColoursEnd(), "pytest-pods end of colours")


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> Generator[None, object, object]:
    wanted = find_wanted_fixtures(collector, name, obj)
    if not wanted:
        return (yield)
    # pytest reads this mark while it makes the tests of the function; those of other functions do not have it.
    collector.own_markers.append(pytest.mark.usefixtures(*wanted).mark)
    try:
        return (yield)
    finally:
        collector.own_markers.pop()


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # Last, so that images stand behind the test's own parameters.
    parametrize_images(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # First, so that -m sees the marks, and wrong marks are found in tests that -k leaves out.
    refuse_wrong_marks(items, config.stash[SETTINGS])
    if mark_engine_tests(items):
        from pytest_pods.fixtures.diagnostics import ensure_following

        ensure_following(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    if is_following(session.config):
        from pytest_pods.fixtures.lookahead_hooks import start_looking_ahead

        start_looking_ahead(session)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    # Last, so that pytest has torn down all fixtures, also after Ctrl-C; xdist takes the worker's output after this.
    outcome = _close(session.config) or _close_shared(session.config)
    if outcome is None:
        return
    worker_output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if worker_output is not None:
        worker_output[_WORKER_OUTPUT] = outcome.to_text()
    elif outcome.faults and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    from pytest_pods.fixtures.controller import invite

    config: pytest.Config = getattr(node, "config")  # noqa: B009
    worker_input: dict[str, object] = getattr(node, "workerinput")  # noqa: B009
    worker_input[WORKER_INPUT] = invite(config, config.stash[SETTINGS]).to_document()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    output = getattr(node, "workeroutput", None) or {}
    config: pytest.Config = getattr(node, "config")  # noqa: B009
    if _WORKER_OUTPUT in output:
        from pytest_pods.report.outcome import Outcome

        config.stash[_OUTCOMES].append(Outcome.from_text(output[_WORKER_OUTPUT]))
    controller = _find_controller(config)
    if controller is not None:
        controller.worker_gone()


class _Colours:
    """Colours what is to be seen of containers before pytest writes its reports to a terminal."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> Generator[None, None, None]:
        if config.stash[_OUTCOMES]:
            from pytest_pods.report.terminal import colour_reports

            config.stash[_RESTORE] = colour_reports(terminalreporter)
        return (yield)


class _ColoursEnd:
    """Takes the colours back as soon as they were seen, since the reports are others' too."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, config: pytest.Config) -> None:
        config.stash.get(_RESTORE, lambda: None)()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    outcomes = config.stash[_OUTCOMES]
    # Workers of xdist have a terminal too, which nobody sees; what is written to files is the controller's to write.
    if not outcomes or hasattr(config, "workerinput"):
        return
    from pytest_pods.report.outcome import merge_outcomes
    from pytest_pods.report.terminal import write_for_github, write_summary

    outcome = merge_outcomes(outcomes)
    write_summary(terminalreporter, outcome, config.stash[SETTINGS])
    github = pods_settings.find_github()
    if github is not None:
        write_for_github(terminalreporter, outcome, github)


def pytest_unconfigure(config: pytest.Config) -> None:
    # Where there was no end of the session: an internal error, or pytest used as a library.
    _close(config)
    _close_shared(config)


def _find_controller(config: pytest.Config) -> Controller | None:
    # Not imported where no worker was ever configured.
    module = sys.modules.get("pytest_pods.fixtures.controller")
    found: Controller | None = None if module is None else config.stash.get(module.CONTROLLER, None)
    return found


def _close_shared(config: pytest.Config) -> Outcome | None:
    """Ends what this process, a controller of xdist, has owned for its workers."""
    controller = _find_controller(config)
    if controller is None:
        return None
    from pytest_pods.fixtures.controller import CONTROLLER

    del config.stash[CONTROLLER]
    outcome = controller.close()
    if outcome is not None:
        config.stash[_OUTCOMES].append(outcome)
    return outcome


def _close(config: pytest.Config) -> Outcome | None:
    owner = config.stash.get(OWNER, None)
    if owner is None:
        return None
    del config.stash[OWNER]
    outcome = owner.close()
    config.stash[_OUTCOMES].append(outcome)
    return outcome
