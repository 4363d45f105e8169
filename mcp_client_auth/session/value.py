"""Frozen values whose classes cost next to nothing to make.

A dataclass takes a hundred times as long to be made, a named tuple fifteen times; every first
request waits for thirty such classes, and uses five.
"""

from __future__ import annotations

from typing import Any, NoReturn, Self, dataclass_transform


@dataclass_transform(frozen_default=True)
class Value:
    """Its fields are the names that a class below this one annotates, with their defaults."""

    __match_args__: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        cls.__match_args__ = tuple(cls.__annotations__)  # type: ignore[misc]

    def __init__(self, *values: Any, **named: Any) -> None:
        kind, names = type(self), self.__match_args__
        given = {**dict(zip(names, values, strict=False)), **named}
        lacking = [name for name in names if name not in given and not hasattr(kind, name)]
        if lacking or given.keys() - names or len(values) + len(named) != len(given):
            raise TypeError(f"{kind.__name__} has the fields {', '.join(names)}")
        vars(self).update({n: given[n] if n in given else getattr(kind, n) for n in names})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} does not change")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"

    def _replace(self, **changes: Any) -> Self:
        """The same with other fields, as a named tuple gives it."""
        return type(self)(**{**vars(self), **changes})
