"""Getting a person to the authorization server and back.

Whether a person may be asked is a value: a prompt, or none. A prompt makes a `Visit`, whose
callback is bound before the URL exists and which is told how the login ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

from ..errors import AuthError, LoginFailed
from ..protocol.authorization import AuthorizationCode, AuthorizationRequest, Unrelated
from ..protocol.redirects import Callback
from ..protocol.urls import shown

if TYPE_CHECKING:
    from .loopback import Listener

Ending = Literal["signed-in", "denied", "failed", "again"]


class Visit(Protocol):
    """A person being asked once. A context manager; leaving it frees the port."""

    @property
    def redirect_uri(self) -> str: ...

    def ask(self, request: AuthorizationRequest, timeout: float) -> AuthorizationCode:
        """Bring the person there and wait for the first valid answer.

        Raises `LoginFailed` after `timeout` seconds or `cancel()`, or what the answer says.
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
    """Somebody who can ask a person."""

    def visit(self, callback: Callback, server: str, account: str) -> Visit:
        """Bind the callback; `LoginFailed` when a pinned port is busy."""
        ...


class FirstAnswer:
    """The race for one authorization request: the first valid answer wins, once."""

    def __init__(self, request: AuthorizationRequest) -> None:
        self._request = request
        self._answer: Future[AuthorizationCode] = Future()
        self._turn = threading.Lock()

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

    def fail(self, error: AuthError) -> None:
        with self._turn:
            if not self._answer.done():
                self._answer.set_exception(error)

    def wait(self, timeout: float) -> AuthorizationCode:
        try:
            return self._answer.result(timeout)
        except TimeoutError:
            raise LoginFailed(
                f"nobody signed in within {timeout:.0f} s",
                url=shown(self._request.server.authorization_endpoint),
                code="timeout",
                hint="Look at the browser window: an error shown there never reaches this"
                " program. Then start the login again",
            ) from None


class BrowserPrompt:
    """The default: a loopback listener and a browser.

    `open_url(url) -> bool` opens the browser (default: the platform's, see `can_open`);
    `show_url(url)` shows the URL to the person as well. Both run before the wait.
    """

    def __init__(
        self,
        open_url: Callable[[str], bool] | None = None,
        show_url: Callable[[str], None] | None = None,
    ) -> None:
        self._open_url, self._show_url = open_url, show_url

    def visit(self, callback: Callback, server: str, account: str) -> Visit:
        return _BrowserVisit(
            _bound(callback), server, account, self._open_url or _open, self._show_url
        )


class _BrowserVisit:
    def __init__(
        self,
        listener: Listener,
        server: str,
        account: str,
        open_url: Callable[[str], bool],
        show_url: Callable[[str], None] | None,
    ) -> None:
        self._listener = listener
        self._server, self._account = server, account
        self._open_url, self._show_url = open_url, show_url
        self._race: FirstAnswer | None = None
        self._cancelled = False
        self.redirect_uri = listener.redirect_uri

    def ask(self, request: AuthorizationRequest, timeout: float) -> AuthorizationCode:
        from .browser import checked_url

        race = self._race = FirstAnswer(request)
        url = checked_url(request.url)
        if self._cancelled:
            self.cancel()
        self._listener.start(race.offer)
        if self._show_url:
            self._show_url(url)
        if not self._open_url(url) and self._show_url is None:
            raise LoginFailed(
                "no browser could be opened",
                code="no_browser",
                hint=f"Run mcp-login {self._server} in a terminal",
            )
        return race.wait(timeout)

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
