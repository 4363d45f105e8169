"""A connection that is begun before it is known that a login needs it. That saves two round trips,
and costs a connection if no login follows."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..threads import fresh_in_children

if TYPE_CHECKING:
    from .flow import Flow, Settings

_PATIENCE: Final = 4.0
_MOST: Final = 8  # if more first requests come at once, the rest do without
_live: Final[set[Ahead]] = set()


class Ahead:
    """A flow that connects to its server on a thread of its own; nothing is sent.

    It can be taken once. If it is not needed, it is closed, after a moment even without `close()`:
    a server may serve one connection at a time. A forked child has none.
    """

    def __init__(self, made: Settings) -> None:
        self._made = made
        self.reset()
        fresh_in_children(self)

    def begin(self) -> None:
        if len(_live) >= _MOST:
            return
        _live.add(self)
        run = threading.Thread(target=self._run, name="mcp ahead", daemon=True)
        self._connecting = True
        try:
            run.start()
        except RuntimeError:  # too late for a thread
            self.reset()

    def reset(self) -> None:
        _live.discard(self)
        self._turn = threading.Condition()
        self._flow: Flow | None = None
        self._connecting = self._over = False

    def take(self) -> Flow | None:
        """The connected flow, which the caller has to close; None if it is gone."""
        with self._turn:
            self._turn.wait_for(lambda: not self._connecting)
            flow, self._flow = self._flow, None
            self._turn.notify_all()
            return flow

    def close(self) -> None:
        """End it: nothing needs it."""
        with self._turn:
            self._over = True
            self._turn.notify_all()

    def _run(self) -> None:
        flow = None
        with suppress(Exception):  # the request that needs it will report what fails
            from .flow import Flow

            flow = Flow(self._made)
            flow.connect_ahead()
        with self._turn:
            self._flow, self._connecting = flow, False
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._over or self._flow is None, _PATIENCE)
            unused, self._flow = self._flow, None
        _live.discard(self)
        if unused is not None:
            unused.close()
