"""In a forked child locks are held and futures awaited by threads that do not exist there."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Resettable(Protocol):
    def reset(self) -> None:
        """Take new locks and forget what is under way."""


_objects: weakref.WeakSet[Resettable] = weakref.WeakSet()


def fresh_in_children(thing: Resettable) -> None:
    """Have `thing.reset()` called in every forked child that has inherited it."""
    _objects.add(thing)


def _reset_all() -> None:
    for thing in list(_objects):
        thing.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
