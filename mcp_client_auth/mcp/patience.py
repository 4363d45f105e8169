"""What a client is told while its requests wait for a person: hosts give up on a request after 30
to 60 seconds of silence, and many start counting again at each progress notification.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from .messages import Message, notification

_EVERY: Final = 10.0
# Below any progress that a server may report itself: each notification must report more.
_STEP: Final = 1e-6
_LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"  # 2026-07-28: without it no log is wanted
_LEVELS: Final = ("debug", "info", "notice", "warning")  # those that include warnings


class Patience:
    """`say` hands a message to the client, which may take time; `waiting` returns the requests
    that wait; `has_session`: whether the client has a session, in which it accepts log messages."""

    def __init__(
        self,
        say: Callable[[Message], None],
        waiting: Callable[[], Iterable[Message]],
        has_session: Callable[[], bool],
    ) -> None:
        self._say, self._waiting, self._has_session = say, waiting, has_session
        self._turn = threading.Condition()
        self._why, self._is_new = "", False
        self._count = 0
        self._thread: threading.Thread | None = None

    def begin(self, why: str, *, later: bool = False) -> None:
        """Tell the client `why` from now on, without waiting for it; `later`: not before the first
        repetition. A client that is slow to read gets only the last reason."""
        with self._turn:
            self._why, self._is_new = why, not later
            self._turn.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._tell, name="patience", daemon=True)
                self._thread.start()

    def end(self) -> None:
        with self._turn:
            self._why = ""
            self._turn.notify_all()

    def _tell(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._is_new or not self._why, _EVERY)
                why, is_new, self._is_new = self._why, self._is_new, False
                if not why:
                    self._thread = None
                    return
                self._count += 1
            if is_new:
                self._log(why)
            for each in self._waiting():
                token = _meta(each).get("progressToken")
                if isinstance(token, str | int):
                    told = {"progressToken": token, "progress": self._count * _STEP, "message": why}
                    self._say({**notification("notifications/progress"), "params": told})

    def _log(self, why: str) -> None:
        wants = (_meta(each).get(_LOG_LEVEL) for each in self._waiting())
        if self._has_session() or any(level in _LEVELS for level in wants):
            told = {"level": "warning", "logger": "mcp-client-auth", "data": why}
            self._say({**notification("notifications/message"), "params": told})


def _meta(message: Message) -> dict[str, Any]:
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta if isinstance(meta, dict) else {}
