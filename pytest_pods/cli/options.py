"""Reading a command's options, by the rules that users of Docker's and Podman's command lines have in their fingers.

Options stop at the image (`run IMAGE ls -l`), short ones combine (`-it`, `-p8080:80`), a value may begin with a dash,
switches take `=false`. The library's argparse can do a part of this, and importing it takes as long as Python's start.
"""

from __future__ import annotations

# Not from typing: this module is all that `pytest-pods version` needs beside itself.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


class UsageError(Exception):
    """The command line cannot be meant; `hint` says where to look."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Option:
    """One option. Without `value`, the word for it in the help, it is a switch."""

    __slots__ = ("choices", "flags", "help", "repeats", "value")

    def __init__(
        self, *flags: str, help: str, value: str | None = None, repeats: bool = False, choices: Sequence[str] = ()
    ) -> None:
        self.flags = flags
        self.value = value
        self.help = help
        self.repeats = repeats
        self.choices = tuple(choices)

    @property
    def name(self) -> str:
        """The long form, by which it is asked for."""
        return self.flags[-1]


class OptionGroup:
    """Options that stand together in the help, under a title."""

    __slots__ = ("options", "title")

    def __init__(self, title: str, *options: Option) -> None:
        self.title = title
        self.options = options


class Command:
    """What a command takes. `operands` are written as in the help (`CONTAINER...`), `least` and `most` count them."""

    __slots__ = ("examples", "groups", "least", "most", "operands", "stops_at_operand", "text")

    def __init__(
        self,
        operands: str = "",
        *groups: OptionGroup,
        least: int = 0,
        most: int | None = 0,
        stops_at_operand: bool = False,
        text: str = "",
        examples: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.operands = operands
        self.groups = groups
        self.least = least
        self.most = most
        self.stops_at_operand = stops_at_operand
        self.text = text
        self.examples = tuple(examples)


class Parsed:
    """What was given on the command line."""

    __slots__ = ("_values", "operands")

    def __init__(self, operands: Sequence[str], values: Mapping[str, list[str]]) -> None:
        self.operands = tuple(operands)
        self._values = values

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A switch; the last one counts."""
        values = self._values.get(name)
        return values[-1] == "true" if values else default

    def find(self, name: str) -> str | None:
        """An option's value, the last one if it was given several times."""
        values = self._values.get(name)
        return values[-1] if values else None

    def all(self, name: str) -> list[str]:
        """Every value of an option that repeats, in order."""
        return list(self._values.get(name, ()))


GLOBAL_OPTIONS = OptionGroup(
    "Global options",
    Option("--root", value="DIR", help="directory of the store (PYTEST_PODS_ROOT)"),
    Option("--session", value="ID", help="work in this session only; `pytest-pods sessions` lists them"),
    Option("--debug", help="show where an error comes from (PYTEST_PODS_DEBUG=1)"),
    Option("--help", help="show this help"),
)

_TRUE = frozenset({"true", "1", "t"})
_FALSE = frozenset({"false", "0", "f"})


def parse_arguments(name: str, command: Command, arguments: Sequence[str]) -> Parsed:
    """Reads what stands behind the command's name. Raises UsageError."""
    return _Reader(name, command).read(list(arguments))


class _Reader:
    def __init__(self, name: str, command: Command) -> None:
        self._name = name
        self._command = command
        self._options = {
            flag: option
            for group in (*command.groups, GLOBAL_OPTIONS)
            for option in group.options
            for flag in option.flags
        }
        # -h asks for help only where nothing else has the letter: it is the hostname for run.
        if "-h" not in self._options:
            self._options["-h"] = self._options["--help"]
        self._values: dict[str, list[str]] = {}

    def read(self, words: list[str]) -> Parsed:
        operands: list[str] = []
        while words:
            word = words.pop(0)
            if word == "--":
                operands += words
                break
            if word.startswith("--"):
                self._read_long(word, words)
            elif word.startswith("-") and word != "-":
                self._read_short(word, words)
            else:
                operands.append(word)
                if self._command.stops_at_operand:
                    operands += words
                    break
        if "--help" not in self._values:
            self._check(operands)
        return Parsed(operands, self._values)

    def _read_long(self, word: str, words: list[str]) -> None:
        flag, separator, value = word.partition("=")
        option = self._get(flag)
        if option.value is None:
            self._set_switch(option, value if separator else "true", flag)
        elif separator:
            self._set(option, value)
        else:
            self._set(option, self._next(flag, words))

    def _read_short(self, word: str, words: list[str]) -> None:
        letters = word[1:]
        while letters:
            flag, letters = f"-{letters[0]}", letters[1:]
            option = self._get(flag, within=word)
            if option.value is not None:
                self._set(option, letters.removeprefix("=") if letters else self._next(flag, words))
                return
            if letters.startswith("="):
                self._set_switch(option, letters[1:], flag)
                return
            self._set_switch(option, "true", flag)

    def _get(self, flag: str, *, within: str = "") -> Option:
        option = self._options.get(flag)
        if option is None:
            place = f" in {within}" if within and within != flag else ""
            near = _find_near(flag, self._options)
            self._fail(f"unknown option {flag}{place}", near=near)
        return option

    def _next(self, flag: str, words: list[str]) -> str:
        if not words:
            self._fail(f"option {flag} needs a value")
        return words.pop(0)

    def _set_switch(self, option: Option, value: str, flag: str) -> None:
        text = value.lower()
        if text not in _TRUE | _FALSE:
            self._fail(f"option {flag} is a switch: {value!r} is neither true nor false")
        self._values.setdefault(option.name, []).append("true" if text in _TRUE else "false")

    def _set(self, option: Option, value: str) -> None:
        if option.choices and value not in option.choices:
            self._fail(f"option {option.name}: {value!r} is none of {', '.join(option.choices)}")
        self._values.setdefault(option.name, []).append(value)

    def _check(self, operands: list[str]) -> None:
        command = self._command
        if len(operands) < command.least:
            self._fail(f"missing {command.operands.split()[len(operands)].strip('[].')}")
        if command.most is not None and len(operands) > command.most:
            self._fail(f"unexpected argument {operands[command.most]!r}")

    def _fail(self, message: str, *, near: str | None = None) -> NoReturn:
        hint = f"did you mean {near}?" if near else f"see pytest-pods {self._name} --help"
        raise UsageError(f"{message} (pytest-pods {self._name})", hint=hint)


def _find_near(flag: str, known: Mapping[str, Option]) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(flag, [name for name in known if name.startswith("--")], n=1)), None)


def build_help(name: str, summary: str, command: Command) -> str:
    """The text of `pytest-pods NAME --help`."""
    has_options = bool(command.groups)
    usage = " ".join(filter(None, ["pytest-pods", name, "[OPTIONS]" if has_options else "", command.operands]))
    parts = [f"Usage: {usage}", summary + (f"\n\n{command.text.strip()}" if command.text else "")]
    width = _find_width()
    parts += [_build_group(group, width) for group in (*command.groups, GLOBAL_OPTIONS)]
    if command.examples:
        lines = []
        for example, meaning in command.examples:
            lines += [f"  # {meaning}", f"  {example}"]
        parts.append("\n".join(["Examples:", *lines]))
    return "\n\n".join(parts) + "\n"


_HELP_COLUMN = 30
_WIDEST = 110


def _find_width() -> int:
    import os

    try:
        return max(_HELP_COLUMN + 20, min(_WIDEST, os.get_terminal_size(1).columns))
    except OSError:
        return _WIDEST


def _build_group(group: OptionGroup, width: int) -> str:
    import textwrap

    lines = [f"{group.title}:"]
    for option in group.options:
        short = ", ".join(flag for flag in option.flags if not flag.startswith("--"))
        long = ", ".join(flag for flag in option.flags if flag.startswith("--"))
        value = f" {option.value}" if option.value else ""
        left = f"  {short + ', ' if short else '    '}{long}{value}"
        text = option.help
        if option.choices:
            text += f" ({', '.join(option.choices)})"
        if option.repeats:
            text += " [may repeat]"
        wrapped = textwrap.wrap(text, width - _HELP_COLUMN)
        if len(left) + 2 > _HELP_COLUMN:
            lines.append(left)
            left = ""
        for line in wrapped:
            lines.append(f"{left:<{_HELP_COLUMN}}{line}")
            left = ""
    return "\n".join(lines)
