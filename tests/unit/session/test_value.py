"""Values that are made by their fields, compared by them and never changed."""

from __future__ import annotations

import pytest

from mcp_client_auth.session.value import Value


class Point(Value):
    x: int
    y: int = 2


class Other(Value):
    x: int
    y: int = 2


class Origin(Value):
    """Of no fields."""


def test_it_is_made_by_place_and_by_name_and_has_its_defaults() -> None:
    assert Point(1) == Point(1, 2) == Point(y=2, x=1)
    assert Point(1) != Point(1, 3)
    assert Point(1) != Other(1)
    assert (hash(Point(1)), repr(Point(1))) == (hash(Point(1, 2)), "Point(x=1, y=2)")
    assert (Origin(), Origin() == Other(1)) == (Origin(), False)


@pytest.mark.parametrize(
    "given", [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"y": 1})]
)
def test_fields_are_neither_missing_nor_unknown_nor_given_twice(
    given: tuple[tuple[int, ...], dict[str, int]],
) -> None:
    places, names = given
    with pytest.raises(TypeError, match="Point has the fields x, y"):
        Point(*places, **names)


def test_it_does_not_change_but_another_is_made_of_it() -> None:
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 3  # type: ignore[misc]
    assert (point._replace(x=3), point) == (Point(3), Point(1))


def test_a_match_takes_its_fields_in_their_order() -> None:
    match Point(1, 5):
        case Other():
            found = (0, 0)
        case Point(x, y):
            found = (x, y)
    assert found == (1, 5)
