"""What both forms of the bridge use to send: a login, and a limit on what is on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from ..protocol.document import is_page
from ..protocol.flow import HttpResponse
from ..protocol.probe import REPEATED, redirect_target
from ..protocol.urls import ServerUrl
from .exchange import Head, Read, Send, Wait
from .messages import Message
from .open_exchange import OpenExchange

MOST: Final = 512  # requests at once
MOST_BYTES: Final = 64 * 1024 * 1024  # on their way to the server
MOST_HELD: Final = 256 * 1024 * 1024  # of requests until they are answered
_MOST_REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True)
class Login:
    """What the bridge needs of a login. `where`: the URL to send to, asked before each message.
    `quiet`: an authorization that asks no one; `has_failed`: whether it has failed since the last
    call. `moved`: where redirects of a URL have led meanwhile, which the login need not know."""

    where: Callable[[], str]
    quiet: Any = None
    has_failed: Callable[[], bool] = lambda: False
    moved: dict[str, str] = field(default_factory=dict)


class Exchange(OpenExchange):
    """The exchange of a message of the client. `sent` is called once the message has been sent."""

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
            given = given if step.url else self._followed(step, cast("Head", given), left)
            self.sent()
        return given

    def _followed(self, step: Send, head: Head, left: float) -> Head:
        """The answer from where the server redirects to, as far as a login to it covers that: some
        redirect `/mcp` to `/mcp/` before they require a login."""
        asked = ServerUrl(self._first_url or self._url)
        for _ in range(_MOST_REDIRECTS):
            target = redirect_target(HttpResponse(head.status, self._url, (*head.headers.items(),)))
            if head.status not in REPEATED or not (target and asked.covers(target)):
                break
            self._first_url, self._url = asked, target
            head = cast("Head", super().do(replace(step, url=target), left))
        # A GET may lead to a page for people, and while a server is down every request may.
        if step.method == "POST" and self._url != asked:
            if 200 <= head.status < 300 and not _is_page(head):
                self._login.moved[asked] = self._url
            else:
                self._login.moved.pop(asked, None)
        return head

    def _where(self) -> str:
        where = self._login.where()
        self._url = self._login.moved.get(where, where)
        self._first_url = where if self._url != where else ""
        return self._url

    def another(self) -> OpenExchange:
        self.beside = super().another()
        return self.beside


def _is_page(head: Head) -> bool:
    return is_page(HttpResponse(head.status, "", (*head.headers.items(),)))


class Budget:
    """A limit on the bytes at once; a message that exceeds it by itself goes when no other does."""

    def __init__(self, most: int) -> None:
        self._most, self._used, self._turn = most, 0, threading.Condition()

    def take(self, size: int) -> None:
        with self._turn:
            while self._used and self._used + size > self._most:
                self._turn.wait(0.2)  # a signal is heard between waits
            self._used += size

    def take_now(self, size: int) -> bool:
        """`take` without waiting; return whether there was room."""
        with self._turn:
            fits = not self._used or self._used + size <= self._most
            self._used += size * fits
            return fits

    def give(self, size: int) -> None:
        with self._turn:
            self._used -= size
            self._turn.notify_all()


def once(call: Callable[[], None]) -> Callable[[], None]:
    turn = threading.Lock()
    return lambda: call() if turn.acquire(blocking=False) else None
