"""What a process does after the package's own end: imported first, for the first comes last."""

from __future__ import annotations

import atexit
from collections.abc import Callable

actions: list[Callable[[], None]] = []


def _act() -> None:
    for action in actions:
        action()


atexit.register(_act)
