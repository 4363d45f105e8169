"""Getting a person to the authorization server and back.

Whether a person may be asked is a value: a prompt, or none. A prompt makes a `Visit`, whose
callback is bound before the URL exists and which is told how the login ended.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self, TypeAlias

from ..errors import AuthError, LoginFailed
from ..protocol.authorization import AuthorizationCode, AuthorizationRequest, Unrelated
from ..protocol.metadata import IF_ELSEWHERE
from ..protocol.redirects import Callback
from ..protocol.tokens import TokenSet
from ..protocol.urls import shown

if TYPE_CHECKING:
    from .device import CodeDesk
    from .loopback import Listener

# What a login is answered with: a code to exchange, or the tokens that a device code gave.
Answer: TypeAlias = AuthorizationCode | TokenSet
Ending = Literal["signed-in", "denied", "failed", "again"]
# How often the wait is told how long it still is. On Windows also how soon Ctrl-C is noticed.
_TICK: Final = 0.2 if sys.platform == "win32" else 1.0


class Visit(Protocol):
    """A person being asked once. A context manager; leaving it frees the port."""

    @property
    def redirect_uri(self) -> str: ...

    def ask(self, request: AuthorizationRequest, timeout: float, *beside: Racer) -> Answer:
        """Bring the person there and wait for the first valid answer, also that of a racer.

        Raises `LoginFailed` after `timeout` seconds or `cancel()`, or what the answer says.
        Nobody is `beside` where the prompt has no `device`.
        """
        ...

    def end(self, ending: Ending) -> None:
        """Show the person how the login ended; "again": another visit follows at once."""
        ...

    def cancel(self) -> None:
        """End the wait from another thread."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Prompt(Protocol):
    """Somebody who can ask a person.

    One that has a `CodeDesk` as its attribute `device` wants a device code beside the browser.
    """

    def visit(self, callback: Callback, server: str, account: str) -> Visit:
        """Bind the callback; `LoginFailed` when a pinned port is busy."""
        ...


def code_desk(prompt: Prompt) -> CodeDesk | None:
    """Where a device code is shown beside the browser; None where none is wanted."""
    desk: CodeDesk | None = getattr(prompt, "device", None)
    return desk


class Desk(Protocol):
    """What a person is shown while the answer is awaited. `say` and `typed` come from any thread.

    Nothing that happens here may fail: a closed terminal must not cost a login.
    """

    def invite(self, url: str, redirect_uri: str) -> None:
        """The address to open, and what to do where no callback can arrive."""
        ...

    def waiting(self, left: float) -> None:
        """Each second: so many seconds are left."""
        ...

    def typed(self, count: int) -> None:
        """So many characters are typed and wait for Enter."""
        ...

    def say(self, text: str) -> None:
        """One line."""
        ...

    def over(self) -> None:
        """Nobody is waited for any longer."""
        ...


class FirstAnswer:
    """The race for one authorization request: the first valid answer wins, once."""

    def __init__(self, request: AuthorizationRequest) -> None:
        self._request = request
        self._answer: Future[Answer] = Future()
        self._turn = threading.Lock()

    @property
    def decided(self) -> bool:
        return self._answer.done()

    def offer(self, query: str) -> bool:
        """Whether this query is the answer, good or bad; everything else is ignored."""
        with self._turn:
            if self._answer.done():
                return False
            try:
                self._answer.set_result(self._request.accept(query))
            except Unrelated:
                return False
            except AuthError as error:
                self._answer.set_exception(error)
            return True

    def take(self, tokens: TokenSet) -> bool:
        """Whether these tokens of a device code are the answer; else nobody needs them."""
        with self._turn:
            if self._answer.done():
                return False
            self._answer.set_result(tokens)
            return True

    def fail(self, error: AuthError) -> None:
        with self._turn:
            if not self._answer.done():
                self._answer.set_exception(error)

    def close(self) -> None:
        """Nobody waits any longer: what comes now comes too late."""
        self.fail(LoginFailed("the login is over", code="aborted"))

    def wait(self, timeout: float, tick: Callable[[float], None] = lambda left: None) -> Answer:
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            tick(left)
            with suppress(TimeoutError):
                return self._answer.result(min(left, _TICK))
        self.fail(_too_late(self._request, timeout))  # unless one came in the last moment
        return self._answer.result()


def _too_late(request: AuthorizationRequest, timeout: float) -> LoginFailed:
    guessed = request.server.source == "defaults"
    return LoginFailed(
        f"nobody signed in within {timeout:.0f} s",
        url=shown(request.server.authorization_endpoint),
        code="timeout",
        hint="Look at the browser window: an error shown there never reaches this program. If it"
        " complains of the redirect URI, pass the registered one (--redirect-uri,"
        " Options(redirect_uri=…))"
        + (f". This server publishes no metadata: {IF_ELSEWHERE}" if guessed else "")
        + ". Then start the login again",
    )


# Another way for the answer to come, beside the listener: it starts on entering, on threads of
# its own, and has stopped on leaving. What it finds it offers to the race.
Racer: TypeAlias = Callable[[AuthorizationRequest, FirstAnswer], AbstractContextManager[object]]


class BrowserPrompt:
    """The default: a loopback listener and a browser.

    `open_url(url) -> bool` opens the browser (default: the platform's, see `can_open`);
    `show_url(url)` shows the URL to the person as well, and a `desk` also how the wait goes
    on. All this happens before the wait. `racers` are other ways for the answer to come. With a
    `device` a device code is shown there too, where the server offers one (RFC 8628).
    """

    def __init__(
        self,
        open_url: Callable[[str], bool] | None = None,
        show_url: Callable[[str], None] | None = None,
        *,
        desk: Desk | None = None,
        racers: Sequence[Racer] = (),
        device: CodeDesk | None = None,
    ) -> None:
        self.device = device
        self._open_url = open_url or _open
        self._desk = desk or (_Notice(show_url) if show_url else None)
        self._racers = racers

    def visit(self, callback: Callback, server: str, account: str) -> Visit:
        return _BrowserVisit(
            _bound(callback), server, account, self._open_url, self._desk, self._racers
        )


class _Notice:
    """A desk of which only the address is wanted."""

    def __init__(self, show_url: Callable[[str], None]) -> None:
        self._show_url = show_url

    def invite(self, url: str, redirect_uri: str) -> None:
        self._show_url(url)

    def waiting(self, left: float) -> None: ...
    def typed(self, count: int) -> None: ...
    def say(self, text: str) -> None: ...
    def over(self) -> None: ...


class _BrowserVisit:
    def __init__(
        self,
        listener: Listener,
        server: str,
        account: str,
        open_url: Callable[[str], bool],
        desk: Desk | None,
        racers: Sequence[Racer],
    ) -> None:
        self._listener = listener
        self._server, self._account = server, account
        self._open_url, self._desk, self._racers = open_url, desk, racers
        self._race: FirstAnswer | None = None
        self._cancelled = False
        self.redirect_uri = listener.redirect_uri

    def ask(self, request: AuthorizationRequest, timeout: float, *beside: Racer) -> Answer:
        from .browser import checked_url

        race = self._race = FirstAnswer(request)
        url = checked_url(request.url)
        if self._cancelled:
            self.cancel()
        self._listener.start(race.offer)
        with ExitStack() as racing, closing(race):
            if self._desk:
                racing.callback(self._desk.over)
            for racer in self._racers:  # before the invitation: nothing of an answer is missed
                racing.enter_context(racer(request, race))
            if self._desk:
                self._desk.invite(url, request.redirect_uri)
            for racer in beside:  # what they show stands below the address
                racing.enter_context(racer(request, race))
            if not self._open_url(url) and self._desk is None and not beside:
                raise LoginFailed(
                    "no browser could be opened",
                    code="no_browser",
                    hint=f"Run mcp-login {self._server} in a terminal",
                )
            return race.wait(timeout, self._desk.waiting if self._desk else lambda left: None)

    def end(self, ending: Ending) -> None:
        from .page import Page

        self._listener.finish(Page(ending, self._server, self._account))

    def cancel(self) -> None:
        self._cancelled = True
        if self._race:
            self._race.fail(
                LoginFailed("the login was aborted", code="aborted", hint="Nothing was changed")
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()


def _open(url: str) -> bool:
    from .browser import open_url

    return open_url(url)


def _bound(callback: Callback) -> Listener:
    """The listener on the wanted port; where it is not pinned, on another when that is busy."""
    from .loopback import Listener

    try:
        return Listener(host=callback.host, port=callback.port, path=callback.path)
    except LoginFailed:
        if callback.pinned or not callback.port:
            raise
        return Listener(host=callback.host, port=0, path=callback.path)
