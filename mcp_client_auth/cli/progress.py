"""What the person sees while a login goes on; everything goes to stderr."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from ..credential import Credential
from ..errors import quoted
from ..events import TRYING_AGAIN, Event
from ..protocol.scopes import Scopes
from ..storage import Summary
from .screen import encodes, green, hanging, say, screen

# What the short form says when a step has ended. The others are silent.
_SHORT: Final = {
    "challenge": "asked the server",
    "server-metadata": "found its authorization server",
    "registration": "registered there as a client",
    "again": "once more",
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
        self._url = ""
        self._mark = green("✓" if encodes("✓") else "+")
        self.spoke = False

    def __call__(self, event: Event) -> None:
        if event.name in _ASKING:
            screen.draw(f"{_ASKING[event.name]} ...", f"(at most {self._limit:.0f} s)")
        self._fault(event)
        if screen.quiet:
            return
        if self._verbose:
            self._say(_line(event, event.url if event.url != self._url else ""))
            self._url = event.url
        elif event.name in _SHORT and not event.rule.startswith("absent"):
            self._say(f"  {self._mark}{hanging('    ', _short(event))[3:]}")

    def _say(self, text: str) -> None:
        self.spoke = True
        screen.clear()
        say(text)


class Patience:
    """An event listener that says once what is waited for: a token endpoint out of order."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._said = False

    def __call__(self, event: Event) -> None:
        if event.rule != TRYING_AGAIN or self._said or screen.quiet:
            return
        self._said = True
        screen.tell(
            f"The authorization server is out of order ({plain(event.detail)});"
            f" trying again for at most {self._seconds:.0f} s."
        )


def plain(text: str, limit: int = 300) -> str:
    """A server's words as they may stand in a terminal: printable, short, on one line."""
    return quoted(text, limit)[1:-1]


def report(credential: Credential, where: str, *, heading: str) -> None:
    """Where one is logged in, as which account, with what, until when, and where it is kept."""
    screen.remark(f"{heading} {credential.key.server}")
    rows = details(Summary.of(credential, ""), where)
    if credential.tokens.bound:
        rows["bound"] = "to a key (DPoP)"
    for name, value in rows.items():
        screen.remark(hanging(f"  {name:<8} ", value))


def details(entry: Summary, where: str) -> dict[str, str]:
    """What a person wants to know of a login, each with its label."""
    return {
        "account": plain(entry.key.account),
        "issuer": plain(entry.issuer),
        "client": plain(entry.client_id) or "none",
        "scopes": _scopes(entry.scope),
        "expires": expiry(entry.expires_at, renewable=entry.renewable),
        "kept in": where,
    }


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
        case "again":
            return f"{said}: {plain(event.rule)}"
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
