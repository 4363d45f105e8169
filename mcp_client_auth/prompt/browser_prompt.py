"""The default prompt: a browser, and a listener on loopback that receives its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from ..environment import Machine
from ..errors import LoginFailed, shell_command
from ..threads import require_plain
from .base import AnswerSource, CodeDisplay, Display, Ending, Visit
from .race import Answer, FirstAnswer, Racing

if TYPE_CHECKING:
    from ..protocol.authorization import AuthorizationRequest
    from ..protocol.redirects import Callback
    from .loopback import Listener


class BrowserPrompt:
    """The default: a loopback listener and a browser.

    `open_url(url) -> bool` opens the browser. The default is the platform's (see `can_open`); if
    that is certain to run on this machine, it gets a short address that leads to the sign-in page
    once. `show_url(url)` shows the URL to the person as well, and a `display` also how the wait
    goes on. All are called on any thread, and return at once. `sources` are other ways for the
    answer to come. A `device` also shows a device code, if the server offers one (RFC 8628).

    Example:
        ```python
        from mcp_client_auth import BrowserPrompt, MCPAuth

        prompt = BrowserPrompt(show_url=lambda url: print("Sign in here:", url))
        auth = MCPAuth("https://mcp.example.com/mcp", prompt=prompt)
        ```
    """

    def __init__(
        self,
        open_url: Callable[[str], bool] | None = None,
        show_url: Callable[[str], None] | None = None,
        *,
        display: Display | None = None,
        sources: Sequence[AnswerSource] = (),
        device: CodeDisplay | None = None,
    ) -> None:
        require_plain("open_url", open_url)
        require_plain("show_url", show_url)
        require_plain("invite of the display", getattr(display, "invite", None))
        self.device = device
        self._open_url = open_url
        self._display = display or (_Notice(show_url) if show_url else None)
        self._sources = sources

    def visit(self, callback: Callback, server: str, account: str) -> Visit:
        from .loopback import Listener

        try:
            listener = Listener(host=callback.host, port=callback.port, path=callback.path)
        except LoginFailed:
            if callback.pinned or not callback.port:
                raise
            listener = Listener(host=callback.host, port=0, path=callback.path)
        return _BrowserVisit(
            listener, server, account, self._open_url, self._display, self._sources
        )


class _Notice:
    """A display of the address alone."""

    def __init__(self, show_url: Callable[[str], None]) -> None:
        self._show_url = show_url

    def invite(self, url: str, redirect_uri: str) -> None:
        self._show_url(url)

    def waiting(self, left: float) -> None: ...
    def typed(self, count: int) -> None: ...
    def say(self, text: str) -> None: ...
    def over(self) -> None: ...


class _BrowserVisit(Racing):
    def __init__(
        self,
        listener: Listener,
        server: str,
        account: str,
        open_url: Callable[[str], bool] | None,
        display: Display | None,
        sources: Sequence[AnswerSource],
    ) -> None:
        super().__init__()
        self._listener = listener
        self._server, self._account = server, account
        self._open_url, self._display, self._sources = open_url, display, sources
        self.redirect_uri = listener.redirect_uri
        self._told = 0

    def ask(self, request: AuthorizationRequest, timeout: float, *beside: AnswerSource) -> Answer:
        from .open_browser import checked_url, open_url

        race, url = self.begin(request), checked_url(request.url)
        to_open = url
        if self._open_url is None and Machine().browser_is_here:
            to_open = self._listener.shorten(url, self._say)
        self._listener.start(lambda query: self._offered(race, query), lambda: self._posted(race))
        with ExitStack() as racing, closing(race):
            if self._display:
                racing.callback(self._display.over)
            for source in self._sources:  # before the invitation, so that no answer is missed
                racing.enter_context(source(request, race))
            if self._display:
                if to_open != url:
                    self._display.say(f"Opening {to_open} in your browser (it works once).")
                self._display.invite(url, request.redirect_uri)
            for source in beside:  # what they show goes below the address
                racing.enter_context(source(request, race))
            opened = (self._open_url or open_url)(to_open)
            if not opened and self._display is None and not beside:
                raise LoginFailed(
                    "no browser could be opened",
                    code="no_browser",
                    hint=f"Run in a terminal: {shell_command(self._server)}",
                )
            return race.wait(timeout, self._display.waiting if self._display else lambda left: None)

    def _offered(self, race: FirstAnswer, query: str) -> bool:
        taken = race.offer(query)
        self._tell(race)
        return taken

    def _posted(self, race: FirstAnswer) -> None:
        race.posted()
        self._tell(race)

    def _tell(self, race: FirstAnswer) -> None:
        """Report each once: if the server sent it, the person is waiting for nothing."""
        for each in race.malformed[self._told :]:
            self._told += 1
            self._say(f"The callback got {each}, and ignored it. Still waiting.")

    def _say(self, text: str) -> None:
        if self._display:
            self._display.say(text)

    def end(self, ending: Ending) -> None:
        from .page import Page

        self._listener.finish(Page(ending, self._server, self._account))

    def close(self) -> None:
        self._listener.close()
