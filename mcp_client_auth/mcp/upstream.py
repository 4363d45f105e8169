"""What both forms of the bridge send with: a login, and a bound on what is on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .exchange import Head, Read, Send, Wait
from .messages import Message
from .open_exchange import OpenExchange

MOST: Final = 512  # requests at once
MOST_BYTES: Final = 64 * 1024 * 1024  # on their way to the server


class Login(NamedTuple):
    """What the bridge needs of a login. `where`: the URL to send to, asked before each message.
    `quiet`: an authorization that asks no one; `has_failed`: whether it did, the last time."""

    where: Callable[[], str]
    quiet: Any = None
    has_failed: Callable[[], bool] = lambda: False


class Exchange(OpenExchange):
    """The exchange of a message of the client. `sent` is called once it has been."""

    def __init__(
        self,
        client: Any,
        login: Login,
        sent: Callable[[], None] = lambda: None,
        auth: Any = None,
        message: Message | None = None,
    ) -> None:
        super().__init__(client, "", auth)
        self._login, self.sent, self.message = login, sent, message
        self.beside: OpenExchange | None = None  # what this one waits for first

    @property
    def idle(self) -> bool:
        beside = self.beside is not None and self.beside.idle
        return not self.stopped and (super().idle or beside)

    def do(self, step: Send | Read | Wait, left: float) -> Head | bytes | None:
        given = super().do(step, left)
        if isinstance(step, Send):
            self.sent()
        return given

    def _where(self) -> str:
        self._url = self._login.where()
        return self._url

    def another(self) -> OpenExchange:
        self.beside = super().another()
        return self.beside


class Budget:
    """So many bytes at once; a message that is larger alone goes when nothing else does."""

    def __init__(self, most: int) -> None:
        self._most, self._used, self._turn = most, 0, threading.Condition()

    def take(self, size: int) -> None:
        with self._turn:
            while self._used and self._used + size > self._most:
                self._turn.wait(0.2)  # a signal is heard between waits
            self._used += size

    def give(self, size: int) -> None:
        with self._turn:
            self._used -= size
            self._turn.notify_all()


def once(call: Callable[[], None]) -> Callable[[], None]:
    turn = threading.Lock()
    return lambda: call() if turn.acquire(blocking=False) else None
