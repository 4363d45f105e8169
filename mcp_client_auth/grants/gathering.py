"""What the callers of one login want of it, while they may still join."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Gathering:
    """Scopes that several callers want of one login. More join until all has been taken and it
    closes."""

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
        """Whether there is nothing to take. From then on no one joins."""
        with self._turn:
            self._open = self._open and not all(self._wants.values())
            return not self._open
