"""The scopes that the callers of one login want, while others may still join."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Gathering:
    """The scopes that several callers want from one login. Others may join until all have been
    taken and it closes."""

    def __init__(self, wants: Iterable[str] = ()) -> None:
        self._turn = threading.Lock()
        self._wants = dict.fromkeys(wants, False)  # whether it has been taken
        self._open = True

    def join(self, wants: Iterable[str]) -> bool:
        with self._turn:
            if self._open:
                self._wants |= {want: False for want in wants if want not in self._wants}
            return self._open

    def take(self) -> tuple[str, ...]:
        """What has not been taken yet."""
        with self._turn:
            fresh = tuple(want for want, taken in self._wants.items() if not taken)
            self._wants = dict.fromkeys(self._wants, True)
            return fresh

    def closes(self) -> bool:
        """Close it if nothing is left to take, and return whether it is closed to others."""
        with self._turn:
            self._open = self._open and not all(self._wants.values())
            return not self._open
