"""Our frozen classes are dataclasses to whoever uses them."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
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


def test_signature_is_that_of_the_fields_before_and_after_the_first_value() -> None:
    @frozen
    class Fresh:
        x: int
        note: str = "none"

    class Child(Fresh):
        pass

    for _ in range(2):
        assert str(inspect.signature(Fresh)) == "(x: 'int', note: 'str' = 'none') -> None"
        assert str(inspect.signature(Child)) == str(inspect.signature(Fresh))
        assert (Fresh(1), Child(2, note="a").note) == (Fresh(1, "none"), "a")


def test_step_after_the_fields_are_set_is_taken_each_time() -> None:
    @frozen
    class Positive:
        x: int

        def __post_init__(self) -> None:
            if self.x < 1:
                raise ValueError(self.x)

    for wrong in (0, -1):
        with pytest.raises(ValueError, match=str(wrong)):
            Positive(wrong)
    assert Positive(1).x == 1


def test_keywords_alone_are_taken_where_that_is_asked_for() -> None:
    with pytest.raises(TypeError, match="positional argument"):
        Named(1, 2, "note", {}, "name")  # type: ignore[call-arg]
    assert Named(1, name="there") == Named(1, 0, name="there")


def test_many_threads_may_make_the_first_value() -> None:
    @frozen
    class Shared:
        x: int
        y: list[int] = field(default_factory=list)

    with ThreadPoolExecutor(8) as pool:
        made = [*pool.map(Shared, range(200))]
    assert [one.x for one in made] == [*range(200)]
    assert len({id(one.y) for one in made}) == 200


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
