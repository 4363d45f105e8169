"""What `mcp-login status` tells: from the index, and with `--check` from the server."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import click

from ..credential import key_for
from ..errors import AuthError, LoginRequired, Unavailable
from ..flight import wait
from ..probing import asked as answer_to
from ..probing import fresh_token_refused
from ..protocol.challenge import read_challenges, relevant
from ..protocol.urls import shown
from ..session import Session
from ..storage import Storage, Summary, choose_storage, storage_named
from ..storage.index import Index
from . import exit_code
from .answers import answers, error_fields, login_fields
from .listing import label
from .opening import fresh, session_of
from .progress import details, plain
from .screen import hanging, screen
from .wishes import Asked


@dataclass(frozen=True, slots=True)
class State:
    """A login, and what came of the check: the HTTP status that took it, or an error."""

    entry: Summary
    taken: int = 0
    error: AuthError | None = None

    @property
    def trouble(self) -> AuthError | None:
        """Why it cannot be used; unchecked, because it has ended and cannot be renewed."""
        ended = self.entry.expires_at is not None and self.entry.expires_at <= time.time()
        if self.error or self.taken or not ended or self.entry.renewable:
            return self.error
        return LoginRequired(
            "the login has expired", hint=f"Run: mcp-login {self.entry.key.server}"
        )

    @property
    def verdict(self) -> list[str]:
        """What the check has shown, and what to do about it."""
        if self.error:
            return [self.error.summary, *filter(None, [self.error.hint])]
        if not self.taken:
            return []
        good = 200 <= self.taken < 300
        return [f"the server {'takes' if good else 'does not refuse'} it (HTTP {self.taken})"]


def run_status(url: str | None, asked: Asked, *, check: bool) -> int:
    """Show each login; the exit code is that of the first one that cannot be used."""
    found = _found(url, asked)
    states = [_checked(entry, asked) if check else State(entry) for entry in found]
    trouble = [error for state in states if (error := state.trouble)]
    code = exit_code(trouble[0]) if trouble else 0
    names = Index().names()
    if answers.as_json:
        logins = [_fields(state, names, check=check) for state in states]
        answers.give(logins=logins, storage=_where(choose_storage(asked["store"])), exit_code=code)
        return code
    for state in states:
        _print(state, names)
    if not states:
        screen.remark("You are not logged in to any server. Log in with: mcp-login URL")
    if not url:
        where = f"New logins are kept in {_where(choose_storage(asked['store']))}"
        click.echo(hanging("", where, sys.stdout))
    return code


def _found(url: str | None, asked: Asked) -> list[Summary]:
    entries = Index().all()
    if url is None:
        return entries
    key = key_for(url, asked["account"])
    found = [e for e in entries if (e.key.server, e.key.account) == (key.server, key.account)]
    if found:
        return found
    session = session_of(key, asked)
    held = fresh(session)  # which says that there is none, and what to do; or its entry is lost
    return [Summary.of(held, session.edges.storage.name)]


def _checked(entry: Summary, asked: Asked) -> State:
    """What the server says to the login, renewed before where that is due."""
    session = session_of(entry.key, asked)
    screen.draw(f"Asking {plain(entry.key.server)} ...")
    try:
        taken = _taken(session)
    except AuthError as error:
        return State(session.edges.storage.summary(entry.key) or entry, error=error)
    finally:
        screen.clear()
    return State(session.edges.storage.summary(entry.key) or entry, taken)


def _taken(session: Session) -> int:
    """The status of the MCP request; a 401 has one renewal, as in any other request."""
    held, url = fresh(session), session.wanted.server_url
    response = answer_to(url, session.edges, held)
    if response.status == 401:
        challenge = relevant(read_challenges(response.header_values("www-authenticate")))
        held = wait(session.after_401(held, challenge))
        response = answer_to(url, session.edges, held)
    if response.status == 401:
        raise fresh_token_refused(session.key.server, bound=held.tokens.bound)
    if response.status == 429 or response.status >= 500:
        raise Unavailable(
            f"the server answered HTTP {response.status}, which says nothing of the login",
            url=shown(url),
            hint="Try again later",
        )
    return response.status


def _fields(state: State, names: dict[str, str], *, check: bool) -> dict[str, Any]:
    told = {**login_fields(state.entry, names), "kept_in": _kept_in(state.entry)}
    if not check:
        return told
    error = error_fields(state.error, exit_code(state.error)) if state.error else None
    return {**told, "check": {"accepted": state.error is None, "error": error}}


def _print(state: State, names: dict[str, str]) -> None:
    entry = state.entry
    called = [name for name, url in names.items() if url == entry.key.server]
    click.echo(plain(entry.key.server) + (f" ({plain(', '.join(called))})" if called else ""))
    known = {**details(entry, _kept_in(entry)), "account": label(entry)}
    lines = [*known.items(), *zip(("check", ""), state.verdict, strict=False)]
    for name, value in lines:
        click.echo(hanging(f"  {name:<8} ", plain(value, 400), sys.stdout))


def _kept_in(entry: Summary) -> str:
    try:
        return _where(storage_named(entry.storage))
    except AuthError:
        return plain(entry.storage)


def _where(storage: Storage) -> str:
    try:
        return storage.where
    except AuthError as error:
        return f"nothing that works: {error.summary}"
