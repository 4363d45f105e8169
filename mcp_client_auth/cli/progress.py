"""What the person sees while a login goes on; everything goes to stderr."""

from __future__ import annotations

from typing import Final

from ..events import DEFAULTS, OF_PROVIDER, TRYING_AGAIN, Event
from ..prompt.console import tell_of_waiting
from ..prompt.screen import encodes, hanging, say, screen, tinted
from .describe import plain

# What the short form says when a step has ended. The others are silent.
_SHORT: Final = {
    "challenge": "asked the server",
    "server-metadata": "found its authorization server",
    "registration": "registered there as a client",
    "again": "trying again",
    "token": "signed in",
    "answer": "the server accepts the login",
}
# What is waited for meanwhile, drawn at a terminal only.
_ASKING: Final = {
    "request": "Asking the server",
    "resource-metadata-request": "Asking the server for its metadata",
    "server-metadata-request": "Looking for its authorization server",
    "registration-request": "Registering there as a client",
    "token-request": "Fetching the tokens",
    "authorized-request": "Asking the server with the login",
}
_NAME: Final = 25


class Progress:
    """An event listener that tells a person; `verbose` shows every step with its rule.

    `limit`: seconds that one request may take; `patience`: seconds for a passing fault.
    """

    def __init__(
        self, *, verbose: bool = False, limit: float = 15.0, patience: float = 10.0
    ) -> None:
        self._verbose, self._limit = verbose, limit
        self._fault = Patience(patience)
        self._url = self._last = ""
        self._mark = tinted("✓" if encodes("✓") else "+", "good")
        self.spoke = False

    def __call__(self, event: Event) -> None:
        if event.name in _ASKING:
            screen.draw(f"{_ASKING[event.name]} ...", f"(at most {self._limit:.0f} s)")
        self._fault(event)
        if screen.quiet:
            return
        if self._verbose:
            # the step and where it went or what came back; below it what that means
            number = f"{event.number:>2}" if event.number else " ·"
            parts = [
                plain(event.url) if event.url != self._url else "",
                f"HTTP {event.status}" if event.status else "",
                f"in {event.seconds * 1000:.0f} ms" if event.seconds else "",
            ]
            lines = [" ".join(filter(None, parts)), plain(event.detail), plain(event.rule)]
            text = "\n      ".join(filter(None, lines))
            self._say(f"{number}  {event.name:<{_NAME}}  {text}")
            self._url = event.url
        elif event.name in _SHORT and not event.rule.startswith("absent"):
            line = f"  {self._mark}{hanging('    ', _short(event))[3:]}"
            if line != self._last:  # a token that was refused is tried a second time
                self._say(line)
            self._last = line

    def _say(self, text: str) -> None:
        self.spoke = True
        screen.clear()
        say(text)


class Patience:
    """An event listener that says what we are waiting for: a token endpoint that fails (once), or
    another program's login."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._shown = False

    def __call__(self, event: Event) -> None:
        tell_of_waiting(event)
        if event.rule != TRYING_AGAIN or self._shown or screen.quiet:
            return
        self._shown = True
        answered = " HTTP " in event.detail  # otherwise a proxy or this machine may be the cause
        what = "The authorization server is not working"
        what = what if answered else "The login cannot be renewed now"
        text = f"{what} ({plain(event.detail)}); retrying for up to {self._seconds:.0f} s."
        screen.tell(text, "warning")


def _short(event: Event) -> str:
    text = _SHORT[event.name]
    match event.name:
        case "challenge":
            return f"{text}: " + (
                "it requires authorization" if event.status == 401 else _answered(event)
            )
        case "server-metadata" if event.detail == DEFAULTS:
            return "no authorization server metadata found: trying the addresses of MCP 2025-03-26"
        case "server-metadata" if event.rule == OF_PROVIDER:
            return f"found the identity provider: {plain(event.detail)}"
        case "server-metadata":
            return f"{text}: {plain(event.detail)}"
        case "again":
            return f"{text}: {plain(event.rule)}"
        case "registration" if not event.status:
            return "registered there before"
        case "answer" if not 200 <= event.status < 300:
            return f"asked the server again: {_answered(event)}"
    return text


def _answered(event: Event) -> str:
    """Return the status; for a redirect or a 404, also what the event says of it."""
    telling = event.status == 404 or 300 <= event.status < 400
    detail = plain(event.detail) if telling and event.detail else ""
    return f"it answered HTTP {event.status}" + (f": {detail}" if detail else "")
