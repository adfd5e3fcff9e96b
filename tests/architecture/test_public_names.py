"""The package's public names are what `__all__` lists, each of them is there, and nothing else leaks."""

from __future__ import annotations

import ast
import inspect

import pytest_pods
from tests.architecture.sources import PACKAGE


def test_every_listed_name_is_there() -> None:
    assert [name for name in pytest_pods.__all__ if getattr(pytest_pods, name, None) is None] == []


def test_list_is_sorted_and_has_no_name_twice() -> None:
    names = list(pytest_pods.__all__)
    assert len(names) == len(set(names))
    assert names == sorted(names, key=lambda name: (name.lower(), name)) or names == sorted(names)


def test_dir_offers_the_public_names() -> None:
    assert set(pytest_pods.__all__) <= set(dir(pytest_pods))


def test_names_that_the_type_checker_sees_are_the_public_ones() -> None:
    seen = set()
    for node in ast.parse((PACKAGE / "__init__.py").read_text("utf-8")).body:
        if isinstance(node, ast.If):
            for child in node.body:
                if isinstance(child, ast.ImportFrom | ast.Import):
                    seen |= {alias.asname or alias.name.rpartition(".")[2] for alias in child.names}
    assert {name for name in seen if not name.startswith("_")} <= {*pytest_pods.__all__, "Any"}


def test_every_public_class_and_function_says_what_it_is() -> None:
    public = [getattr(pytest_pods, name) for name in pytest_pods.__all__]
    silent = [
        thing.__name__
        for thing in public
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not inspect.getdoc(thing)
    ]
    assert silent == []


def test_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(pytest_pods, "no_such_name")
