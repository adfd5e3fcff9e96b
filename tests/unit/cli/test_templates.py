"""Templates give what Docker's give, for the part of the language that is understood, and refuse the rest."""

from __future__ import annotations

import json

import pytest

from pytest_pods.cli.options import UsageError
from pytest_pods.cli.templates import parse_template, print_all_formatted, print_formatted, render

DOCUMENT = {"ID": "abc", "On": True, "None": None, "State": {"Code": 3}, "Env": ["A=b"], "Labels": {"a.b": "c"}}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.ID}}", "abc"),
        ("{{ .ID }}-{{.State.Code}}", "abc-3"),
        ("{{.On}} {{.None}}", "true <no value>"),
        ("{{json .Env}}", '["A=b"]'),
        ("{{json .}}", json.dumps(DOCUMENT, separators=(",", ":"))),
        ("{{len .Env}}", "1"),
        ("{{upper .ID}}{{lower .ID}}", "ABCabc"),
        ('{{index .Labels "a.b"}}', "c"),
        ('{{index .Labels "x"}}', ""),
        ("{{index .Env 0}}", "A=b"),
        (r"a\t{{.ID}}\n", "a\tabc\n"),
        ("plain", "plain"),
    ],
)
def test_template_renders(template: str, text: str) -> None:
    assert render(parse_template(template), DOCUMENT) == text


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{.Nothing}}", "there is no 'Nothing'"),
        ("{{.ID.Below}}", "there is no 'Below' in .ID"),
        ("{{range .Env}}x{{end}}", "not understood"),
        ("{{.ID", "not closed"),
    ],
)
def test_what_is_not_there_or_not_understood_is_refused(template: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        render(parse_template(template), DOCUMENT)


def test_list_as_json_is_an_array_as_template_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_all_formatted("json", [DOCUMENT])
    assert json.loads(capsys.readouterr().out) == [DOCUMENT]
    print_all_formatted("json", [])
    assert capsys.readouterr().out == "[]\n"
    print_all_formatted("{{.ID}}", [DOCUMENT, DOCUMENT])
    assert capsys.readouterr().out == "abc\nabc\n"


def test_table_has_headers_from_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    print_all_formatted(r"table {{.ID}}\t{{.State.Code}}", [DOCUMENT])
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["ID", "CODE"], ["abc", "3"]]


def test_document_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_formatted("json", DOCUMENT)
    assert json.loads(capsys.readouterr().out) == DOCUMENT
