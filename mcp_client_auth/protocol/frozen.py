"""`@dataclass(frozen=True, slots=True)` for the classes that every first request makes.

The standard decorator compiles six methods for each class, which takes thirty times as long as
the class itself. Here all classes share their methods. What only `fields`, `asdict` or
`signature` need of a class is made when they first ask.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from dataclasses import dataclass as dataclass
    from dataclasses import replace as replace

T = TypeVar("T")


def _init(self: Any, *values: Any, **named: Any) -> None:
    kind = type(self)
    if named or len(values) != len(kind._setters):
        values = _completed(kind, values, named)
    for put, value in zip(kind._setters, values, strict=True):
        put(self, value)
    self.__post_init__()


def _completed(kind: Any, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """A value for each field, in their order."""
    names = kind.__match_args__
    given = {**kind._defaults, **dict(zip(names, values, strict=False)), **named}
    twice = values and named.keys() & names[: len(values)]
    if twice or len(values) > len(names) or len(given) != len(names):
        raise _misfit(kind, len(values), named)
    for name in kind._told:
        if isinstance(field := given[name], dataclasses.Field):
            factory = field.default_factory
            given[name] = field.default if factory is dataclasses.MISSING else factory()
    try:
        return tuple(map(given.__getitem__, names))
    except KeyError:
        raise _misfit(kind, len(values), named) from None


def _misfit(kind: Any, count: int, named: dict[str, Any]) -> TypeError:
    names = kind.__match_args__
    unknown = [name for name in named if name not in names]
    lacking = [n for n in names[count:] if n not in named and n not in kind._defaults]
    what = f"no field {unknown[0]!r}" if unknown else f"lacks {lacking[0]!r}" if lacking else ""
    what = what or "a value too many"
    return TypeError(f"{kind.__name__}: {what}; the fields are {', '.join(names)}")


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({fields})"


def _eq(self: Any, other: Any) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return self._compared(self) == self._compared(other)


def _unchangeable(self: object, name: str, *value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot change {name!r}")


def _replace(self: Any, /, **changes: Any) -> Any:
    """Like `dataclasses.replace`, for these and other dataclasses."""
    if "_setters" not in vars(type(self)):
        return dataclasses.replace(self, **changes)
    return type(self)(**{name: getattr(self, name) for name in self.__match_args__} | changes)


def _state(self: Any) -> list[Any]:
    return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for each, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)


def many(kind: type[T], *columns: Sequence[Any]) -> list[T]:
    """One instance for each row of these columns, one column for each field: in half the time of as
    many calls, and without `__post_init__`."""
    made = [kind.__new__(kind) for _ in columns[0]]
    for put, column in zip(cast("Any", kind)._setters, columns, strict=True):
        deque(map(put, made, column), 0)
    return made


class _Told:
    """What a standard dataclass of the same fields has under this name, also for subclasses."""

    def __set_name__(self, kind: type, name: str) -> None:
        self._name = name

    def __get__(self, value: object, kind: Any) -> object:
        own = _made(kind)
        found = getattr(_standard(own, whole=self._name != "__dataclass_fields__"), self._name)
        setattr(own, self._name, found)
        return found


class _Signature:
    """The same for its signature."""

    def __get__(self, value: object, kind: Any) -> object:
        if kind.__init__ is not _init:  # a subclass that has another
            raise AttributeError
        from inspect import signature

        return signature(_standard(_made(kind), whole=True))


def _made(kind: type) -> Any:
    """The class that the decorator here made: `kind` itself, or a base of it."""
    return next(each for each in kind.__mro__ if "_setters" in vars(each))


def _standard(kind: Any, *, whole: bool) -> Any:
    defaults = {name: (default,) for name, default in kind._defaults.items()}
    rows = [(name, of, *defaults.get(name, ())) for name, of in kind.__annotations__.items()]
    # a docstring, because otherwise one is made from the signature
    body = {"__doc__": "-"}
    what: dict[str, Any] = dict.fromkeys(("init", "repr", "eq", "frozen", "slots"), whole)
    return dataclasses.make_dataclass(kind.__name__, rows, namespace=body, **what)


_SHARED: Final = {
    "__init__": _init,
    "__post_init__": lambda self: None,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": lambda self: hash(self._compared(self)),
    "__setattr__": _unchangeable,
    "__delattr__": _unchangeable,
    "__getstate__": _state,
    "__setstate__": _set_state,
    "__replace__": _replace,
    "__dataclass_fields__": _Told(),
    "__dataclass_params__": _Told(),
    "__signature__": _Signature(),
}


def _slotted(kind: type) -> type:
    names = tuple(kind.__annotations__)
    body: dict[str, Any] = {**_SHARED, **vars(kind)}
    defaults = {name: body.pop(name) for name in names if name in body}
    told = {n: d for n, d in defaults.items() if isinstance(d, dataclasses.Field)}
    compared = [name for name in names if name not in told or told[name].compare]
    body |= {
        "__match_args__": names,
        "__qualname__": kind.__qualname__,
        "__slots__": names,
        "_compared": attrgetter("__class__", *compared),
        "_defaults": defaults,
        "_told": tuple(told),  # by `field()`
    }
    for unslotted in ("__dict__", "__weakref__"):
        body.pop(unslotted, None)
    made: Any = type(kind.__name__, kind.__bases__, body)
    made._setters = [vars(made)[name].__set__ for name in names]
    return made  # type: ignore[no-any-return]


if not TYPE_CHECKING:
    replace = _replace

    def dataclass(*, frozen: bool, slots: bool) -> Callable[[type], type]:
        if not (frozen and slots):
            raise TypeError("of these dataclasses all are frozen and have slots")
        return _slotted
