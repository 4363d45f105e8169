"""The session that a client has begun at a server, and its replacement once the server has
forgotten it, of which the client need not know.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from ..events import logger
from .exchange import Plan, Reply, Server, begin, exchange
from .messages import Message, notification

LONGEST_VERSION: Final = 40


class Introduced:
    """The session at `url`. `run` carries out a plan of our own; `changed` is called when another
    session has replaced the last one."""

    def __init__(
        self, url: str, run: Callable[[Plan[Reply]], Reply], changed: Callable[[], None]
    ) -> None:
        self._url, self._run, self._changed = url, run, changed
        self._turn = threading.Lock()
        self._introduction: tuple[Message, bytes] | None = None
        self.server = self.another()

    def another(self, version: str = "") -> Server:
        return Server(self._url, {}, version)

    def begun(self, server: Server, message: Message, body: bytes, reply: Reply) -> None:
        """Keep the message by which the client introduced itself, if `reply` begins a session."""
        if _has_begun(server, reply):
            self._introduction = message, body
            self._become(server)

    def revived(
        self, lost: Server, run: Callable[[Plan[Reply]], Reply] | None = None
    ) -> Server | None:
        """A new session in place of the lost one, begun as the client began that one; only the
        first caller begins it. `run`: what carries out its plans, if not the usual one."""
        run = run or self._run
        with self._turn:
            if self.server is not lost:
                return self.server
            if self._introduction is None:
                return None
            logger.info("the server has forgotten the session: a new one is begun")
            message, body = self._introduction
            server = self.another()
            reply = run(exchange(server, message, None, body))
            if not _has_begun(server, reply):
                return None
            run(exchange(server, notification("notifications/initialized")))
            self._become(server)
            return server

    def end(self) -> Server:
        """Begin no session from here on; return the last one."""
        self._introduction = None
        return self.server

    def _become(self, server: Server) -> None:
        self.server = server
        self._changed()


def _has_begun(server: Server, reply: Reply) -> bool:
    """Whether it is the result of a handshake; if so, `server` keeps it."""
    result = (reply.message or {}).get("result")
    version = result.get("protocolVersion") if isinstance(result, dict) else None
    if not isinstance(version, str):
        return False
    fine = version.isascii() and version.isprintable() and len(version) < LONGEST_VERSION
    begin(server, reply, version if fine else "")
    return True
