"""`--format`: `json`, or a template in the manner of Docker's, of which the part that people use is understood.

`{{.Name}}`, `{{.State.Status}}`, `{{json .Config.Env}}`, `{{len .Mounts}}`, `{{index .Config.Labels "key"}}`,
`table {{.ID}}\\t{{.Names}}`, `\\t` and `\\n`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_pods.cli.options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_pods.cli.context import Context
    from pytest_pods.cli.options import Parsed

_PLACEHOLDER = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_EXPRESSION = re.compile(
    r"(?:(?P<function>json|len|lower|upper|println)\s+)?(?P<path>\.(?:[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*)?)\Z"
)
_INDEX = re.compile(r'index\s+(?P<path>\.[\w.]*)\s+(?P<key>"(?:[^"\\]|\\.)*"|\d+)\Z')


def print_formatted(format: str, document: Mapping[str, Any]) -> None:
    """One document, in the given format."""
    from pytest_pods.cli.output import print_json, print_lines

    if format == "json":
        print_json(document)
    else:
        print_lines([render(parse_template(format), document)])


def print_all_formatted(
    format: str, documents: Sequence[Mapping[str, Any]], *, rows: Sequence[Mapping[str, Any]] | None = None
) -> None:
    """A list: an array for `json`, a line each for a template, a table with headers for `table …`.

    `rows` has what templates speak of, where that is something else than the documents.
    """
    from pytest_pods.cli.output import print_json, print_lines, print_table

    rows = documents if rows is None else rows
    if format == "json":
        print_json(list(documents))
        return
    word, _, rest = format.partition(" ")
    if word != "table" or not rest:
        template = parse_template(format)
        print_lines([render(template, row) for row in rows])
        return
    columns = [parse_template(column) for column in _unescape(rest).split("\t")]
    print_table([_header(column) for column in columns], [[render(one, row) for one in columns] for row in rows])


def print_inspections(parsed: Parsed, context: Context, find: Callable[[str], Mapping[str, Any]]) -> int:
    """The documents of all operands, past the faults: one array, or with `--format` what a template makes of each."""
    from pytest_pods.cli.output import print_json, print_line

    format = parsed.find("--format") or "json"
    template = None if format == "json" else parse_template(format)
    documents: list[Mapping[str, Any]] = []
    code = context.for_each(parsed.operands, lambda name: documents.append(find(name)))
    if template is None:
        print_json(documents)
        return code
    for document in documents:
        print_line(render(template, document))
    return code


def print_listing(
    parsed: Parsed,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    *,
    documents: Callable[[], Sequence[Mapping[str, Any]]],
    colours: dict[str, str] | None = None,
) -> int:
    """A table of `columns`, key → header, or what `--format` asks for; `documents` are made for that only."""
    from pytest_pods.cli.output import print_table

    format = parsed.find("--format") or "table"
    if format == "table":
        print_table([*columns.values()], [[row[column] for column in columns] for row in rows], colours=colours)
    else:
        print_all_formatted(format, documents(), rows=rows)
    return 0


Piece = str | Callable[[Mapping[str, Any]], str]


def parse_template(text: str) -> list[Piece]:
    """Texts and placeholders in order. Raises UsageError for what is not understood."""
    pieces: list[Piece] = []
    end = 0
    text = _unescape(text)
    for match in _PLACEHOLDER.finditer(text):
        pieces += [text[end : match.start()], _parse_expression(match[1])]
        end = match.end()
    rest = text[end:]
    if "{{" in rest:
        raise UsageError(f"the template has a {{{{ that is not closed: {text!r}")
    return [piece for piece in [*pieces, rest] if piece != ""]


def render(template: Sequence[Piece], document: Mapping[str, Any]) -> str:
    return "".join(piece if isinstance(piece, str) else piece(document) for piece in template)


class _Expression:
    def __init__(self, text: str, path: str, convert: Callable[[Any], str]) -> None:
        self.text = text
        self.path = [part for part in path.split(".") if part]
        self._convert = convert

    def __call__(self, document: Mapping[str, Any]) -> str:
        value: Any = document
        for depth, part in enumerate(self.path):
            if not isinstance(value, Mapping) or part not in value:
                where = "." + ".".join(self.path[:depth])
                known = ", ".join(value) if isinstance(value, Mapping) else "nothing below it"
                raise UsageError(f"template: there is no {part!r} in {where}", hint=f"there is: {known}")
            value = value[part]
        return self._convert(value)


def _parse_expression(text: str) -> _Expression:
    if match := _INDEX.match(text):
        key: Any = int(match["key"]) if match["key"].isdigit() else _parse_string(match["key"])

        def pick(value: Any) -> str:
            try:
                return to_text(value[key])
            except (KeyError, IndexError):
                return ""

        return _Expression(text, match["path"], pick)
    match = _EXPRESSION.match(text)
    if match is None:
        raise UsageError(
            f"the template's {{{{{text}}}}} is not understood",
            hint='it may have {{.Field}}, {{.A.B}}, {{json .Field}}, {{len .Field}} and {{index .Field "key"}}',
        )
    return _Expression(text, match["path"], _FUNCTIONS[match["function"] or ""])


def _parse_string(text: str) -> str:
    import json

    return str(json.loads(text))


def to_text(value: Any) -> str:
    """A value as Docker's templates print it; lists and mappings, where Go's form helps nobody, as JSON."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | Mapping):
        return _to_json(value)
    return str(value)


def _to_json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))


_FUNCTIONS: Mapping[str, Callable[[Any], str]] = {
    "": to_text,
    "json": _to_json,
    "len": lambda value: str(len(value)),
    "lower": lambda value: to_text(value).lower(),
    "upper": lambda value: to_text(value).upper(),
    "println": lambda value: to_text(value) + "\n",
}


def _unescape(text: str) -> str:
    return text.replace("\\t", "\t").replace("\\n", "\n")


def _header(column: Sequence[Piece]) -> str:
    names = [piece.path[-1] for piece in column if isinstance(piece, _Expression) and piece.path]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", names[0]) if names else "".join(str(piece) for piece in column)
    return words.upper()
