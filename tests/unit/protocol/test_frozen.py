"""What a dataclass of ours promises beside the standard one, of which it is the same."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from inspect import signature
from pprint import pformat
from typing import Any

import pytest

from mcp_client_auth.protocol import frozen


@frozen.dataclass(frozen=True, slots=True)
class Ours:
    """Of two."""

    x: int
    y: int = 2
    seen: list[int] = dataclasses.field(default_factory=list)
    aside: str = dataclasses.field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("below")

    @property
    def sum(self) -> int:
        return self.x + self.y


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    """Of two."""

    x: int
    y: int = 2
    seen: list[int] = dataclasses.field(default_factory=list)
    aside: str = dataclasses.field(default="", compare=False)


@frozen.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 2


@frozen.dataclass(frozen=True, slots=True)
class Other:
    x: int
    y: int = 2


@frozen.dataclass(frozen=True, slots=True)
class Origin:
    """Of no fields."""


class OursBelow(Ours):
    """Of two."""


class TheirsBelow(Theirs):
    """Of two."""


@dataclasses.dataclass(frozen=True)
class OursWithMore(Ours):
    """Of two."""

    more: int = dataclasses.field(default=0, kw_only=True)


@dataclasses.dataclass(frozen=True)
class TheirsWithMore(Theirs):
    """Of two."""

    more: int = dataclasses.field(default=0, kw_only=True)


class OursOfOne(Ours):
    """Of two."""

    def __init__(self, given: float) -> None:
        super().__init__(round(given))


class TheirsOfOne(Theirs):
    """Of two."""

    def __init__(self, given: float) -> None:
        super().__init__(round(given))


PAIRS: list[tuple[Any, Any]] = [(Ours, Theirs), (OursBelow, TheirsBelow)]
BELOW: list[tuple[Any, Any]] = [(OursWithMore, TheirsWithMore), (OursOfOne, TheirsOfOne)]
TOLD: dict[str, Callable[[Any], object]] = {
    "repr": lambda kind: repr(kind(1, aside="x")).replace(kind.__name__, ""),
    "pprint": lambda kind: pformat(kind(1)).replace(kind.__name__, ""),
    "eq": lambda kind: kind(1) == kind(y=2, x=1) == kind(1, 2, [], "aside") != kind(2),
    "asdict": lambda kind: dataclasses.asdict(kind(1, 3, [4], "x")),
    "replace": lambda kind: dataclasses.astuple(dataclasses.replace(kind(1), y=3, aside="x")),
    "ours": lambda kind: dataclasses.astuple(frozen.replace(kind(1), y=3, aside="x")),
    "fields": lambda kind: [(f.name, f.type, f.compare) for f in dataclasses.fields(kind)],
    "is_dataclass": lambda kind: [dataclasses.is_dataclass(each) for each in (kind, kind(1))],
    "signature": signature,
    "params": lambda kind: repr(kind.__dataclass_params__),
    "class": lambda kind: (kind.__doc__, kind.__slots__, kind.__match_args__, kind.__module__),
    "pickle": lambda kind: dataclasses.astuple(pickle.loads(pickle.dumps(kind(1, 3)))),
    "copy": lambda kind: copy.deepcopy(kind(1, 3, [4])).seen,
    "slots": lambda kind: hasattr(kind(1), "__dict__"),
}


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_it_is_told_as_the_standard_one_and_so_is_a_class_below_it(
    ours: Any, theirs: Any, told: str
) -> None:
    assert TOLD[told](ours) == TOLD[told](theirs)


@pytest.mark.parametrize(("ours", "theirs"), BELOW)
def test_a_class_below_it_may_have_more_fields_or_be_made_of_something_else(
    ours: Any, theirs: Any
) -> None:
    assert signature(ours) == signature(theirs)
    assert [each.name for each in dataclasses.fields(ours)] == [
        each.name for each in dataclasses.fields(theirs)
    ]
    through: list[Callable[[Any], Any]] = [copy.copy, lambda one: pickle.loads(pickle.dumps(one))]
    for again in through:
        assert dataclasses.astuple(again(ours(1))) == dataclasses.astuple(again(theirs(1)))


@pytest.mark.parametrize("kind", [OursWithMore, TheirsWithMore])
def test_no_field_is_lost_where_another_is_replaced(kind: Any) -> None:
    changed = frozen.replace(kind(1, more=7), y=3)
    assert (changed.x, changed.y, changed.more) == (1, 3, 7)


def test_what_is_compared_is_hashed() -> None:
    assert len({Point(1), Point(1, 2), Other(1), Origin(), Origin()}) == 3
    assert Point(1) not in [Other(1), (1, 2)]


def test_each_has_a_default_of_its_own() -> None:
    assert Ours(1).seen is not Ours(1).seen


@pytest.mark.parametrize(
    ("places", "names", "what"),
    [
        ((), {}, "lacks 'x'"),
        ((), {"y": 1}, "lacks 'x'"),
        ((1,), {"z": 1}, "no field 'z'"),
        ((), {"y": 1, "z": 1}, "no field 'z'"),
        ((1, 2, 3), {}, "a value too many"),
        ((1,), {"x": 1}, "a value too many"),
    ],
)
def test_fields_are_neither_missing_nor_unknown_nor_given_twice(
    places: tuple[int, ...], names: dict[str, int], what: str
) -> None:
    with pytest.raises(TypeError, match=f"Point: {what}; the fields are x, y"):
        Point(*places, **names)


def test_it_does_not_change() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    assert point == Point(1)


def test_it_is_checked_when_it_is_made_and_has_the_members_of_its_class() -> None:
    assert Ours(1).sum == 3
    with pytest.raises(ValueError, match="below"):
        frozen.replace(Ours(1), x=-1)


def test_a_match_takes_its_fields_in_their_order() -> None:
    match Point(1, 5):
        case Other():
            found = (0, 0)
        case Point(x, y):
            found = (x, y)
    assert found == (1, 5)


def test_others_are_not_offered() -> None:
    with pytest.raises(TypeError):
        frozen.dataclass(frozen=True)


def test_many_are_made_column_by_column() -> None:
    points = frozen.many(Point, [1, 2], (3, 4))
    assert points == [Point(1, 3), Point(2, 4)]
    with pytest.raises(ValueError, match="shorter"):
        frozen.many(Point, [1, 2])
