"""What the person sees while a login goes on; everything goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from ..credential import Credential
from ..errors import quoted
from ..events import Event
from ..protocol.scopes import Scopes

if TYPE_CHECKING:
    from ..prompt.device import Invitation

# What the short form says when a step has ended. The others are silent.
_SHORT: Final = {
    "challenge": "asked the server",
    "server-metadata": "found its authorization server",
    "registration": "registered there as a client",
    "token": "signed in",
    "answer": "the server accepts the login",
}
_NAME: Final = 25


class Progress:
    """An event listener that tells a person; `verbose` shows every step with its rule.

    `opens`: whether a browser will be opened for them.
    """

    def __init__(self, *, verbose: bool = False, opens: bool = True) -> None:
        self._verbose = verbose
        self._opens = opens
        self._url = ""
        self._mark = "✓" if _encodes("✓") else "+"
        self.spoke = False

    def __call__(self, event: Event) -> None:
        if self._verbose:
            self._say(_line(event, event.url if event.url != self._url else ""))
            self._url = event.url
        elif event.name in _SHORT and not event.rule.startswith("absent"):
            self._say(f"  {self._mark} {_short(event)}")

    def show_url(self, url: str) -> None:
        open_it = "Open this address in a browser and sign in:"
        here = "Sign in in your browser. If none opens, go to this address:"
        for line in ("", here if self._opens else open_it, "", f"  {url}", ""):
            self._say(line)
        self._say("Waiting for you … (Ctrl-C ends it)")

    def show_code(self, asked: Invitation) -> None:
        lines = ("", "Open this address on any device:", "", f"  {asked.link}", "")
        more = ("and enter this code:", "", f"  {plain(asked.code)}", "")
        direct = ("or open this one, which has the code in it:", "", f"  {asked.direct}", "")
        for line in (*lines, *more, *(direct if asked.direct else ())):
            self._say(line)
        self._say("Waiting for you … (Ctrl-C ends it)")

    def _say(self, text: str) -> None:
        self.spoke = True
        say(text)


def say(text: str) -> None:
    click.echo(text, err=True)


def plain(text: str, limit: int = 300) -> str:
    """A server's words as they may stand in a terminal: printable, short, on one line."""
    return quoted(text, limit)[1:-1]


def report(credential: Credential, where: str, *, heading: str) -> None:
    """Where one is logged in, as which account, with what, until when, and where it is kept."""
    tokens = credential.tokens
    say(f"{heading} {credential.key.server}")
    rows = {
        "account": plain(credential.key.account),
        "issuer": plain(credential.issuer),
        "scopes": _scopes(tokens.scope),
        "expires": expiry(tokens.expires_at, renewable=tokens.refresh_token is not None),
        "kept in": where,
    }
    if tokens.bound:
        rows["bound"] = "to a key (DPoP)"
    for name, value in rows.items():
        say(f"  {name:<8} {value}")


def expiry(expires_at: float | None, *, renewable: bool, now: float | None = None) -> str:
    """When a token expires, in words and local time, and what happens then."""
    if expires_at is None:
        return "the server does not say"
    left = expires_at - (time.time() if now is None else now)
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(expires_at))
    if left > 0:
        return f"{at} ({_span(left)})" + (", then renewed by itself" if renewable else "")
    return f"{at} (expired)" + (", renewed at the next use" if renewable else ", log in again")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, two blanks between them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"in {seconds / size:.0f} {unit}"
    return f"in {seconds:.0f} s"


def _scopes(scope: Scopes | None) -> str:
    if scope is None:
        return "those that the server gives by default"
    return plain(" ".join(scope)) or "none"


def _short(event: Event) -> str:
    said = _SHORT[event.name]
    match event.name:
        case "challenge":
            return f"{said}: " + (
                "it wants a login" if event.status == 401 else f"it answered HTTP {event.status}"
            )
        case "server-metadata":
            return f"{said}: {plain(event.detail)}"
        case "registration" if not event.status:
            return "registered there before"
        case "answer" if not 200 <= event.status < 300:
            return f"asked the server again: it answered HTTP {event.status}"
    return said


def _line(event: Event, url: str) -> str:
    """The step and where it went or what came back; below it what that means."""
    number = f"{event.number:>2}" if event.number else " ·"
    status = f"HTTP {event.status}" if event.status else ""
    took = f"in {event.seconds * 1000:.0f} ms" if event.seconds else ""
    first = " ".join(part for part in (plain(url) if url else "", status, took) if part)
    parts = [plain(part) for part in (first, event.detail, event.rule) if part] or [""]
    first, *more = parts
    return f"{number}  {event.name:<{_NAME}}  {first}" + "".join(f"\n      {m}" for m in more)


def _encodes(text: str) -> bool:
    try:
        text.encode(getattr(sys.stderr, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True
