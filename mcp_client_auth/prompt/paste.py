"""A pasted answer: what a browser's address bar shows when no callback can arrive.

It is checked like a callback: nothing that the listener would refuse is accepted here.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import Final
from urllib.parse import parse_qsl

from ..origin import origin, split
from ..protocol.authorization import AuthorizationRequest
from .base import Display
from .race import FirstAnswer
from .terminal.line import MOST
from .terminal.reader import reading

# Invisible characters that copying adds: zero-width ones, marks of direction, a soft hyphen.
_UNSEEN: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_BREAK: Final = re.compile(r"(?<![ \t])[ \t]*[\r\n]+[ \t]*")  # each run of spaces is read once
_AROUND: Final = (('"', '"'), ("'", "'"), ("`", "`"), ("<", ">"), ("“", "”"), ("‘", "’"))
_WHOLE: Final = "copy the whole address of the last page"


class NotTheAnswer(Exception):
    """Why a pasted text is not the answer, in words that repeat nothing of it."""


class PastedAnswer:
    """A source that reads the terminal."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def __call__(
        self, request: AuthorizationRequest, race: FirstAnswer
    ) -> AbstractContextManager[None]:
        return reading(Typist(request, race, self._display))


class Typist:
    """Offers the race what was entered, and tells the `display` the result."""

    def __init__(self, request: AuthorizationRequest, race: FirstAnswer, display: Display) -> None:
        self._request, self._race, self._display = request, race, display

    def typed(self, count: int) -> None:
        self._display.typed(count)

    def entered(self, text: str) -> None:
        if not text.strip() or self._race.decided:
            return
        count = len(text.strip())
        received = f"Received {count} character{'s' * (count > 1)}"
        try:
            query = query_of(text, self._request)
        except NotTheAnswer as reason:
            self._display.say(f"{received}, not the answer: {reason}.")
            return
        if self._race.offer(query):
            self._display.say(f"{received}.")
        elif not self._race.decided:
            self._display.say(f"{received}, not the answer: it belongs to another login.")

    def ended(self) -> None:
        self._display.typed(0)
        self._display.say("Nothing more is read here; still waiting for the browser.")


def query_of(pasted: str, request: AuthorizationRequest) -> str:
    """The query of a pasted redirect URL, or a query pasted alone when it has a state.

    Raises `NotTheAnswer`. The state's value, `iss` and everything else is checked by `accept()`.
    """
    text = repaired(pasted)
    query = _query_alone(text, request.redirect_uri)
    if query is None:
        query = _query_at(text, request)
    try:
        times = [name for name, _ in parse_qsl(query, keep_blank_values=True, max_num_fields=50)]
    except ValueError:
        raise NotTheAnswer("there are too many parameters in it") from None
    if "state" not in times:
        raise NotTheAnswer(f"it has no “state”, so it cannot be checked; {_WHOLE}")
    if len(times) != len(set(times)):  # RFC 6749 §3.1
        raise NotTheAnswer("it has a parameter twice")
    return query


def repaired(pasted: str) -> str:
    """The text without what copying adds: spaces and quotes around, line breaks, unseen characters.

    A space inside a line is refused, as is any other character that no URL has.
    """
    if len(pasted) > MOST:
        raise NotTheAnswer(f"it has more than {MOST} characters")
    text = _BREAK.sub("", _UNSEEN.sub("", pasted).strip())
    while len(text) > 1 and (text[0], text[-1]) in _AROUND:
        text = text[1:-1].strip()
    if any(not "!" <= letter <= "~" for letter in text):
        raise NotTheAnswer(f"it has a space or another character that no address has; {_WHOLE}")
    return text.partition("#")[0]  # a callback has no fragment: browsers do not send it


def _query_alone(text: str, redirect_uri: str) -> str | None:
    bare = redirect_uri.partition("://")[2]
    bare += "" if "/" in bare else "/"  # a browser shows one
    if text.startswith(bare + "?"):  # some browsers copy their address bar without the scheme
        return text[len(bare) + 1 :]
    if "://" in text.partition("=")[0] or "?" in text[1:].partition("=")[0]:
        return None
    query = text.removeprefix("?")
    if "=" not in query:
        raise NotTheAnswer(f"a code alone cannot be checked; {_WHOLE}")
    return query


def _query_at(text: str, request: AuthorizationRequest) -> str:
    """The query of a URL that is the redirect URI in scheme, host, port and path."""
    try:
        parts = split(text)
        place = *origin(text), parts.path or "/"
        expected = *origin(request.redirect_uri), split(request.redirect_uri).path or "/"
        page = request.server.authorization_endpoint
        at_start = place == (*origin(page), split(page).path or "/")
    except ValueError:
        raise NotTheAnswer(f"it cannot be read as an address; {_WHOLE}") from None
    if place == expected and "@" not in parts.netloc:
        return parts.query
    if at_start:
        raise NotTheAnswer("it is the address of the first page; sign in there, then " + _WHOLE)
    raise NotTheAnswer(f"the right one begins with {request.redirect_uri}?")
