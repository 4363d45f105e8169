"""What the person sees while a login goes on; everything goes to stderr."""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from ..credential import Credential
from ..events import Event
from ..protocol.scopes import Scopes

# What the short form says when a step has ended. The others are silent.
_SHORT: Final = {
    "challenge": "asked the server",
    "server-metadata": "found its authorization server",
    "registration": "have a client there",
    "token": "signed in",
    "answer": "the server accepts the login",
}


class Progress:
    """An event listener that tells a person; `verbose` shows every step with its rule."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._mark = "✓" if _encodes("✓") else "+"

    def __call__(self, event: Event) -> None:
        if self._verbose:
            say(_line(event))
        elif event.name in _SHORT and not event.rule.startswith("absent"):
            say(f"  {self._mark} {_SHORT[event.name]}" + _short_detail(event))

    def show_url(self, url: str) -> None:
        say("")
        say("Sign in in your browser. If none opens, go to this address:")
        say("")
        say(f"  {url}")
        say("")
        say("Waiting for you … (Ctrl-C ends it)")


def say(text: str) -> None:
    click.echo(text, err=True)


def report(credential: Credential, where: str, *, heading: str) -> None:
    """Where one is logged in, as which account, with what, until when, and where it is kept."""
    tokens = credential.tokens
    say("")
    say(f"{heading} {credential.key.server}")
    rows = {
        "account": credential.key.account,
        "issuer": credential.issuer,
        "scopes": _scopes(tokens.scope),
        "expires": expiry(tokens.expires_at)
        + (", then renewed by itself" if tokens.refresh_token else ""),
        "kept in": where,
    }
    for name, value in rows.items():
        say(f"  {name:<8} {value}")


def expiry(expires_at: float | None, now: float | None = None) -> str:
    """When a token expires, in words and local time."""
    if expires_at is None:
        return "the server does not say"
    left = expires_at - (time.time() if now is None else now)
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(expires_at))
    return f"{at} ({_span(left)})"


def _span(seconds: float) -> str:
    if seconds <= 0:
        return "expired"
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"in {seconds / size:.0f} {unit}"
    return f"in {seconds:.0f} s"


def _scopes(scope: Scopes | None) -> str:
    if scope is None:
        return "those that the server gives by default"
    return " ".join(scope) or "none"


def _short_detail(event: Event) -> str:
    if event.name == "challenge":
        said = "it wants a login" if event.status == 401 else f"it answered {event.status}"
        return f": {said}"
    return f": {event.detail}" if event.name == "server-metadata" else ""


def _line(event: Event) -> str:
    number = f"{event.number:>2}" if event.number else " ·"
    status = f"  {event.status}" if event.status else ""
    took = f"  {event.seconds * 1000:.0f} ms" if event.seconds else ""
    tail = "".join(f"\n     {part}" for part in (event.detail, event.rule) if part)
    return f"{number}  {event.name}  {event.url}{status}{took}{tail}"


def _encodes(text: str) -> bool:
    try:
        text.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
