"""Whose turn it is in a crowd: at most 31 renewals run in a process, 8 of them at one place.

A place is a token endpoint or, as long as that is not known, an MCP server. The others wait in
line, place after place in turn, so that one that hangs stalls none of the rest. What waits for a
person is not a renewal and has a thread of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from ..errors import Unavailable
from ..threads import FreshInChildren

MOST: Final = 31  # threads; with the one that extends leases they are 32
MOST_AT_ONE: Final = 8


class Elsewhere(Exception):
    """Raised by work that has to go on at `place`, where there is no room now: it is run again
    from its start when it is its turn there."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place


class Turn(NamedTuple):
    """`run` returns the error that it ended with; `refuse` ends it without a run."""

    run: Callable[[], Exception | None]
    refuse: Callable[[Exception], None]


class _Place:
    """`faults`: how many runs there have failed in a row."""

    __slots__ = ("faults", "running", "waiting")

    def __init__(self) -> None:
        self.running = self.faults = 0
        self.waiting: deque[Turn] = deque()


class _Mine(threading.local):
    """The place that the running thread holds, if any."""

    place = ""


class Turns(FreshInChildren):
    """All lines of one process."""

    def reset(self) -> None:
        self._mine = _Mine()
        self._mutex = threading.Lock()
        self._running = 0
        self._places: dict[str, _Place] = {}

    def take(self, place: str, turn: Turn) -> None:
        """Run it on a daemon thread, now or when it is its turn."""
        with self._mutex:
            self._places.setdefault(place, _Place()).waiting.append(turn)
            following = self._next()
        self._start(following)

    def go_to(self, place: str) -> None:
        """Move this thread's turn to `place`; raises `Elsewhere` if there is no room.

        It has no effect on a thread that has no turn, such as the caller's own.
        """
        if self._mine.place in ("", place):
            return
        with self._mutex:
            there = self._places.get(place)
            if there and (there.waiting or there.running >= MOST_AT_ONE):
                raise Elsewhere(place)
            self._end()
            self._begin(place)
            self._mine.place = place
            following = self._next()
        self._start(following)

    def leave(self) -> None:
        """Give up this turn, since what follows is a wait for a person or a moment."""
        with self._mutex:
            self._end()
            following = self._next()
        self._start(following)

    def _start(self, following: tuple[str, Turn] | None) -> None:
        if following is None:
            return
        thread = threading.Thread(
            target=self._work, args=following, name="mcp renewal", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # too late for a thread, or too many: here and now
            self._work(*following)

    def _work(self, place: str, turn: Turn) -> None:
        """Run one turn after the other, until no turn that may run is waiting."""
        outer = self._mine.place
        following: tuple[str, Turn] | None = (place, turn)
        while following:
            self._mine.place, turn = following
            try:
                following = self._after(turn, turn.run())
            except Elsewhere as there:
                following = self._after(turn, there)
            except BaseException:
                self.leave()
                raise
        self._mine.place = outer

    def _after(self, turn: Turn, error: Exception | None) -> tuple[str, Turn] | None:
        """What this thread runs next. If `MOST_AT_ONE` runs in a row have failed at its place,
        those that wait there are refused: they would fail in the same way, only later."""
        refused: list[Turn] = []
        with self._mutex:
            at = self._places.get(self._mine.place)
            if isinstance(error, Elsewhere):
                self._places.setdefault(error.place, _Place()).waiting.append(turn)
            elif at:
                at.faults = at.faults + 1 if isinstance(error, Unavailable) else 0
                if at.faults >= MOST_AT_ONE:
                    refused = list(at.waiting)
                    at.waiting.clear()
            self._end()
            following = self._next()
        for each in refused:
            if isinstance(error, Unavailable):
                each.refuse(error.fresh())
        return following

    # Under the mutex

    def _begin(self, place: str) -> None:
        self._places.setdefault(place, _Place()).running += 1
        self._running += 1

    def _end(self) -> None:
        """End the running thread's turn, if it has not ended already."""
        place, self._mine.place = self._mine.place, ""
        if at := self._places.get(place):
            at.running -= 1
            self._running -= 1
            if not (at.running or at.waiting):
                del self._places[place]

    def _next(self) -> tuple[str, Turn] | None:
        """Take the first turn of the first place that has room; that place is last from then on."""
        for place, at in self._places.items() if self._running < MOST else ():
            if at.waiting and at.running < MOST_AT_ONE:
                turn = at.waiting.popleft()
                self._places[place] = self._places.pop(place)
                self._begin(place)
                return place, turn
        return None


TURNS: Final = Turns()
