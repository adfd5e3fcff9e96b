"""Options are read as Docker's users write them; what cannot be meant is refused with the way out."""

from __future__ import annotations

import pytest

from pytest_pods.cli.options import Command, Option, OptionGroup, UsageError, build_help, parse_arguments

COMMAND = Command(
    "IMAGE [COMMAND...]",
    OptionGroup(
        "Options",
        Option("-i", "--interactive", help="input"),
        Option("-t", "--tty", help="terminal"),
        Option("--rm", help="remove"),
        Option("-e", "--env", value="NAME=VALUE", repeats=True, help="variable"),
        Option("-p", "--publish", value="PORT", repeats=True, help="port"),
        Option("--pull", value="WHEN", help="when", choices=("always", "never")),
    ),
    least=1,
    most=None,
    stops_at_operand=True,
    examples=[("pytest-pods run busybox", "an example")],
)
FREE = Command("NAME...", OptionGroup("Options", Option("-f", "--force", help="force")), least=1, most=2)


def test_options_stop_at_the_first_operand_where_a_command_follows() -> None:
    parsed = parse_arguments("run", COMMAND, ["--rm", "image", "ls", "-it", "--rm=false", "--", "-e"])
    assert parsed.operands == ("image", "ls", "-it", "--rm=false", "--", "-e")
    assert parsed.flag("--rm")
    assert not parsed.flag("--tty")


def test_options_may_stand_behind_operands_elsewhere() -> None:
    parsed = parse_arguments("rm", FREE, ["one", "-f", "two"])
    assert parsed.operands == ("one", "two")
    assert parsed.flag("--force")


def test_two_dashes_end_the_options() -> None:
    assert parse_arguments("rm", FREE, ["--", "-f", "--x"]).operands == ("-f", "--x")


@pytest.mark.parametrize("words", [["-it"], ["-i", "-t"], ["--interactive", "--tty"], ["-ti"], ["--tty=true", "-i=1"]])
def test_short_switches_combine(words: list[str]) -> None:
    parsed = parse_arguments("run", COMMAND, [*words, "image"])
    assert parsed.flag("--interactive")
    assert parsed.flag("--tty")


@pytest.mark.parametrize(
    ("words", "value"),
    [
        pytest.param(["-e", "A=b"], "A=b", id="next word"),
        pytest.param(["-eA=b"], "A=b", id="joined"),
        pytest.param(["-e=A=b"], "A=b", id="short with an equals sign"),
        pytest.param(["--env=A=b"], "A=b", id="long with an equals sign"),
        pytest.param(["--env", "-A"], "-A", id="value with a dash"),
        pytest.param(["-ite", "A=b"], "A=b", id="behind switches"),
        pytest.param(["--env="], "", id="empty"),
    ],
)
def test_values_in_every_form(words: list[str], value: str) -> None:
    parsed = parse_arguments("run", COMMAND, [*words, "image"])
    assert parsed.all("--env") == [value]
    assert parsed.operands == ("image",)


def test_values_that_repeat_keep_their_order_and_the_last_one_counts() -> None:
    parsed = parse_arguments("run", COMMAND, ["-p", "1", "--publish=2", "-p3", "image"])
    assert parsed.all("--publish") == ["1", "2", "3"]
    assert parsed.find("--publish") == "3"
    assert parsed.find("--pull") is None


def test_switch_can_be_turned_off_again() -> None:
    assert not parse_arguments("run", COMMAND, ["--rm", "--rm=false", "image"]).flag("--rm")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        pytest.param(["--interactiv", "image"], "unknown option --interactiv", "mean --interactive?", id="typo"),
        pytest.param(["-ix", "image"], "unknown option -x in -ix", "see pytest-pods run --help", id="letter"),
        pytest.param(["--env"], "option --env needs a value", "see pytest-pods run --help", id="no value"),
        pytest.param(["--rm=perhaps", "image"], "neither true nor false", "see", id="switch"),
        pytest.param(["--pull", "sometimes", "image"], "'sometimes' is none of always, never", "see", id="choice"),
        pytest.param([], "missing IMAGE", "see", id="too few"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError, match="pytest-pods run") as caught:
        parse_arguments("run", COMMAND, words)
    assert message in str(caught.value)
    assert hint in (caught.value.hint or "")


def test_too_many_operands_are_refused() -> None:
    with pytest.raises(UsageError, match="unexpected argument 'c'"):
        parse_arguments("rm", FREE, ["a", "b", "c"])


def test_help_is_reached_without_operands_and_by_its_letter() -> None:
    assert parse_arguments("run", COMMAND, ["--help"]).flag("--help")
    assert parse_arguments("rm", FREE, ["-h"]).flag("--help")


def test_help_names_every_option_with_its_forms_value_and_choices() -> None:
    text = build_help("run", "run something", COMMAND)
    assert text.startswith("Usage: pytest-pods run [OPTIONS] IMAGE [COMMAND...]\n\nrun something\n")
    assert "  -e, --env NAME=VALUE" in text
    assert "(always, never)" in text
    assert "[may repeat]" in text
    assert "  # an example\n  pytest-pods run busybox\n" in text
    assert "Global options:" in text
