"""Every command that the help lists is there, explains itself, and stands on its own."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

from pytest_pods.cli.main import GROUPS, HIDDEN, VERBS, main
from pytest_pods.cli.options import build_help
from pytest_pods.cli.version import VERSION

LISTED = [name for group in GROUPS.values() for name in group]
NOUNS = {"image", *VERBS}
NAMES = [*(name for name in LISTED if name not in NOUNS), *(f"{noun} {verb}" for noun in VERBS for verb in VERBS[noun])]
REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("name", NAMES)
def test_command_explains_itself_within_a_line_of_a_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"Usage: pytest-pods {name}")
    assert max(len(line) for line in printed.splitlines()) <= 120
    module = importlib.import_module(f"pytest_pods.cli.commands.{_module_of(name)}")
    assert build_help(name, "", module.COMMAND)


def _module_of(name: str) -> str:
    return name.replace(" ", ".") + ("_" if name.endswith(" import") else "")


def test_every_module_of_a_command_is_listed() -> None:
    directory = REPOSITORY / "pytest_pods/cli/commands"
    files = {path.relative_to(directory).with_suffix("") for path in directory.rglob("*.py")}
    assert {".".join(path.parts) for path in files if path.name != "__init__"} == {
        *map(_module_of, NAMES),
        *(name.replace("-", "_") for name in HIDDEN),
    }


def test_every_noun_with_verbs_is_listed() -> None:
    assert set(VERBS) <= set(LISTED)


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
@pytest.mark.parametrize("noun", sorted(VERBS))
def test_noun_lists_its_verbs_with_what_they_do(
    noun: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([noun, *words]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"Usage: pytest-pods {noun} COMMAND")
    assert all(f"\n  {verb:<12}{summary}\n" in printed for verb, summary in VERBS[noun].items())


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_all_commands_in_groups(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {name} " in printed for name in LISTED)
    assert all(f"\n{title}:" in printed for title in GROUPS)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["image", "ls", "--help"], "images"),
        (["image", "inspect", "--help"], "inspect"),
        (["container", "ls", "--help"], "ps"),
        (["container", "run", "--help"], "run"),
        (["--root", "/x", "help", "ps"], "ps"),
        (["help", "logs"], "logs"),
        (["image", "--help"], "image COMMAND"),
        (["help", "container"], "container COMMAND"),
    ],
)
def test_nouns_lead_to_the_same_commands(words: list[str], command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out.startswith(f"Usage: pytest-pods {command} ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["rum"], "unknown command 'rum'", id="command"),
        pytest.param(["image", "foo"], "unknown command 'image foo'", id="verb of a noun"),
        pytest.param(["image"], "unknown command 'image'", id="noun alone"),
        pytest.param(["--wrong"], "unknown option --wrong", id="option in front"),
        pytest.param(["--root"], "option --root needs a value", id="value in front"),
        pytest.param(["ps", "--wrong"], "unknown option --wrong", id="option"),
        pytest.param(["run"], "missing IMAGE", id="operand"),
    ],
)
def test_wrong_use_is_an_error_with_a_hint(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 125
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Error: ")
    assert message in printed.err
    assert "\nhint: " in printed.err


def test_typo_of_a_command_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["inspekt"])
    assert "hint: did you mean inspect?" in capsys.readouterr().err


def test_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    for words in (["version"], ["--version"]):
        assert main(words) == 0
        assert capsys.readouterr().out == f"pytest-pods {VERSION}\n"
