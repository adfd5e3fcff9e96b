"""Our frozen classes are dataclasses to whoever uses them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import asdict, field, fields, replace
from functools import cached_property

import pytest

from pytest_pods.frozen import frozen


@frozen
class Point:
    x: int
    y: int = 0
    note: str = field(default="", repr=False, compare=False)
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)


@frozen(kw_only=True)
class Named(Point):
    name: str = "here"


@frozen
class Nothing:
    pass


@frozen(slots=False)
class Doubled:
    x: int

    @cached_property
    def twice(self) -> list[int]:
        return [self.x, self.x]

    def __repr__(self) -> str:
        return "doubled"


def test_values_of_the_same_fields_are_equal_and_hash_alike() -> None:
    assert Point(1, 2, "a", {"k": "v"}) == Point(1, 2, "b")
    assert hash(Point(1, 2, "a", {"k": "v"})) == hash(Point(1, 2, "b"))
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())


def test_values_that_differ_in_a_field_or_their_class_are_not_equal() -> None:
    assert Point(1) != Point(2)
    assert Point(1) != Named(x=1)
    other: object = (1, 0)
    assert Point(1) != other


def test_representation_shows_the_fields_that_are_to_be_shown() -> None:
    assert repr(Point(1, note="secret")) == "Point(x=1, y=0, labels={})"
    assert repr(Nothing()) == "Nothing()"


def test_what_the_class_defines_itself_stays() -> None:
    value = Doubled(3)
    assert (repr(value), value.twice is value.twice) == ("doubled", True)


def test_dataclasses_knows_them() -> None:
    assert [one.name for one in fields(Named)] == ["x", "y", "note", "labels", "name"]
    assert asdict(Named(x=1)) == {"x": 1, "y": 0, "note": "", "labels": {}, "name": "here"}
    assert replace(Point(1, 2), x=5) == Point(5, 2)


def test_defaults_are_not_shared() -> None:
    assert Point(1).labels is not Point(1).labels


def test_copies_and_pickles_are_equal() -> None:
    value = Point(1, 2)
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value


def test_only_what_is_a_field_can_be_given() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        Point(1, z=2)  # type: ignore[call-arg]
    assert not hasattr(Point(1), "__dict__")
